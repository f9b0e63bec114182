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
        {"PYTHONUNBUFFERED": "1"},
        {"PYTHONPATH": "/var/runtime"},
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


def test_wrapper_may_add_to_the_search_path(run):
    """A sitecustomize module there runs first."""
    answer = run({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/with-site"}, ["CUSTOMIZED"]).json
    assert answer["variables"] == {"CUSTOMIZED": "by the layer"}
    assert answer["path"][:5] == [
        *("/var/task", "/opt/python/lib/python3.13/site-packages", "/opt/python", "/var/runtime", "/opt/wrapper"),
    ]


@pytest.mark.parametrize("wrapper", [{}, {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/with-count"}])
def test_function_may_add_to_the_search_path(run, wrapper):
    """By a variable of its own, which stays as it is."""
    files = {
        "app.py": SOURCE.replace("import layered", "import bundled as layered"),
        "lib/bundled.py": "word = 'own'\n",
    }
    answer = run(wrapper | {"PYTHONPATH": "/var/task/lib"}, ["PYTHONPATH"], source=files).json
    assert (answer["word"], answer["path"][3:5]) == ("own", ["/var/runtime", "/var/task/lib"])
    assert answer["variables"] == {"PYTHONPATH": "/var/task/lib"}


def test_wrapper_that_is_missing_is_exit_status_127(run):
    """As a shell answers for a command that it does not find."""
    answer = run({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/nothing"})
    assert answer.json["errorType"] == "Runtime.ExitError"
    assert answer.json["errorMessage"].endswith("Runtime exited with error: exit status 127")


def test_wrapper_of_nodejs_adds_options_before_the_last_argument(run):
    """Its program is the last one, too."""
    if not (RUNTIMES / "nodejs22.x").exists():
        pytest.skip(f"no runtime nodejs22.x in {RUNTIMES}")
    files = {"index.js": "exports.handler = async () => [process.title, process.argv];"}
    runtime = {"Runtime": "nodejs22.x", "Handler": "index.handler", "MemorySize": 256}
    assert run({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/node-options"}, source=files, **runtime).json == [
        *("wrapped", ["/var/lang/bin/node", "/var/runtime/index.mjs"]),
    ]
