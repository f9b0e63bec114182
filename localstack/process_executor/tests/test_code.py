"""Where a function's code comes from: layers, hot-reloaded folders, custom runtimes."""

import io
import json
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest
from cloud import PYTHON, RUNTIMES, eventually, free_port, zipped
from test_invocations import assert_error

UNIX = 3  # as an archive says whose modes its files have
BOOTSTRAP = """#!/usr/bin/env python3
import json, os, urllib.request
api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
while True:
    with urllib.request.urlopen(f"{api}/next") as answer:
        request_id, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.load(answer)
    print("handling", os.environ["_HANDLER"], flush=True)
    urllib.request.urlopen(f"{api}/{request_id}/response", json.dumps({"custom": event}).encode()).close()
"""

STREAMING = """#!/usr/bin/env python3
import http.client, json, os
host = os.environ["AWS_LAMBDA_RUNTIME_API"]
while True:
    connection = http.client.HTTPConnection(host)
    connection.request("GET", "/2018-06-01/runtime/invocation/next")
    answer = connection.getresponse()
    request_id, failing = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.load(answer)
    connection.putrequest("POST", f"/2018-06-01/runtime/invocation/{request_id}/response")
    connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.putheader("Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body")
    connection.endheaders()
    for part in (b'"one, ', b'two"'):
        connection.send(b"%x\\r\\n%s\\r\\n" % (len(part), part))
    trailer = b"Lambda-Runtime-Function-Error-Type: Mine.Broken\\r\\n" if failing else b""
    connection.send(b"0\\r\\n" + trailer + b"\\r\\n")
    connection.getresponse().read()
"""


@pytest.fixture
def layer(cloud):
    """Publishes a layer of these files."""
    count = iter(range(100))

    def publish(files):
        name = f"layer-{os.urandom(4).hex()}-{next(count)}"
        return cloud.awslambda.publish_layer_version(LayerName=name, Content={"ZipFile": zipped(files)})[
            "LayerVersionArn"
        ]

    return publish


def with_link(files, name, target):
    """An archive that has a link, too."""
    archive = io.BytesIO(zipped(files))
    link = zipfile.ZipInfo(name)
    link.create_system, link.external_attr = UNIX, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as appended:
        appended.writestr(link, str(target))
    return {"ZipFile": archive.getvalue()}


def test_link_in_an_archive_changes_nothing_outside(cloud):
    """All code is made readable for functions, but not what a link in it leads to."""
    outside = cloud.folder / f"outside-{os.urandom(4).hex()}"
    outside.touch(mode=0o600)
    source = "import os\ndef handler(event, context): return os.path.islink('link')"
    name = cloud.create(with_link({"app.py": source}, "link", outside))
    assert cloud.invoke(name).json is True
    assert stat.S_IMODE(outside.stat().st_mode) == 0o600


def test_bytecode_is_not_written_through_a_link(cloud, source_folder):
    """LocalStack's user could write there."""
    source = "def handler(event, context): return 'served'"
    name = cloud.create(with_link({"app.py": source, f"{source_folder.name}/own.py": ""}, "__pycache__", source_folder))
    eventually(lambda: list(cloud.folder.glob(f"tmp/**/{source_folder.name}/__pycache__/own.*")), bool)
    assert list(source_folder.iterdir()) == []
    assert cloud.invoke(name).json == "served"


def test_layer_is_importable(cloud, layer):
    """A module in a layer's python folder is found."""
    arn = layer({"python/shared.py": "word = 'from the layer'\n"})
    source = "import shared\ndef handler(event, context): return shared.word\n"
    assert cloud.run(source, Layers=[arn]).json == "from the layer"


def test_layers_are_merged_and_the_last_wins(cloud, layer):
    """Several layers are one /opt."""
    first = layer({"python/one.py": "word = 1\n", "python/both.py": "word = 'first'\n"})
    second = layer({"python/two.py": "word = 2\n", "python/both.py": "word = 'second'\n"})
    source = "import one, two, both\ndef handler(event, context): return [one.word, two.word, both.word]\n"
    assert cloud.run(source, Layers=[first, second]).json == [1, 2, "second"]


def test_function_overrides_the_runtimes_packages(cloud):
    """A package in the zip comes before the runtime's own."""
    files = {"app.py": "import boto3\ndef handler(event, context): return boto3.word\n", "boto3.py": "word = 'mine'\n"}
    assert cloud.invoke(cloud.deploy(files)).json == "mine"


def test_function_overrides_what_the_runtime_client_imports(cloud, layer):
    """The runtime's own copy may be in memory already; a layer's comes before it."""
    source = "import snapshot_restore_py\ndef handler(event, context): return snapshot_restore_py.word\n"
    arn = layer({"python/snapshot_restore_py.py": "word = 'mine'\n"})
    assert cloud.run(source, Layers=[arn]).json == "mine"


