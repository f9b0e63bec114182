"""Each version of Python: by an interpreter of exactly that version, with the same answers from all of them."""

import re

import pytest
from cloud import RUNTIMES

VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")


@pytest.fixture(params=VERSIONS)
def version(request, cloud):
    """A version of Python that this machine has; one that is absent was refused by name, never replaced."""
    runtime = f"python{request.param}"
    name = cloud.deploy("def handler(event, context): pass", Runtime=runtime)
    configuration = cloud.awslambda.get_function_configuration(FunctionName=name)
    if configuration["State"] == "Failed":
        assert runtime in configuration["StateReason"]
        assert "install" in configuration["StateReason"].lower()
        if (RUNTIMES / runtime).exists():
            pytest.fail(configuration["StateReason"])
        pytest.skip(configuration["StateReason"])
    return request.param


def test_runtime_is_of_exactly_its_version(cloud, version):
    """The interpreter, its place, its name in the environment, and where modules are looked for."""
    source = """
    import os, sys
    def handler(event, context):
        return [list(sys.version_info[:2]), sys.executable, os.environ["AWS_EXECUTION_ENV"], sys.path[:4]]
    """
    assert cloud.run(source, Runtime=f"python{version}").json == [
        [int(part) for part in version.split(".")],
        f"/var/lang/bin/python{version}",
        f"AWS_Lambda_python{version}",
        ["/var/task", f"/opt/python/lib/python{version}/site-packages", "/opt/python", "/var/runtime"],
    ]


def test_names_of_localstack_are_known(cloud, version):
    """In each version's own library."""
    source = "import socket\ndef handler(event, context): return socket.getaddrinfo(event, 80)[0][4]\n"
    answer = cloud.run(source, "sqs.us-east-1.localhost.localstack.cloud", Runtime=f"python{version}")
    assert answer.json == ["127.0.0.1", 80]


def test_error_of_a_handler_is_told_alike(cloud, version):
    """The same answer and the same log, with AWS's paths."""
    answer = cloud.run(
        "def handler(event, context):\n    raise ValueError(event)\n", "told", Runtime=f"python{version}"
    )
    found = answer.json
    assert (answer.error, found["errorType"], found["errorMessage"]) == ("Unhandled", "ValueError", "told")
    assert found["stackTrace"] == ['  File "/var/task/app.py", line 2, in handler\n    raise ValueError(event)\n']
    assert "[ERROR] ValueError: told" in answer.log


def test_error_at_import_is_told_alike(cloud, version):
    """From the interpreter's own frames at /var/lang to the function's."""
    found = cloud.run("raise ValueError('told')\n", Runtime=f"python{version}").json
    assert (found["errorType"], found["errorMessage"]) == ("ValueError", "told")
    importlib = f'  File "/var/lang/lib/python{version}/importlib/__init__.py", line '
    assert found["stackTrace"][0].startswith(importlib)
    assert found["stackTrace"][-1].startswith('  File "/var/task/app.py", line 1, in <module>\n')


def test_exit_is_told_alike(cloud, version):
    """A process that ends is answered, and the next invocation served."""
    name = cloud.deploy(
        "import os\ndef handler(event, context):\n    if event: os._exit(event)\n", Runtime=f"python{version}"
    )
    found = cloud.invoke(name, 3).json
    assert found["errorType"] == "Runtime.ExitError"
    assert found["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert cloud.invoke(name, 0).payload == b"null"


def test_log_records_are_written_alike(cloud, version):
    """A record of the module logging is one event, line breaks or not, and names its request."""
    source = "import logging\ndef handler(event, context): logging.warning('one\\ntwo')\n"
    log = cloud.run(source, Runtime=f"python{version}").log
    assert re.search(r"\[WARNING\]\t\S+Z\t[0-9a-f-]{36}\tone\ntwo\n", log), log


def test_sdk_is_there(cloud, version):
    """boto3 and what it needs, in versions for that Python."""
    source = "import boto3\ndef handler(event, context): return boto3.client('sts').get_caller_identity()['Account']\n"
    name = cloud.deploy(source, Runtime=f"python{version}", Timeout=60, MemorySize=512)
    assert cloud.invoke(name).json == "000000000000"


def test_wrapper_starts_that_version(cloud, version):
    """A wrapper gets the interpreter of the runtime."""
    wrapper = '#!/bin/sh\nexport WRAPPED="$1"\nexec "$@"\n'
    source = "import os\ndef handler(event, context): return os.environ['WRAPPED']\n"
    variables = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}}
    name = cloud.deploy({"app.py": source, "wrapper": wrapper}, Runtime=f"python{version}", Environment=variables)
    assert cloud.invoke(name).json == f"/var/lang/bin/python{version}"


def test_runtime_that_is_absent_names_what_would_run_it(clouds, tmp_path):
    """Without a runtime's folder, the function's state has the command that makes it."""
    cloud = clouds(PROCESS_EXECUTOR_RUNTIMES_DIR=str(tmp_path))
    name = cloud.deploy("def handler(event, context): pass", Runtime="python3.12")
    configuration = cloud.awslambda.get_function_configuration(FunctionName=name)
    assert configuration["State"] == "Failed"
    assert configuration["StateReason"].endswith(
        f"The runtime python3.12 has no runtime client in {tmp_path}/python3.12. Install it with: pip install"
        f" --target {tmp_path}/python3.12 --python-version 3.12 --only-binary=:all: awslambdaric boto3"
    )


def test_runtime_that_needs_docker_says_so(cloud):
    """Another runtime fails when the function is created, with what would run it."""
    name = cloud.deploy({"index.rb": ""}, Runtime="ruby3.3", Handler="index.handler")
    configuration = cloud.awslambda.get_function_configuration(FunctionName=name)
    assert configuration["State"] == "Failed"
    assert "The runtime ruby3.3 needs Docker" in configuration["StateReason"]
    assert "LAMBDA_RUNTIME_EXECUTOR=docker" in configuration["StateReason"]


def test_interpreter_of_another_version_is_not_taken(clouds):
    """A configured interpreter that is not the runtime's version is refused by name."""
    cloud = clouds(PROCESS_EXECUTOR_INTERPRETERS="python3.13=/bin/true")
    name = cloud.deploy("def handler(event, context): pass")
    reason = cloud.awslambda.get_function_configuration(FunctionName=name)["StateReason"]
    assert "needs a Python 3.13 interpreter and none was found" in reason


def test_interpreter_may_be_named(cloud, clouds):
    """Where none would be found, the setting tells."""
    source = "import sys\ndef handler(event, context): return sys.version_info[:2]\n"
    assert cloud.run(source, Runtime="python3.12").json == [3, 12]
    [found] = [each["python"] for each in cloud.status()["nurseries"] if each["runtime"] == "python3.12"]
    hidden = {"PATH": "/nowhere", "PYENV_ROOT": "/nowhere"}
    bare = clouds(**hidden)
    reason = bare.configuration(bare.deploy(source, Runtime="python3.12"))["StateReason"]
    assert "needs a Python 3.12 interpreter and none was found" in reason
    told = clouds(PROCESS_EXECUTOR_INTERPRETERS=f"python3.12={found}", **hidden)
    assert told.run(source, Runtime="python3.12").json == [3, 12]
