"""AWS_LAMBDA_EXEC_WRAPPER: what a wrapper is given, may change, and what its function finds nevertheless."""

import pytest
from cloud import RUNTIMES, zipped

# As AWS's documentation has it: more options for the interpreter go before the last argument, which is its program.
OPTIONS = """#!/bin/bash
args=("$@")
extra_args=(%s)
args=("${args[@]:0:$#-1}" "${extra_args[@]}" "${args[@]: -1}")
exec "${args[@]}"
"""
LAYER = {
    "words.txt": "in the layer",
    "python/layered.py": "word = 'layered'\n",
    "wrapper/sitecustomize.py": "import os\nos.environ['CUSTOMIZED'] = 'by the layer'\n",
    "with-site": '#!/bin/sh\nexport PYTHONPATH="/opt/wrapper:$PYTHONPATH"\nexec "$@"\n',
    "with-options": OPTIONS % '"-X" "importtime"',
    "with-handler": '#!/bin/sh\nexport ORIGINAL="$_HANDLER" _HANDLER="app.other"\nexec "$@"\n',
    "with-tmp": '#!/bin/sh\n. /opt/common\necho "$COMMON" >/tmp/common\nexec "$@"\n',
    "with-neighbour": '#!/bin/sh\n. "$(dirname "$0")/common"\nexport COMMON HOME=/tmp\nexec "$@"\n',
    "common": "COMMON=common\n",
    "with-count": '#!/bin/sh\nexport COUNT="$#" FIRST="$1"\nexec "$@"\n',
    "node-options": OPTIONS % '"--title=wrapped"',
}
SOURCE = """
import os, sys
import layered
def try_to_write(path):
    try:
        open(path, "w").close()
    except OSError as error:
        return error.errno
def handler(event, context):
    return {
        "word": layered.word, "path": sys.path, "text": open("/opt/words.txt").read(), "prefix": sys.prefix,
        "written": [try_to_write(path) for path in ("/tmp/x", "/var/task/x", "/opt/x")], "tmp": os.listdir("/tmp"),
        "here": [os.getcwd(), __file__], "variables": {name: os.environ.get(name) for name in event or []},
    }
def other(event, context):
    return os.environ["ORIGINAL"]
"""


@pytest.fixture(scope="module")
def layer(cloud):
    content = {"ZipFile": zipped(LAYER)}
    return cloud.awslambda.publish_layer_version(LayerName="wrappers", Content=content)["LayerVersionArn"]