def test_bytecode_is_compiled_once_a_version(cloud):
    """When the version is made, in the background; its environments use it and write none."""
    name = cloud.deploy("def handler(event, context): return __file__\n")

    def compiled():
        return {path: path.stat().st_mtime_ns for path in cloud.folder.glob(f"**/*{name}*/**/app.cpython-*.pyc")}

    first = eventually(compiled, lambda found: len(found) == 1)
    for _ in range(2):
        assert cloud.invoke(name).json == "/var/task/app.py"
        cloud.awslambda.update_function_configuration(FunctionName=name, Description="starts another environment")
        eventually(lambda: cloud.configuration(name)["LastUpdateStatus"], lambda status: status == "Successful")
    assert compiled() == first


def test_hot_reloaded_function_runs_what_is_saved(cloud, source_folder):
    """A change takes effect at the next invocation; without one the process stays."""
    code = source_folder / "app.py"
    template = (
        "import os\nfrom package import part\ndef handler(event, context): return ['{}', part.word, os.getpid()]\n"
    )
    (source_folder / "package").mkdir()
    (source_folder / "package" / "part.py").write_text("word = 'old'\n")
    code.write_text(template.format("first"))
    name = cloud.create({"S3Bucket": "hot-reload", "S3Key": str(source_folder)})
    first = cloud.invoke(name).json
    assert first[:2] == ["first", "old"]
    assert cloud.invoke(name).json == first
    code.write_text(template.format("other"))
    assert cloud.invoke(name).json[:2] == ["other", "old"]
    (source_folder / "package" / "part.py").write_text("word = 'new'\n")
    assert cloud.invoke(name).json[:2] == ["other", "new"]


def test_hot_reloaded_layer_is_what_is_saved(cloud, source_folder):
    """A layer's folder is followed like a function's."""
    module = source_folder / "python/shared.py"
    module.parent.mkdir()
    module.write_text("word = 'old'\n")
    arn = cloud.awslambda.publish_layer_version(
        LayerName=f"hot-{source_folder.name}", Content={"S3Bucket": "hot-reload", "S3Key": str(source_folder)}
    )["LayerVersionArn"]
    source = "import os, shared\ndef handler(event, context): return [shared.word, os.getpid()]\n"
    name = cloud.deploy(source, Layers=[arn])
    first = cloud.invoke(name).json
    assert first[0] == "old"
    assert cloud.invoke(name).json == first
    module.write_text("word = 'new!'\n")
    assert cloud.invoke(name).json[0] == "new!"


def test_hot_reload_ignores_what_is_not_code(cloud, source_folder):
    """Bytecode and editors' leavings do not restart a function; and it leaves none itself."""
    (source_folder / "app.py").write_text("import os\ndef handler(event, context): return os.getpid()\n")
    name = cloud.create({"S3Bucket": "hot-reload", "S3Key": str(source_folder)})
    first = cloud.invoke(name).json
    assert sorted(path.name for path in source_folder.iterdir()) == ["app.py"]
    (source_folder / ".app.py.swp").write_text("")
    (source_folder / "__pycache__").mkdir()
    assert cloud.invoke(name).json == first


def test_hot_reload_ignores_what_it_is_told_to(clouds):
    """The setting's globs are in place of the usual ones."""
    cloud = clouds(PROCESS_EXECUTOR_HOT_RELOAD_IGNORE="*.txt,notes")
    folder = cloud.folder / "source"
    (folder / "notes").mkdir(parents=True)
    (folder / "app.py").write_text("import os\ndef handler(event, context): return os.getpid()\n")
    name = cloud.create({"S3Bucket": "hot-reload", "S3Key": str(folder)})
    first = cloud.invoke(name).json
    for path in ("read.txt", "notes/any.py"):
        (folder / path).write_text("new")
        assert cloud.invoke(name).json == first
    (folder / ".app.py.swp").write_text("")
    cloud.invoke(name)
    assert len([line for line in cloud.output if f"of {name}:$LATEST: its files have changed" in line]) == 1


def test_hot_reloaded_syntax_error_is_mended_by_saving(cloud, source_folder):
    """A broken save is answered with its error, the next good one is served."""
    code = source_folder / "app.py"
    code.write_text("def handler(event, context): return 1\n")
    name = cloud.create({"S3Bucket": "hot-reload", "S3Key": str(source_folder)})
    assert cloud.invoke(name).json == 1
    code.write_text("def handler(event, context) return 2\n")
    assert cloud.invoke(name).json["errorType"] == "Runtime.UserCodeSyntaxError"
    code.write_text("def handler(event, context): return 33\n")
    assert cloud.invoke(name).json == 33


def test_custom_runtime_runs_its_bootstrap(cloud):
    """provided.al2023 talks to the Runtime API by itself."""
    name = cloud.deploy({"bootstrap": BOOTSTRAP}, Runtime="provided.al2023", Handler="any.thing", MemorySize=256)
    answers = [cloud.invoke(name, {"n": n}) for n in range(2)]
    assert [answer.json for answer in answers] == [{"custom": {"n": 0}}, {"custom": {"n": 1}}]
    assert "\nhandling any.thing\n" in answers[1].log


