"""The Runtime API as a custom runtime sees it, and what its words become for the caller.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html; the sentences of refusals are those of AWS's
Runtime Interface Emulator.
"""

import json
import re
import textwrap

import pytest
from test_invocations import UUID

# Makes the calls that an event asks for, answers with what they said, and with the event's own words if it has some.
BOOTSTRAP = textwrap.dedent(
    """\
    #!/usr/bin/env python3
    import http.client, json, os
    ROOT = "/2018-06-01/runtime"
    def call(method, path, body=b"", headers={}):
        connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
        connection.request(method, path if path.startswith("//") else ROOT + path, body, headers)
        answer = connection.getresponse()
        return answer, answer.read()
    starts = []
    {before}
    while True:
        answer, body = call("GET", "/invocation/next")
        request_id, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.loads(body)
        answers = []
        for method, path, *rest in event.get("calls", ()):
            found, text = call(method, path.replace("ID", request_id), *rest)
            answers.append([found.status, text.decode()])
        if "post" in event:
            path, text, headers = event["post"]
            call("POST", path.replace("ID", request_id), text.encode("latin-1"), headers)
            print("after", call("POST", f"/invocation/{request_id}/" + event["again"])[1].decode(), flush=True)
        else:
            headers = {name: value for name, value in answer.headers.items() if name.startswith("Lambda-")}
            text = json.dumps({"answers": answers, "headers": headers, "pid": os.getpid()})
            call("POST", f"/invocation/{request_id}/response", text)
    """
)
REFUSED = "State transition from {} to {} failed for runtime. Error: State transition is not allowed"
ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"


@pytest.fixture
def runtime(cloud):
    """Deploys the bootstrap, with a statement to run before the first poll."""

    def deploy(before="", **configuration):
        files = {"bootstrap": BOOTSTRAP.replace("{before}", before)}
        return cloud.deploy(files, **{"Runtime": "provided.al2023", "Handler": "h", "MemorySize": 256} | configuration)

    return deploy


def test_headers_of_an_invocation(cloud, runtime):
    """Request id, deadline, ARN and trace; no client context or Cognito identity, if the caller has none."""
    name = runtime(Timeout=9)
    answer = cloud.invoke(name, {})
    headers = answer.json["headers"]
    assert set(headers) == {
        *("Lambda-Runtime-Aws-Request-Id", "Lambda-Runtime-Deadline-Ms"),
        *("Lambda-Runtime-Invoked-Function-Arn", "Lambda-Runtime-Trace-Id"),
    }
    assert re.fullmatch(UUID, headers["Lambda-Runtime-Aws-Request-Id"])
    assert headers["Lambda-Runtime-Invoked-Function-Arn"].endswith(f":function:{name}")
    assert re.fullmatch(
        r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=[01].*", headers["Lambda-Runtime-Trace-Id"]
    )


@pytest.mark.parametrize(
    ("call", "status", "error"),
    [
        (("POST", "/invocation/other/response"), 400, ("InvalidRequestID", "Invalid request ID")),
        (("POST", "/invocation/other/error"), 400, ("InvalidRequestID", "Invalid request ID")),
        (("POST", "/init/error"), 403, ("InvalidStateTransition", REFUSED.format("Running", "InitError"))),
    ],
)
def test_calls_that_do_not_fit_are_refused(cloud, runtime, call, status, error):
    """With AWS's error, and the invocation goes on."""
    [[found, text]] = cloud.invoke(runtime(), {"calls": [call]}).json["answers"]
    assert (found, json.loads(text)) == (status, dict(zip(("errorType", "errorMessage"), error, strict=True)))


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (("PUT", "/invocation/next"), 405),
        (("GET", "/invocation/ID/response"), 405),
        (("GET", "/init/error"), 405),
        (("GET", "/nothing"), 404),
        (("GET", "//2020-01-01/extension/event/next"), 404),
    ],
)
def test_calls_that_do_not_exist_are_refused(cloud, runtime, call, status):
    """By their path, or their method."""
    assert cloud.invoke(runtime(), {"calls": [call]}).json["answers"][0][0] == status


@pytest.mark.parametrize(("again", "state"), [("response", "InvocationResponse"), ("error", "InvocationErrorResponse")])
def test_second_answer_is_refused(cloud, runtime, again, state):
    """The caller gets the first."""
    answer = cloud.invoke(runtime(), {"post": ["/invocation/ID/response", '"first"', {}], "again": again})
    assert answer.json == "first"
    line = next(line for line in answer.log_lines if line.startswith("after "))
    assert json.loads(line.removeprefix("after ")) == {
        "errorMessage": REFUSED.format("RuntimeResponseSentState", state),
        "errorType": "InvalidStateTransition",
    }


@pytest.mark.parametrize("text", ["no JSON at all", "", "{", "\xff\xfe\x00"])
def test_response_that_is_not_json_is_handed_through(cloud, runtime, text):
    """The bytes that the runtime sent are the caller's; what they mean is between those two."""
    answer = cloud.invoke(runtime(), {"post": ["/invocation/ID/response", text, {}], "again": "response"})
    assert (answer.error, answer.payload) == (None, text.encode("latin-1"))


def test_error_of_an_invocation_is_handed_through(cloud, runtime):
    """Byte for byte; the runtime goes on, and REPORT has no status."""
    name = runtime()
    before = cloud.invoke(name, {}).json["pid"]
    text = '{"errorMessage": "mine",  "errorType": "My.Own", "more": [1]}'
    post = ["/invocation/ID/error", text, {ERROR_TYPE: "My.Own"}]
    answer = cloud.invoke(name, {"post": post, "again": "error"})
    assert (answer.error, answer.payload) == ("Unhandled", text.encode())
    assert "Status:" not in answer.log_lines[-1]
    assert cloud.invoke(name, {}).json["pid"] == before


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("Runtime.NoSuchThing", "Runtime.NoSuchThing"),
        ("Function.Mine", "Function.Mine"),
        ("Function.mine", "Function.Unknown"),
        ("My.Own", "Runtime.Unknown"),
        (None, "Runtime.Unknown"),
    ],
)
def test_error_of_an_initialization_is_handed_through(cloud, runtime, given, written):
    """Byte for byte; the platform's lines have its type, if it is one of those that AWS takes."""
    text = '{"errorMessage": "not ready",  "errorType": "My.Own"}'
    headers = {ERROR_TYPE: given} if given else {}
    name = runtime(f"call('POST', '/init/error', {text!r}, {headers}); os._exit(1)")
    answer = cloud.invoke(name, {})
    assert (answer.error, answer.payload) == ("Unhandled", text.encode())
    assert f"Phase: invoke\tStatus: error\tError Type: {written}\n" in answer.log
    assert answer.log_lines[-1].endswith(f"\tStatus: error\tError Type: {written}\t")


@pytest.mark.parametrize(("size", "fits"), [(6 * 1024 * 1024 + 100, True), (6 * 1024 * 1024 + 101, False)])
def test_response_may_be_this_large(cloud, size, fits):
    """6 MiB and 100 bytes."""
    answer = cloud.run(f"def handler(event, context): return 'x' * ({size} - 2)", MemorySize=512)
    if fits:
        assert len(answer.payload) == size
    else:
        text = "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
        assert answer.json == {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": text}


def test_there_is_no_cognito_identity(cloud):
    """Invoke has no way to name one here; the context's identity is empty."""
    source = """
    def handler(event, context):
        return [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id]
    """
    assert cloud.run(source).json == [None, None]
