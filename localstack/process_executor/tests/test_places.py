"""AWS's folders by their names: the same answers with a mount namespace, from the kernel, and without one."""

import textwrap
import uuid

import pytest
from cloud import RUNTIMES, zipped

RUN = """
import json, os, shutil, sys
def handler(event, context):
    os.makedirs(event["here"], exist_ok=True)
    scope = {"here": event["here"]}
    try:
        exec(event["program"], scope)
    except OSError as error:
        return [type(error).__name__, error.errno, error.filename]
    return scope["found"]
"""
FILES = {"app.py": RUN, "data/words.txt": "in the zip", "data/more/words.txt": "more"}


@pytest.fixture(scope="module")
def run(cloud):
    """Runs a program in functions of each version of Python, with a layer; ``here`` is a folder below /tmp."""
    content = {"ZipFile": zipped({"words.txt": "in the layer", "python/layered.py": "word = 'layered'\n"})}
    layer = cloud.awslambda.publish_layer_version(LayerName="places", Content=content)["LayerVersionArn"]
    versions = [folder.name for folder in RUNTIMES.glob("python3.*")]
    names = {each: cloud.deploy(FILES, Layers=[layer], Runtime=each, Timeout=30, MemorySize=512) for each in versions}
    names = {version: name for version, name in names.items() if cloud.configuration(name)["State"] == "Active"}

    def run(program, here):
        event = {"program": textwrap.dedent(program), "here": here}
        answers = {version: cloud.invoke(name, event).json for version, name in names.items()}
        assert all(answer == answers["python3.13"] for answer in answers.values()), answers
        return answers["python3.13"]

    return run


@pytest.fixture
def here():
    return f"/tmp/{uuid.uuid4().hex}"  # the function's, not this machine's


READ = [
    ("open('/var/task/data/words.txt').read()", "in the zip"),
    ("open(b'/var/task/data/words.txt', 'rb').read().decode()", "in the zip"),
    ("open('/opt/words.txt').read()", "in the layer"),
    ("Path('/opt/words.txt').read_text()", "in the layer"),
    ("os.read(os.open('/opt/words.txt', os.O_RDONLY), 99).decode()", "in the layer"),
    ("sorted(os.listdir('/var/task/data'))", ["more", "words.txt"]),
    ("sorted(os.listdir('/opt'))", ["python", "words.txt"]),
    ("[os.stat('/opt/words.txt').st_size, os.access('/opt/words.txt', os.R_OK)]", [12, True]),
    ("[os.path.isdir('/opt'), os.path.exists('/opt/none')]", [True, False]),
    ("[each.path for each in os.scandir('/var/task/data') if each.is_file()]", ["/var/task/data/words.txt"]),
    ("[[top, names] for top, _, names in os.walk('/var/task/data/more')]", [["/var/task/data/more", ["words.txt"]]]),
    ("[str(each.relative_to('/var/task')) for each in Path('/var/task/data/more').iterdir()]", ["data/more/words.txt"]),
    ("glob.glob('/var/task/data/more/**/*.txt', recursive=True)", ["/var/task/data/more/words.txt"]),
    ("subprocess.check_output(['cat', '/opt/words.txt'], text=True)", "in the layer"),
    ("subprocess.check_output(['cat', 'words.txt'], text=True, cwd='/opt')", "in the layer"),
    ("subprocess.check_output('cat /opt/words.txt >/tmp/out; cat /tmp/out', text=True, shell=True)", "in the layer"),
    ("subprocess.check_output('cat $WORDS; pwd', text=True, shell=True, cwd='/opt', env=PLACES)", "in the layer/opt\n"),
    ("subprocess.check_output(['sh', '-c', 'echo $HOME'], text=True, env={'HOME': '/tmp/home'})", "/tmp/home\n"),
    ("os.popen('cat $WORDS; echo $WORDS').read()", "in the layer/opt/words.txt\n"),
    ("subprocess.check_output(['sh', '-c', 'test -d \"/var/task\" && echo /options'], text=True)", "/options\n"),
    ("[getpass.getuser(), os.path.expanduser('~')]", ["sbx_user1051", "/home/sbx_user1051"]),
    ("oct(os.stat('/tmp').st_mode)", "0o40700"),
    ("[layered.word, layered.__file__]", ["layered", "/opt/python/layered.py"]),
]


