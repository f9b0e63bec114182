"""Pythons that a function starts, and what multiprocessing finds: AWS's folders and devices, in both isolations."""

import json

import pytest
from cloud import RUNTIMES

VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
PARALLEL = """
import multiprocessing, os
def work(connection, number):
    with open("/tmp/made", "w") as file:
        file.write("by the child")
    with open("/var/task/data.txt") as file:
        connection.send([number * 2, file.read(), sorted(os.listdir("/var/task"))[-2:]])
def handler(event, context):
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context(event or None).Process(target=work, args=(theirs, 21))
    process.start()
    theirs.close()
    answer = mine.recv()
    process.join()
    return [answer, open("/tmp/made").read()]
"""
STARTING = """
import os, subprocess, sys
def handler(event, context):
    os.environ.update(event.get("set", {}))
    for name in event.get("unset", []):
        os.environ.pop(name)
    variables = event.get("env")
    if variables is not None:  # without it this machine's interpreter does not find its library
        variables["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    done = subprocess.run([sys.executable, *event["words"]], env=variables, capture_output=True, text=True)
    return done.stdout + done.stderr
"""
LOOK = "import os; print(open('/var/task/data.txt').read(), os.environ.get('PYTHONPATH'))"


@pytest.fixture
def start(cloud):
    """Start a Python in a function; what it prints."""
    files = {
        "app.py": STARTING,
        "data.txt": "data",
        "script.py": "import sys; print(__file__, sys.argv[1:], open('/var/task/data.txt').read())",
        "custom/sitecustomize.py": "import os; os.environ['CUSTOMIZED'] = open('/var/task/data.txt').read()",
    }

    def start(*words, version="3.13", **event):
        if not (RUNTIMES / f"python{version}").exists():
            pytest.skip(f"no runtime python{version} in {RUNTIMES}")
        name = cloud.deploy(files, Runtime=f"python{version}", MemorySize=256)
        return cloud.invoke(name, {"words": words} | event).json

    return start


@pytest.mark.parametrize("method", [None, "fork", "spawn", "forkserver"])
@pytest.mark.parametrize("version", ["3.9", "3.13", "3.14"])
def test_multiprocessing_finds_awss_folders(cloud, version, method):
    """However it starts its processes, which is another way by default since Python 3.14."""
    if not (RUNTIMES / f"python{version}").exists():
        pytest.skip(f"no runtime python{version} in {RUNTIMES}")
    name = cloud.deploy({"app.py": PARALLEL, "data.txt": "data"}, Runtime=f"python{version}", MemorySize=512)
    expected = [[42, "data", ["app.py", "data.txt"]], "by the child"]
    assert cloud.invoke(name, method).json == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_python_that_is_started_finds_awss_folders(start, version):
    """And the variables that the function has."""
    assert start("-c", LOOK, version=version) == "data /var/runtime\n"


def test_scripts_and_modules_are_found(start):
    """By AWS's names."""
    expected = "/var/task/script.py ['/tmp/x'] data\n"
    assert start("/var/task/script.py", "/tmp/x") == expected
    assert start("-m", "script", "/tmp/x") == expected


def test_variables_of_its_own_are_as_given(start):
    """What tells it about the folders is not among them."""
    assert start("-c", LOOK, env={}) == "data None\n"
    assert start("-c", LOOK, env={"PYTHONPATH": "/opt/x:/var/task"}) == "data /opt/x:/var/task\n"
    assert start("-c", LOOK, set={"PYTHONPATH": "/opt/y"}) == "data /opt/y\n"
    assert start("-c", LOOK, unset=["PYTHONPATH"]) == "data None\n"
    names = "import os; print(sorted(name for name in os.environ if 'TMP' in name or 'PYTHON' in name))"
    assert start("-c", names) == "['PYTHONPATH']\n"


def test_search_path_is_as_on_aws(start):
    """Nothing is added to it."""
    found = start("-c", "import sys, json; print(json.dumps(sys.path))")
    assert json.loads(found)[:3] == ["", "/var/runtime", "/var/lang/lib/python313.zip"]


def test_sitecustomize_of_the_function_is_carried_out(start):
    """It knows the folders already."""
    found = start("-c", "import os; print(os.environ['CUSTOMIZED'])", set={"PYTHONPATH": "/var/task/custom"})
    assert found == "data\n"


def test_python_that_it_starts_in_turn_finds_awss_folders(start):
    """And so on."""
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LOOK!r}])"
    assert start("-c", inner) == "data /var/runtime\n"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "code",
    ["open('/var/task/none')", "import threading; threading.Thread(target=open, args=['/var/task/none']).start()"],
)
def test_errors_show_only_the_programs_own_frames(start, version, code):
    """With the names that it gave."""
    found = start("-c", code, version=version)
    assert found.endswith("FileNotFoundError: [Errno 2] No such file or directory: '/var/task/none'\n")
    assert found.count("File ") == found.count('File "<string>"') + found.count('threading.py"')


