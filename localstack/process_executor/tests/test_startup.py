"""Functions that do not start: each failure is AWS's, with the log that explains it."""

import re

import pytest
from test_invocations import assert_error


def test_error_at_import_is_answered_with_its_trace(cloud):
    """An exception of the module reaches the caller of the first invocation."""
    answer = cloud.run('raise Exception("Runtime startup fails")\n')
    found = answer.json
    assert answer.error == "Unhandled"
    assert (found["errorType"], found["errorMessage"], found["requestId"]) == ("Exception", "Runtime startup fails", "")
    assert found["stackTrace"][0].startswith('  File "/var/lang/lib/python3.13/importlib/__init__.py", line ')
    last = '  File "/var/task/app.py", line 1, in <module>\n    raise Exception("Runtime startup fails")\n'
    assert found["stackTrace"][-1] == last


def test_error_at_import_is_in_the_log(cloud):
    """Both tries of the initialization are in the log, before START, and REPORT says why it came to nothing."""
    lines = cloud.run("import os\nprint('begun')\nos._exit(7)\n").log_lines
    report = r"INIT_REPORT Init Duration: [\d.]+ ms\tPhase: {}\tStatus: error\tError Type: Runtime.ExitError"
    expected = ["begun", report.format("init"), "begun", report.format("invoke"), "START .*", "END .*"]
    assert all(map(re.fullmatch, expected, lines[:-1])), lines
    assert len(lines) == len(expected) + 1
    assert re.fullmatch(
        r"REPORT .*\tMax Memory Used: \d+ MB\tStatus: error\tError Type: Runtime.ExitError\t", lines[-1]
    )


def test_error_at_import_is_tried_again(cloud):
    """An initialization that failed is tried a second time within the first invocation, with the same /tmp."""
    source = """
    import os, tempfile
    path = os.path.join(tempfile.gettempdir(), "tried")
    if not os.path.exists(path):
        open(path, "w").close()
        raise ValueError("at first")
    def handler(event, context): return "served"
    """
    answer = cloud.run(source)
    assert answer.json == "served"
    assert "Phase: init\tStatus: error\tError Type: Runtime.Unknown\n" in answer.log
    assert "Phase: invoke" not in answer.log


def test_exception_that_ends_the_runtime_is_printed_without_the_executors_frames(cloud):
    """The traceback begins with the runtime client's."""
    lines = cloud.run("def handler(event, context): raise BaseException('end')\n").log_lines
    begin = lines.index("Traceback (most recent call last):")
    assert re.fullmatch(r'  File "/var/runtime/awslambdaric/__main__.py", line \d+, in <module>', lines[begin + 1])
    assert lines[-3] == "BaseException: end"


HOOKS = """
import os, snapshot_restore_py
snapshot_restore_py.register_before_snapshot(print, "before the snapshot")
snapshot_restore_py.register_after_restore({})
def handler(event, context): return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
"""


def test_snap_start_runs_the_hooks_of_published_versions(cloud):
    """They are around a restore, and the function knows; $LATEST has none."""
    source = HOOKS.format('print, "after the restore"')
    name = cloud.deploy(source, SnapStart={"ApplyOn": "PublishedVersions"})
    latest = cloud.invoke(name)
    assert latest.json == "on-demand"
    assert "snapshot" not in latest.log
    version = cloud.awslambda.publish_version(FunctionName=name)["Version"]
    cloud.awslambda.get_waiter("published_version_active").wait(FunctionName=name, Qualifier=version)
    answer = cloud.invoke(name, Qualifier=version)
    assert answer.json == "snap-start"
    assert answer.log_lines[:2] == ["before the snapshot", "after the restore"]


def test_snap_start_hook_that_fails_is_an_error_of_the_start(cloud):
    """The caller gets the hook's exception."""
    name = cloud.deploy(HOOKS.format("int, 'no number'"), SnapStart={"ApplyOn": "PublishedVersions"})
    version = cloud.awslambda.publish_version(FunctionName=name)["Version"]
    cloud.awslambda.get_waiter("published_version_active").wait(FunctionName=name, Qualifier=version)
    answer = cloud.invoke(name, Qualifier=version)
    assert (answer.error, answer.json["errorType"]) == ("Unhandled", "ValueError")


@pytest.mark.parametrize(
    ("handler", "error_type", "message"),
    [
        (
            "nowhere.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'nowhere': No module named 'nowhere'",
        ),
        ("app.nothing", "Runtime.HandlerNotFound", "Handler 'nothing' missing on module 'app'"),
        (
            "handler",
            "Runtime.MalformedHandlerName",
            "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
        ),
        ("sys.handler", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
    ],
)
def test_handler_that_does_not_exist_is_named(cloud, handler, error_type, message):
    """A wrong handler is answered in the runtime client's words."""
    found = cloud.run("def handler(event, context): pass", Handler=handler).json
    assert found == {"errorMessage": message, "errorType": error_type, "requestId": "", "stackTrace": []}


def test_syntax_error_is_shown_with_its_line(cloud):
    """A module that is not Python says where."""
    found = cloud.run("def handler(event, context:\n    pass\n").json
    assert found == {
        "errorMessage": "Syntax error in module 'app': '(' was never closed (app.py, line 1)",
        "errorType": "Runtime.UserCodeSyntaxError",
        "requestId": "",
        "stackTrace": ['  File "/var/task/app.py" Line 1\n    def handler(event, context:\n'],
    }


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("sys.exit(0)", "Runtime exited without providing a reason"),
        ("sys.exit(5)", "Runtime exited with error: exit status 5"),
        ("os._exit(6)", "Runtime exited with error: exit status 6"),
        ("os.abort()", "Runtime exited with error: signal: aborted"),
    ],
)
def test_exit_at_import_is_answered(cloud, statement, message):
    """A module that ends the process is reported with how."""
    assert_error(cloud.run(f"import os, sys\n{statement}\n"), "Runtime.ExitError", message)


def test_import_that_hangs_runs_into_the_functions_timeout(cloud_of_short_inits):
    """When the time for initialization is over, it is tried again within the function's own timeout."""
    answer = cloud_of_short_inits.run("import threading\nthreading.Event().wait()\n", Timeout=1)
    assert answer.json["errorMessage"].endswith(" Task timed out after 1.00 seconds")
    assert "Phase: init\tStatus: timeout" in answer.log
    assert "Phase: invoke\tStatus: timeout" in answer.log


def test_slow_import_is_given_its_time(cloud_of_short_inits):
    """A module too slow for the initialization is served once it fits into the function's timeout."""
    source = "import threading\nthreading.Event().wait(1.4)\ndef handler(event, context): return 'served'\n"
    assert cloud_of_short_inits.run(source, Timeout=10).json == "served"


def test_zip_that_is_none_is_refused(cloud):
    """Code that is not an archive never becomes a function, and no function becomes that."""
    error = cloud.awslambda.exceptions.InvalidParameterValueException
    words = re.escape("Could not unzip uploaded file. Please check your file, then try to upload again.") + "$"
    with pytest.raises(error, match=words):
        cloud.create({"ZipFile": b"no archive"})
    name = cloud.deploy("def handler(event, context): return 'before'")
    with pytest.raises(error, match=words):
        cloud.awslambda.update_function_code(FunctionName=name, ZipFile=b"no archive")
    assert cloud.invoke(name).json == "before"