@pytest.fixture
def run(cloud, layer):
    """Deploy with variables, and invoke once."""

    def run(variables, event=None, source=SOURCE, **configuration):
        environment = {"Environment": {"Variables": variables}} if variables else {}
        return cloud.invoke(cloud.deploy(source, Layers=[layer], **environment, **configuration), event)

    return run


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/with-count"},
        {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/with-options"},
        {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/../opt/with-count"},
        {"PYTHONUNBUFFERED": "1"},
        {"PYTHON_ENV": "production"},
    ],
)
def test_function_finds_what_it_finds_without(run, variables):
    """Modules of layers, AWS's search path, folders and limits; nothing that is installed on this machine."""
    plain = run({}).json
    assert plain["written"] == [None, 30, 30]
    assert plain["tmp"] == ["x"]
    assert run(variables).json == plain


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11", "3.12", "3.14"])
def test_function_of_any_version_finds_what_it_finds_without(run, version):
    """The wrapper starts another interpreter than the one that is forked."""
    if not (RUNTIMES / f"python{version}").exists():
        pytest.skip(f"no runtime python{version} in {RUNTIMES}")
    runtime = {"Runtime": f"python{version}"}
    assert run({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/with-count"}, **runtime).json == run({}, **runtime).json


def test_wrapper_gets_the_interpreter_and_its_program(run):
    """Two arguments, as on AWS."""
    answer = run({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/with-count"}, ["COUNT", "FIRST", "TMPDIR"]).json
    assert answer["variables"] == {"COUNT": "2", "FIRST": "/var/lang/bin/python3.13", "TMPDIR": None}


def test_wrapper_adds_options_before_the_last_argument(run):
    """The example of AWS's documentation: -X importtime."""
    answer = run({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/with-options"})
    assert answer.json["word"] == "layered"
    assert "import time:" in answer.log


def test_wrapper_may_name_another_handler(run):
    """As tracing layers do."""
    assert run({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/with-handler"}).json == "app.handler"


OTHER = SOURCE.replace("import layered", "class layered:\n    word = 'none'")


def test_wrapper_may_name_the_search_path(run):
    """A sitecustomize module there runs first; those of layers are found only if they are named, as on AWS."""
    answer = run({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/with-site"}, ["CUSTOMIZED"], source=OTHER).json
    assert answer["variables"] == {"CUSTOMIZED": "by the layer"}
    assert answer["path"][:3] == ["/var/task", "/var/runtime", "/opt/wrapper"]


def test_wrapper_and_function_share_their_tmp(run):
    """What a script names is what the function names."""
    source = SOURCE.replace("def handler", "TEXT = open('/tmp/common').read()\ndef handler").replace(
        '"word": layered.word', '"word": TEXT'
    )
    assert run({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/with-tmp"}, source=source).json["word"] == "common\n"


def test_wrapper_finds_what_is_beside_it(run):
    """By its own name; variables are what it makes them."""
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/with-neighbour", "CACHE": "/tmp/cache"}
    answer = run(variables, ["COMMON", "HOME", "CACHE"]).json
    assert answer["variables"] == {"COMMON": "common", "HOME": "/tmp", "CACHE": "/tmp/cache"}


@pytest.mark.parametrize("wrapper", [{}, {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/with-count"}])
def test_function_may_add_to_the_search_path(run, wrapper):
    """By a variable of its own, which stays as it is."""
    files = {
        "app.py": SOURCE.replace("import layered", "import bundled as layered"),
        "lib/bundled.py": "word = 'own'\n",
    }
    answer = run(wrapper | {"PYTHONPATH": "/var/task/lib"}, ["PYTHONPATH"], source=files).json
    assert (answer["word"], answer["path"][:3]) == ("own", ["/var/task", "/var/runtime", "/var/task/lib"])
    assert answer["variables"] == {"PYTHONPATH": "/var/task/lib"}


@pytest.mark.parametrize(
    ("wrapper", "status", "text"),
    [("/opt/nothing", 127, "does not exist"), ("/opt/python", 126, "is not an executable")],
)
def test_wrapper_that_cannot_be_run_is_told(run, wrapper, status, text):
    """In the words of AWS's bootstrap, with a shell's status."""
    answer = run({"AWS_LAMBDA_EXEC_WRAPPER": wrapper})
    assert answer.json["errorType"] == "Runtime.ExitError"
    assert answer.json["errorMessage"].endswith(f"Runtime exited with error: exit status {status}")
    assert f"{wrapper}: {text}" in answer.log


@pytest.mark.parametrize("variables", [{}, {"PYTHONUNBUFFERED": "1"}])
def test_pth_files_of_the_function_are_carried_out(run, variables):
    """As AWS's bootstrap.py makes site folders of the function's and its layers'."""
    files = {"app.py": SOURCE, "vendor.pth": "vendored\nimport os; os.environ['PTH'] = 'done'\n", "vendored/x.py": ""}
    answer = run(variables, ["PTH"], source=files).json
    assert answer["variables"] == {"PTH": "done"}
    assert "/var/task/vendored" in answer["path"]


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"])
def test_paths_are_the_functions_whatever_names_them(cloud, layer, version):
    """pathlib, importlib and sockets, in an interpreter of the function's own and in one that was forked."""
    if not (RUNTIMES / f"python{version}").exists():
        pytest.skip(f"no runtime python{version} in {RUNTIMES}")
    source = """
import importlib.util, os, socket, tokenize
from pathlib import Path
def handler(event, context):
    Path("/tmp/x").write_text("text")
    spec = importlib.util.spec_from_file_location("layered", "/opt/python/layered.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("/tmp/s.sock")
    return [sorted(path.name for path in Path("/tmp").iterdir()), sorted(map(str, Path("/var/task").glob("*.py"))),
            Path("/opt/words.txt").exists(), module.word, os.system("test -e /var/task/app.py -a -e /opt/words.txt"),
            tokenize.open("/var/task/app.py").readline(),
            socket.getaddrinfo("any.localhost.localstack.cloud", 80)[0][4][0]]
"""
    for variables in ({}, {"PYTHONUNBUFFERED": "1"}):
        configuration = {"Runtime": f"python{version}", "Layers": [layer], "Environment": {"Variables": variables}}
        assert cloud.invoke(cloud.deploy(source, **configuration)).json == [
            *(["s.sock", "x"], ["/var/task/app.py"], True, "layered", 0, "\n", "127.0.0.1"),
        ]


def test_function_reads_nothing_that_its_user_may_not(cloud):
    """Whatever makes it start."""
    source = """
def handler(event, context):
    with open("/proc/self/status") as file:
        return [line.split()[1] for line in file if line.startswith(("CapEff", "CapPrm", "CapAmb"))]
"""
    plain = cloud.run(source).json
    assert cloud.run(source, Environment={"Variables": {"PYTHONUNBUFFERED": "1"}}).json == plain


def test_wrapper_of_nodejs_adds_options_before_the_last_argument(run):
    """Its program is the last one, too."""
    if not (RUNTIMES / "nodejs22.x").exists():
        pytest.skip(f"no runtime nodejs22.x in {RUNTIMES}")
    files = {"index.js": "exports.handler = async () => [process.title, process.argv];"}
    runtime = {"Runtime": "nodejs22.x", "Handler": "index.handler", "MemorySize": 256}
    assert run({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/node-options"}, source=files, **runtime).json == [
        *("wrapped", ["/var/lang/bin/node", "/var/runtime/index.mjs"]),
    ]


def test_script_of_a_custom_runtime_names_awss_folders(cloud, layer):
    """Its own and those of the layer."""
    script = """#!/bin/sh
cp /var/task/words /tmp/words
cat /tmp/words /opt/words.txt "$(dirname "$0")/words"
echo; exit 3
"""
    runtime = {"Runtime": "provided.al2023", "Handler": "any", "Layers": [layer]}
    answer = cloud.invoke(cloud.deploy({"bootstrap": script, "words": "in the zip, "}, **runtime))
    assert answer.json["errorMessage"].endswith("exit status 3")
    assert "in the zip, in the layerin the zip, \n" in answer.log