def test_custom_runtime_may_stream_its_response(cloud):
    """In chunks, which are put together; a trailer says that it went wrong midway."""
    name = cloud.deploy({"bootstrap": STREAMING}, Runtime="provided.al2023", Handler="h", MemorySize=256)
    answer = cloud.invoke(name, False)
    assert (answer.error, answer.json) == (None, "one, two")
    assert cloud.invoke(name, True).error == "Unhandled"
    assert cloud.invoke(name, False).json == "one, two"


def test_custom_runtime_from_a_layer_runs(cloud, layer):
    """A bootstrap may come in a layer."""
    arn = layer({"bootstrap": BOOTSTRAP})
    name = cloud.deploy({"data": ""}, Runtime="provided.al2", Handler="h", Layers=[arn], MemorySize=256)
    assert cloud.invoke(name, 7).json == {"custom": 7}


def test_custom_runtime_without_bootstrap_is_an_invalid_entrypoint(cloud):
    """Nothing to start: AWS's words."""
    answer = cloud.invoke(cloud.deploy({"data": ""}, Runtime="provided.al2023", Handler="h"))
    message = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
    assert_error(answer, "Runtime.InvalidEntrypoint", message)


@pytest.mark.parametrize(
    ("bootstrap", "problem"), [("no program", "exec format error"), ("#!/nowhere\n", "no such file or directory")]
)
def test_custom_runtime_that_cannot_be_executed_is_an_invalid_entrypoint(cloud, bootstrap, problem):
    """The kernel's reason, in AWS's words."""
    answer = cloud.invoke(cloud.deploy({"bootstrap": bootstrap}, Runtime="provided.al2023", Handler="h"))
    assert_error(answer, "Runtime.InvalidEntrypoint", f"fork/exec /var/task/bootstrap: {problem}")


def test_setting_that_is_wrong_is_named_at_the_start():
    """An unusable value ends in one sentence."""
    if not PYTHON.exists():
        pytest.skip("no LocalStack's interpreter")
    program = "from process_executor.settings import settings; settings()"
    answer = subprocess.run(
        [PYTHON, "-c", program], env={"PROCESS_EXECUTOR_ISOLATION": "some"}, capture_output=True, text=True, check=False
    )
    assert answer.stderr.splitlines()[-1].endswith(
        "PROCESS_EXECUTOR_ISOLATION=some: use one of auto, namespaces, user-namespaces, process."
    )


def test_update_of_the_code_takes_effect(cloud):
    """New code, new environments."""
    name = cloud.deploy("def handler(event, context): return 'old'")
    assert cloud.invoke(name).json == "old"
    archive = zipped({"app.py": "def handler(event, context): return 'new'"})
    cloud.awslambda.update_function_code(FunctionName=name, ZipFile=archive)
    configuration = cloud.awslambda.get_function_configuration
    eventually(lambda: configuration(FunctionName=name)["LastUpdateStatus"], lambda status: status == "Successful")
    assert cloud.invoke(name).json == "new"


@pytest.fixture
def runtimes_with_debugpy():
    """A runtime's folder as it is, and debugpy in it."""
    if not RUNTIMES.exists():
        pytest.skip(f"no function runtime in {RUNTIMES} (PROCESS_EXECUTOR_RUNTIMES_DIR names another folder)")
    debugpy = pytest.importorskip("debugpy")
    with tempfile.TemporaryDirectory(dir=RUNTIMES.parent) as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(RUNTIMES / "python3.13", folder / "python3.13", copy_function=os.link)
        shutil.copytree(Path(debugpy.__file__).parent, folder / "python3.13/debugpy")
        yield folder


def test_debugger_can_attach_and_suspends_the_timeout(clouds, runtimes_with_debugpy):
    """The port is in the log; while a debugger is connected, no timeout ends the invocation."""
    port = free_port()
    cloud = clouds(PROCESS_EXECUTOR_DEBUG_PORT=str(port), PROCESS_EXECUTOR_RUNTIMES_DIR=str(runtimes_with_debugpy))
    name = cloud.deploy(
        "import threading\ndef handler(event, context): threading.Event().wait(event); return 'done'", Timeout=3
    )
    assert f"\nDebugger: attach to 127.0.0.1:{port}\n" in "\n" + cloud.invoke(name, 0).log
    request = json.dumps({"seq": 1, "type": "request", "command": "initialize", "arguments": {"adapterID": "tests"}})
    with socket.create_connection(("127.0.0.1", port)) as debugger:
        debugger.sendall(f"Content-Length: {len(request)}\r\n\r\n{request}".encode())
        assert b"Content-Length" in debugger.recv(4096)
        assert cloud.invoke(name, 4).json == "done"
    assert cloud.invoke(name, 4).timed_out