@pytest.mark.parametrize(("expression", "expected"), READ)
def test_what_came_with_the_function_is_read_by_awss_names(run, here, expression, expected):
    """Files of the zip at /var/task, those of layers at /opt."""
    modules = "import getpass, glob, os, subprocess, layered\nfrom pathlib import Path"
    modules += "\nPLACES = {'WORDS': '/opt/words.txt'}; os.environ.update(PLACES)"
    assert run(f"{modules}\nfound = {expression}", here) == expected


WRITTEN = [
    ("open(here + '/a', 'w').write('b')", "open(here + '/a').read()", "b"),
    ("open('/tmp/mark', 'w').close()", "os.path.exists(tempfile.gettempdir() + '/mark')", True),
    ("_, path = tempfile.mkstemp(dir=here)", "[path.startswith(here), os.path.isfile(path)]", [True, True]),
    ("shutil.copytree('/var/task/data', here + '/copy')", "sorted(os.listdir(here + '/copy'))", ["more", "words.txt"]),
    ("shutil.copytree('/var/task/data', here + '/copy'); shutil.rmtree(here)", "os.path.exists(here)", False),
    ("open(here + '/a', 'w').close(); os.rename(here + '/a', here + '/b')", "os.listdir(here)", ["b"]),
    ("os.symlink('/opt/words.txt', here + '/link')", "open(here + '/link').read()", "in the layer"),
    ("Path(here, 'x/y').mkdir(parents=True); Path(here, 'x/y').rmdir()", "os.listdir(here)", ["x"]),
    ("open(here + '/written.py', 'w').write('word = 7'); sys.path.append(here)", "__import__('written').word", 7),
    (
        "zipfile.ZipFile(here + '/z', 'w').write('/opt/words.txt', 'w')",
        "zipfile.ZipFile(here + '/z').namelist()",
        ["w"],
    ),
    ("open(here + '/a', 'w').close(); os.remove('a', dir_fd=os.open(here, os.O_RDONLY))", "os.listdir(here)", []),
    ("sqlite3.connect(here + '/db').execute('create table t (c)')", "os.listdir(here)", ["db"]),
    ("open('/dev/null', 'w').write('x')", "os.listdir(here)", []),
    ("os.makedirs('/var/task/data', exist_ok=True)", "os.listdir(here)", []),
]


@pytest.mark.parametrize(("statements", "expression", "expected"), WRITTEN)
def test_tmp_can_be_written_to_by_its_name(run, here, statements, expression, expected):
    """Every way to make, move and remove files works on /tmp."""
    modules = "import os, shutil, sqlite3, sys, tempfile, zipfile\nfrom pathlib import Path"
    assert run(f"{modules}\n{statements}\nfound = {expression}", here) == expected


READ_ONLY, MISSING, THERE, OTHER_DEVICE = (
    ["OSError", 30],
    ["FileNotFoundError", 2],
    ["FileExistsError", 17],
    ["OSError", 18],
)
REFUSED = [
    ("open('new', 'w')", [*READ_ONLY, "new"]),
    ("open('/new', 'x')", [*READ_ONLY, "/new"]),
    ("open('/opt/new', 'a')", [*READ_ONLY, "/opt/new"]),
    ("open('/var/task/app.py', 'x')", [*THERE, "/var/task/app.py"]),
    ("open('/opt/none/new', 'w')", [*MISSING, "/opt/none/new"]),
    ("open('/opt/none', 'r+')", [*MISSING, "/opt/none"]),
    ("open('/tmp/none')", [*MISSING, "/tmp/none"]),
    ("os.stat('/tmp/none')", [*MISSING, "/tmp/none"]),
    ("os.open('/var/task/new', os.O_CREAT | os.O_WRONLY)", [*READ_ONLY, "/var/task/new"]),
    ("os.mkdir('/var/task/new')", [*READ_ONLY, "/var/task/new"]),
    ("os.mkdir('/var/task/data')", [*THERE, "/var/task/data"]),
    ("os.remove('/var/task/app.py')", [*READ_ONLY, "/var/task/app.py"]),
    ("os.remove('/var/task/none')", [*READ_ONLY, "/var/task/none"]),
    ("os.rmdir('/var/task/none/none')", [*MISSING, "/var/task/none/none"]),
    ("os.chmod('/opt/words.txt', 0o777)", [*READ_ONLY, "/opt/words.txt"]),
    ("os.chmod('/opt/none', 0o777)", [*MISSING, "/opt/none"]),
    ("os.rename('/var/task/app.py', '/var/task/b')", [*READ_ONLY, "/var/task/app.py"]),
    ("os.rename('/tmp', '/var/task/b')", [*OTHER_DEVICE, "/tmp"]),
    ("os.rename('/var/task/app.py', '/tmp/b')", [*OTHER_DEVICE, "/var/task/app.py"]),
    ("os.rename('/tmp/none', '/tmp/b')", [*MISSING, "/tmp/none"]),
    ("os.symlink('anything', '/var/task/new')", [*READ_ONLY, "anything"]),
]


