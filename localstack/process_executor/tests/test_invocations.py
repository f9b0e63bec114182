"""What the caller of Invoke gets, text for text as AWS answers."""

import base64
import json
import re
import textwrap

import pytest
from botocore.exceptions import ClientError
from cloud import eventually

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


def assert_error(answer, error_type, message):
    """The answer is AWS's for a runtime that did not report for itself."""
    assert answer.error == "Unhandled"
    found = answer.json
    assert re.fullmatch(f"RequestId: {UUID} Error: {re.escape(message)}", found["errorMessage"]), found
    assert found["errorType"] == error_type
    assert list(found) == ["errorType", "errorMessage"]


def test_invoke_answers_what_the_handler_returns(cloud):
    """Event in, return value out, as JSON."""
    answer = cloud.run("def handler(event, context): return {'got': event}", {"text": "grüße 🎈"})
    assert answer.error is None
    assert answer.json == {"got": {"text": "grüße 🎈"}}


def test_invoke_answers_null_for_none(cloud):
    """A handler without a return value answers null."""
    assert cloud.run("def handler(event, context): pass").payload == b"null"


def test_context_tells_the_function_about_itself(cloud):
    """Every documented property of the context object holds."""
    source = """
    def handler(event, context):
        return {
            "name": context.function_name, "version": context.function_version, "arn": context.invoked_function_arn,
            "memory": context.memory_limit_in_mb, "id": context.aws_request_id, "group": context.log_group_name,
            "stream": context.log_stream_name, "left": context.get_remaining_time_in_millis(),
            "client": context.client_context,
        }
    """
    name = cloud.deploy(source, MemorySize=192, Timeout=7)
    found = cloud.invoke(name).json
    assert found["name"] == name
    assert found["version"] == "$LATEST"
    assert found["arn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert found["memory"] == "192"
    assert re.fullmatch(UUID, found["id"])
    assert found["group"] == f"/aws/lambda/{name}"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", found["stream"])
    assert 5000 < found["left"] <= 7000
    assert found["client"] is None


def test_client_context_reaches_the_function(cloud):
    """The caller's client context is the function's."""
    source = (
        "def handler(event, context): return [context.client_context.custom, context.client_context.client.app_title]"
    )
    context = {"custom": {"foo": "bar"}, "client": {"app_title": "tests"}, "env": {"fizz": "buzz"}}
    encoded = base64.b64encode(json.dumps(context).encode()).decode()
    answer = cloud.invoke(cloud.deploy(source), ClientContext=encoded)
    assert answer.json == [{"foo": "bar"}, "tests"]


@pytest.mark.parametrize("sampled", ["0", "1"])
def test_trace_is_sampled_if_the_caller_says_so(cloud, sampled):
    """The function sees the caller's trace and decision."""
    trace = f"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled={sampled}"
    name = cloud.deploy("import os\ndef handler(event, context): return os.environ['_X_AMZN_TRACE_ID']\n")
    client = cloud.client("lambda")
    client.meta.events.register("before-send", lambda request, **_: request.headers.update({"X-Amzn-Trace-Id": trace}))
    assert json.load(client.invoke(FunctionName=name)["Payload"]) == trace


def test_handler_error_is_reported_by_the_runtime(cloud):
    """An exception is answered with AWS's paths in its stack trace."""
    answer = cloud.run('def handler(event, context):\n    raise Exception("Handler fails")\n')
    assert answer.error == "Unhandled"
    found = answer.json
    assert re.fullmatch(UUID, found.pop("requestId"))
    assert found == {
        "errorMessage": "Handler fails",
        "errorType": "Exception",
        "stackTrace": ['  File "/var/task/app.py", line 2, in handler\n    raise Exception("Handler fails")\n'],
    }


def test_handler_error_leaves_the_environment_warm(cloud):
    """The same process serves the invocation after an exception."""
    name = cloud.deploy("import os\ndef handler(event, context):\n    if event: 1 / 0\n    return os.getpid()\n")
    before = cloud.invoke(name).payload
    assert cloud.invoke(name, {"fail": True}).error == "Unhandled"
    assert cloud.invoke(name).payload == before


def test_timeout_is_answered_and_a_new_process_serves_next(cloud):
    """A handler over its time is killed; the next invocation gets a fresh environment."""
    source = (
        "import threading\ndef handler(event, context):\n    if event: threading.Event().wait()\n    return 'served'\n"
    )
    name = cloud.deploy(source, Timeout=2)
    assert cloud.invoke(name, {"hang": True}).json["errorMessage"].endswith(" Task timed out after 2.00 seconds")
    assert cloud.invoke(name).json == "served"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("sys.exit(4)", "Runtime exited with error: exit status 4"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("sys.exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "Runtime exited with error: signal: killed"),
        ("os.kill(os.getpid(), signal.SIGTERM)", "Runtime exited with error: signal: terminated"),
        ("os.abort()", "Runtime exited with error: signal: aborted"),
        ("ctypes.string_at(0)", "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_exit_during_an_invocation_is_answered(cloud, statement, message):
    """However the process ends, the caller is told, and the next invocation is served."""
    modules = "import ctypes, os, signal, sys"
    source = f"{modules}\ndef handler(event, context):\n    if event: {statement}\n    return 'served'\n"
    name = cloud.deploy(source)
    assert_error(cloud.invoke(name, {"end": True}), "Runtime.ExitError", message)
    assert cloud.invoke(name).json == "served"


def test_memory_over_the_limit_is_answered(cloud):
    """More memory than configured ends the environment, with AWS's answer."""
    growing = "kept = [bytearray(1 << 20) for _ in range(400)]"
    source = f"def handler(event, context):\n    if event: {growing}\n    return 'served'\n"
    name = cloud.deploy(source, MemorySize=128)
    answer = cloud.invoke(name, {"grow": True})
    assert_error(answer, "Runtime.OutOfMemory", "Runtime exited with error: signal: killed")
    assert "\tMax Memory Used: 128 MB\t" in answer.log
    assert cloud.invoke(name).json == "served"


def test_short_peak_over_the_limit_is_answered_alike(cloud):
    """Memory that was given back before the answer was used all the same."""
    name = cloud.deploy("def handler(event, context): return len(b'x' * (event << 20))", MemorySize=128)
    assert_error(cloud.invoke(name, 300), "Runtime.OutOfMemory", "Runtime exited with error: signal: killed")
    assert cloud.invoke(name, 50).json == 50 << 20


def test_response_over_the_limit_is_refused(cloud):
    """Six megabytes and no more; the caller is told, and the next invocation is served."""
    name = cloud.deploy("def handler(event, context): return 'x' * event['size']")
    answer = cloud.invoke(name, {"size": 7_000_000})
    assert answer.error == "Unhandled"
    assert answer.json == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }
    assert cloud.invoke(name, {"size": 1}).json == "x"


def test_large_payloads_go_both_ways(cloud):
    """Nearly six megabytes in and out."""
    text = "x" * 6_200_000
    assert cloud.run("def handler(event, context): return event", text).json == text


@pytest.mark.parametrize(("invocation_type", "limit"), [("RequestResponse", 6_291_456), ("Event", 1_048_576)])
def test_request_over_the_limit_is_refused(cloud, invocation_type, limit):
    """What fits is taken, one byte more is a 413 in AWS's words."""
    name = cloud.deploy("def handler(event, context): pass")

    def send(size):
        return cloud.awslambda.invoke(
            FunctionName=name, InvocationType=invocation_type, Payload=b'"%0*d"' % (size - 2, 0)
        )

    assert send(limit)["StatusCode"] < 300
    with pytest.raises(ClientError) as caught:
        send(limit + 1)
    error = caught.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert error["Error"]["Code"] == "RequestEntityTooLargeException"
    assert error["Error"]["Message"] == f"Request must be smaller than {limit} bytes for the InvokeFunction operation"


@pytest.mark.parametrize("invocation_type", ["RequestResponse", "Event"])
@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt", "Invalid UTF-8 start byte 0x87"),
        (b"Hello World", f"Unrecognized token 'Hello': was expecting {VALUES}"),
        (b"[1,]", "Unexpected character (']' (code 93)): expected a value"),
        (b'{"a', "Unexpected end-of-input in field name"),
    ],
)
def test_request_that_is_not_json_is_refused(cloud, invocation_type, payload, fault):
    """A 400 in the words of AWS's parser; the function does not run."""
    name = cloud.deploy("def handler(event, context): pass")
    with pytest.raises(ClientError) as caught:
        cloud.awslambda.invoke(FunctionName=name, InvocationType=invocation_type, Payload=payload)
    error = caught.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert (error["Error"]["Code"], error["Type"]) == ("InvalidRequestContentException", "User")
    place = r" at \[Source: REDACTED \(`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled\); line: 1, column: \d\]"
    text = re.escape(f"Could not parse request body into json: Could not parse payload into json: {fault}\n")
    assert re.fullmatch(text + place, error["Error"]["Message"])
    assert cloud.environments(name) == []


@pytest.mark.parametrize("arguments", [{}, {"Payload": b""}])
def test_request_without_a_payload_is_an_empty_object(cloud, arguments):
    """The function need not expect anything else."""
    name = cloud.deploy("def handler(event, context): return event")
    assert json.load(cloud.awslambda.invoke(FunctionName=name, **arguments)["Payload"]) == {}


def test_unserializable_response_is_the_runtimes_error(cloud):
    """What is not JSON is an error of the runtime client, in its words."""
    found = cloud.run("def handler(event, context): return {1, 2}").json
    assert found["errorType"] == "Runtime.MarshalError"
    assert found["errorMessage"] == "Unable to marshal response: Object of type set is not JSON serializable"


def test_infinite_recursion_is_an_error_of_the_function(cloud):
    """CPython's own limit ends it."""
    statement = "def handler(event, context): return handler(event, context)"
    found = cloud.run(statement).json
    assert (found["errorType"], found["errorMessage"]) == ("RecursionError", "maximum recursion depth exceeded")
    assert found["stackTrace"][0] == f'  File "/var/task/app.py", line 1, in handler\n    {statement}\n'


def test_version_is_named_to_the_function_and_the_caller(cloud):
    """A published version runs as that version."""
    name = cloud.deploy("def handler(event, context): return context.function_version")
    version = cloud.awslambda.publish_version(FunctionName=name)["Version"]
    configuration = cloud.awslambda.get_function_configuration
    eventually(lambda: configuration(FunctionName=name, Qualifier=version)["State"], lambda state: state == "Active")
    answer = cloud.invoke(name, Qualifier=version)
    assert answer.version == version == "1"
    assert answer.json == "1"


def test_runtime_that_is_slow_to_poll_again_is_waited_for(cloud):
    """An invocation that comes before the runtime asks for it is handed out when it does."""
    bootstrap = """\
    #!/usr/bin/env python3
    import os, time, urllib.request
    api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
    while True:
        with urllib.request.urlopen(f"{api}/next") as answer:
            request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        urllib.request.urlopen(f"{api}/{request_id}/response", b'"served"').close()
        time.sleep(0.5)
    """
    files = {"bootstrap": textwrap.dedent(bootstrap)}
    name = cloud.deploy(files, Runtime="provided.al2023", Handler="h", MemorySize=256)
    assert [cloud.invoke(name).json for _ in range(3)] == ["served"] * 3