def test_flags_are_awss(start):
    """Those of the function's interpreter, which what it starts takes over."""
    code = "import app, sys; print(sys.flags.no_site, sys.flags.ignore_environment, sys.flags.no_user_site)"
    assert start("-c", code) == "0 0 0\n"


@pytest.mark.parametrize("version", VERSIONS)
def test_function_has_awss_flags(cloud, version):
    """It is not told to ignore anything."""
    if not (RUNTIMES / f"python{version}").exists():
        pytest.skip(f"no runtime python{version} in {RUNTIMES}")
    source = """
    import subprocess, sys
    def handler(event, context):
        return [sys.flags.no_site, sys.flags.ignore_environment, sys.flags.no_user_site, sys.flags.utf8_mode]
    """
    assert cloud.run(source, Runtime=f"python{version}").json == [0, 0, 0, 1]


@pytest.mark.parametrize("version", VERSIONS)
def test_there_is_no_shared_memory(cloud, version):
    """As on AWS: locks, queues, pools and shared memory of multiprocessing fail."""
    if not (RUNTIMES / f"python{version}").exists():
        pytest.skip(f"no runtime python{version} in {RUNTIMES}")
    source = """
    import concurrent.futures, multiprocessing, os
    from multiprocessing import shared_memory
    def attempt(action):
        try:
            return str(action())
        except OSError as error:
            return [type(error).__name__, str(error).partition(": '")[0]]
    def handler(event, context):
        return [attempt(action) for action in (
            multiprocessing.Lock,
            multiprocessing.Queue,
            lambda: concurrent.futures.ProcessPoolExecutor(1).submit(abs, -1).result(),
            lambda: shared_memory.SharedMemory(create=True, size=1),
            lambda: os.listdir("/dev/shm"),
            lambda: open("/dev/shm/x", "w"),
        )]
    """
    missing = ["FileNotFoundError", "[Errno 2] No such file or directory"]
    assert cloud.run(source, Runtime=f"python{version}").json == [missing] * 6


VARIED = """
import multiprocessing, os, pty, signal, socket, sys
CODE = "print(open('/var/task/data.txt').read())"
def printed(action):
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        os.dup2(write, 1)
        action()
    os.close(write)
    os.waitpid(pid, 0)
    return os.read(read, 100).decode()
def execute():
    os.execve(sys.executable, [sys.executable, "-c", CODE], env=dict(os.environ))
def spawn():
    actions = [(os.POSIX_SPAWN_OPEN, 1, "/tmp/out", os.O_WRONLY | os.O_CREAT, 0o600)]
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", CODE], os.environ, file_actions=actions)
    os.waitpid(pid, 0)
    return open("/tmp/out").read()
def pickled():
    process = multiprocessing.get_context("spawn").Process(target=os.mkdir, args=("/tmp/made",))
    process.start()
    process.join()
    return process.exitcode, os.path.isdir("/tmp/made")
def listen():
    path = "/tmp/" + 90 * "s"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
    return os.path.exists(path)
def terminal():
    try:
        return pty.openpty()
    except OSError as error:
        return str(error)
def halted():
    if (pid := os.fork()) == 0:
        signal.pause()
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    return pid
def handler(event, context):
    if event:
        return open(f"/proc/{event}/stat").read().split()[2]
    return [printed(execute), spawn(), pickled(), listen(), terminal(), halted()]
"""


@pytest.mark.parametrize("version", ["3.9", "3.13", "3.14"])
def test_other_ways_to_start_programs_and_to_name_files(cloud, version):
    """Keywords, actions, pickled functions, long names of sockets, terminals; what it halts stays halted."""
    if not (RUNTIMES / f"python{version}").exists():
        pytest.skip(f"no runtime python{version} in {RUNTIMES}")
    name = cloud.deploy({"app.py": VARIED, "data.txt": "data"}, Runtime=f"python{version}", MemorySize=512)
    *found, halted = cloud.invoke(name, 0).json
    assert found == ["data\n", "data\n", [0, True], True, "out of pty devices"]
    assert cloud.invoke(name, halted).json == "T"


def test_devices_are_few(staged_cloud):
    """None of this machine's own."""
    source = "import os\ndef handler(event, context): return sorted(os.listdir('/dev'))"
    expected = ["fd", "full", "null", "random", "stderr", "stdin", "stdout", "tty", "urandom", "zero"]
    assert staged_cloud.run(source).json == expected