@pytest.mark.parametrize(("statement", "expected"), REFUSED)
def test_nothing_else_can_be_written_to(run, here, statement, expected):
    """In the kernel's words, and in its order: what is missing or there already, another device, read-only."""
    assert run(f"import os\n{statement}\nfound = 'done'", here) == expected


def test_tree_of_the_function_cannot_be_removed(run, here):
    """Neither by names nor by descriptors, as shutil does it."""
    program = """
    import os, shutil
    shutil.rmtree("/var/task/data", ignore_errors=True)
    found = sorted(os.listdir("/var/task/data"))
    """
    assert run(program, here) == ["more", "words.txt"]


@pytest.mark.parametrize("mode", ["w", "a", "r+"])
def test_file_of_the_function_cannot_be_written_to(run, here, mode):
    """A read-only mount's answer, or its owner's."""
    found = run(f"open('/var/task/data/words.txt', '{mode}')", here)
    assert found in (
        ["OSError", 30, "/var/task/data/words.txt"],
        ["PermissionError", 13, "/var/task/data/words.txt"],
    )


FULL = "[Errno 28] No space left on device"
FILLED = [
    "with open('/tmp/a', 'wb') as file:\n    for _ in range(8):\n        file.write(MEGABYTE)",
    "with open('/tmp/a', 'w') as file:\n    file.write('x' * (8 << 20))",
    "for number in range(8):\n    pathlib.Path(f'/tmp/{number}').write_bytes(MEGABYTE)",
    "files = [tempfile.TemporaryFile() for _ in range(8)]\nfor file in files:\n    file.write(MEGABYTE)",
    "with open('/tmp/a', 'wb') as file:\n    for _ in range(8):\n        os.write(file.fileno(), MEGABYTE)",
    "pathlib.Path('/tmp/0').write_bytes(3 * MEGABYTE)\nshutil.copyfile('/tmp/0', '/tmp/1')",
    "os.chdir('/tmp')\nopen('a', 'ab').write(4 * MEGABYTE)\npathlib.Path('/tmp/b').write_text('b')",
]


@pytest.mark.parametrize("statements", FILLED)
def test_tmp_has_a_size(run, here, statements):
    """One for all files together, however they are written; how much of it is free is known."""
    program = f"""
    import gc, os, pathlib, shutil, tempfile
    MEGABYTE = bytes(1 << 20)
    free = lambda: round(shutil.disk_usage("/tmp").free / (1 << 20))
    for name in os.listdir("/tmp"):
        shutil.rmtree("/tmp/" + name, ignore_errors=True)
        pathlib.Path("/tmp", name).unlink(missing_ok=True)
    gc.collect()  # what earlier programs have left open takes room
    with open("/tmp/much", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 508 << 20)
    scope, found = dict(globals()), [free()]
    try:
        exec({statements!r}, scope)
    except OSError as error:
        found += [str(error)[:{len(FULL)}], free() < 4]
    scope.clear()
    gc.collect()
    os.remove("/tmp/much")
    os.chdir("/var/task")
    """
    assert run(program, here) == [4, FULL, True]


def test_file_that_is_removed_makes_room(cloud):
    """And what is written over takes no more of it."""
    source = """
    import os, shutil
    def handler(event, context):
        found = []
        with open("/tmp/a", "wb") as file:
            file.write(bytes(512 << 20))
        with open("/tmp/a", "r+b") as file:
            found.append(file.write(bytes(20 << 20)))
        os.remove("/tmp/a")
        with open("/tmp/b", "wb") as file:
            found.append(file.write(bytes(400 << 20)))
        return [*found, shutil.disk_usage("/tmp").used]
    """
    assert cloud.run(source, MemorySize=3008, Timeout=30).json == [20 << 20, 400 << 20, 400 << 20]


def test_size_of_tmp_is_the_functions(cloud):
    """What it is configured with, by its name and by a descriptor."""
    source = """
    import os, shutil
    def handler(event, context):
        descriptor = os.open("/tmp", os.O_RDONLY)
        found = os.fstatvfs(descriptor)
        return [list(shutil.disk_usage("/tmp")), found.f_bavail * found.f_frsize]
    """
    size = 1024 << 20
    assert cloud.run(source, EphemeralStorage={"Size": 1024}).json == [[size, 0, size], size]


OPENED = [
    ("open('/tmp/f', 'w')", ["TextIOWrapper", "BufferedWriter", "FileIO", "w", False, True]),
    ("open('/tmp/f', 'r+b')", ["BufferedRandom", "BufferedRandom", "FileIO", "rb+", False, True]),
    ("open('/tmp/f', 'wb', buffering=0)", ["FileIO", "FileIO", "FileIO", "wb", False, True]),
    ("open('/tmp/f', 'a', buffering=1)", ["TextIOWrapper", "BufferedWriter", "FileIO", "a", True, True]),
    (
        "os.fdopen(os.open('/tmp/f', os.O_RDWR), 'w+')",
        ["TextIOWrapper", "BufferedRandom", "FileIO", "w+", False, True],
    ),
    (
        "open(os.open('/tmp/f', os.O_WRONLY), 'wb', closefd=False)",
        ["BufferedWriter", "BufferedWriter", "FileIO", "wb", False, False],
    ),
]


@pytest.mark.parametrize(("expression", "expected"), OPENED)
def test_files_of_tmp_are_pythons_own(run, here, expression, expected):
    """Of its types and not of others, and closed when nothing refers to them."""
    program = f"""
    import gc, io, os
    open("/tmp/f", "w").close()
    file = {expression}
    buffer = getattr(file, "buffer", file)
    raw = getattr(buffer, "raw", buffer)
    kinds = [type(each).__name__ for each in (file, buffer, raw) if type(each).__module__ == "_io"]
    found = [*kinds, file.mode, getattr(file, "line_buffering", False), raw.closefd]
    number = file.fileno()
    gc.disable()
    file.write("kept" if isinstance(file, io.TextIOBase) else b"kept")
    del file, buffer, raw
    gc.enable()
    assert open("/tmp/f").read() == "kept"
    assert os.path.exists(f"/proc/self/fd/{{number}}") != found[-1]
    if not found[-1]: os.close(number)
    """
    assert run(program, here) == expected


def test_opt_is_empty_without_layers(cloud):
    """It is there, and nothing of the machine's is in it."""
    assert cloud.run("import os\ndef handler(event, context): return os.listdir('/opt')\n").json == []


def test_what_c_code_leaves_in_tmp_is_found(cloud):
    """A library that opens a file by itself and Python code that opens it by the same name mean the same file."""
    source = """
    import ctypes, os
    def handler(event, context):
        libc = ctypes.CDLL(None)
        path = f"/tmp/{event}"
        os.close(libc.open(path.encode(), os.O_CREAT | os.O_WRONLY, 0o644))
        with open(path, "a") as file:
            file.write("known")
        found = open(path).read()
        os.remove(path)
        return [found, os.path.exists(path)]
    """
    assert cloud.run(source, uuid.uuid4().hex).json == ["known", False]


def test_tmp_is_nobody_elses(cloud):
    """Two functions have two /tmp."""
    source = """
    import os
    def handler(event, context):
        open("/tmp/" + event, "w").close()
        return os.listdir("/tmp")
    """
    found = [[name for name in cloud.run(source, word).json if name in "ab"] for word in "ab"]
    assert found == [["a"], ["b"]]


def test_traceback_has_the_functions_frames_only(cloud):
    """What stands between a function and the file system is not in its stack traces, answers and logs alike."""
    source = """
    import logging
    def handler(event, context):
        try:
            open("/opt/none")
        except OSError:
            logging.exception("caught")
        open("/tmp/none")
    """
    answer = cloud.run(source)
    assert answer.json["errorMessage"] == "[Errno 2] No such file or directory: '/tmp/none'"
    assert answer.json["stackTrace"] == ['  File "/var/task/app.py", line 8, in handler\n    open("/tmp/none")\n']
    caught = answer.log[answer.log.index("caught") :].splitlines()
    assert caught[1:3] == ["Traceback (most recent call last):", '  File "/var/task/app.py", line 5, in handler']
    assert "places" not in answer.log
