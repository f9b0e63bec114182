"""What AWS answers otherwise since 2025, as of both years."""

import json
import os
import re

import pytest
from cloud import fetch_url, function_url, permit_url

UUID = r"[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
HANGS = "import threading\ndef handler(event, context): threading.Event().wait()\n"
SERVES = "def handler(event, context): return 'served'\n"
FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see:"
    " https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)


@pytest.fixture
def cloud_of_2026(cloud, clouds):
    """As ``cloud``, with the answers of 2026."""
    return clouds(**cloud.settings, PROCESS_EXECUTOR_ANSWERS="2026")


def test_timeout_was_told_with_its_time(cloud):
    """To the caller and, in the same words, in the log before the invocation's end."""
    answer = cloud.run(HANGS, Timeout=1)
    assert answer.error == "Unhandled"
    assert list(answer.json) == ["errorMessage"]
    text = answer.json["errorMessage"]
    assert re.fullmatch(f"{TIME} {UUID} Task timed out after 1.00 seconds", text)
    start, told, empty, end, report = answer.log_lines
    request_id = text.split()[1]
    assert (start, told, empty) == (f"START RequestId: {request_id} Version: $LATEST", text, "")
    assert end == f"END RequestId: {request_id}"
    assert "Duration: 1000.00 ms" in report
    assert report.endswith("\tStatus: timeout\t")


def test_timeout_is_told_with_its_type(cloud_of_2026):
    """To the caller; the log has the status in REPORT alone."""
    answer = cloud_of_2026.run(HANGS, Timeout=1)
    assert answer.error == "Unhandled"
    assert list(answer.json) == ["errorType", "errorMessage"]
    assert answer.json["errorType"] == "Sandbox.Timedout"
    assert re.fullmatch(f"RequestId: {UUID} Error: Task timed out after 1.00 seconds", answer.json["errorMessage"])
    assert [line.split()[0] for line in answer.log_lines] == ["START", "END", "REPORT"]
    assert answer.log_lines[-1].endswith("\tStatus: timeout\t")


def test_timeout_in_json_logs_is_an_event_alone(cloud):
    """There every line is JSON, in either year."""
    answer = cloud.run(HANGS, Timeout=1, LoggingConfig={"LogFormat": "JSON"})
    assert answer.json["errorMessage"].endswith(" Task timed out after 1.00 seconds")
    events = [json.loads(line) for line in answer.log_lines]
    assert events[-1]["record"]["status"] == "timeout"


CORE = """
import resource
def handler(event, context): return resource.getrlimit(resource.RLIMIT_CORE)
"""


def test_core_files_had_no_limit(cloud):
    """Programs of the function's get what this machine allows."""
    assert cloud.run(CORE).json == [-1, -1]


def test_core_files_have_a_limit(cloud_of_2026):
    assert cloud_of_2026.run(CORE).json == [10 << 30] * 2


TMP = """
import os, stat
from pathlib import Path
def handler(event, context):
    Path("/tmp/mine").touch()
    return [stat.filemode(os.stat("/tmp").st_mode), Path("/tmp").owner()]
"""


def test_tmp_was_the_functions(cloud):
    assert cloud.run(TMP).json == ["drwx------", "sbx_user1051"]


def test_tmp_is_roots_and_open_to_all(cloud_of_2026):
    mode, owner = cloud_of_2026.run(TMP).json
    assert mode == "drwxrwxrwt"
    assert os.geteuid() != 0 or owner == "root"


INIT = """
def handler(event, context):
    text = open("/proc/1/environ").read()
    return dict(line.split("=", 1) for line in text.split("\\0") if line.strip("\\0"))
"""


def test_init_had_variables_of_its_own(cloud):
    """None of the user's, no credentials, and nothing of the host's."""
    name = cloud.deploy(INIT, Environment={"Variables": {"MINE": "42"}})
    found = cloud.invoke(name).json
    assert (found["AWS_EXECUTION_ENV"], found["AWS_LAMBDA_FUNCTION_NAME"]) == ("AWS_Lambda_rapid", name)
    assert found["LAMBDA_TASK_ROOT"] == "/var/task"
    assert not {"MINE", "ROOM", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API"} & set(found)


def test_init_has_the_functions_variables(cloud_of_2026):
    """And nothing of the host's."""
    found = cloud_of_2026.run(INIT, Environment={"Variables": {"MINE": "42"}}).json
    assert (found["AWS_EXECUTION_ENV"], found["MINE"]) == ("AWS_Lambda_python3.13", "42")
    assert "ROOM" not in found


def messages(cloud):
    """What those are told who may not call a URL, and who call one that is gone."""
    name = cloud.deploy(SERVES, Publish=True)
    cloud.awslambda.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    url = function_url(cloud, name, Qualifier="live")
    closed = fetch_url(cloud, url)
    permit_url(cloud, name, Qualifier="live")
    assert fetch_url(cloud, url)[0] == 200
    cloud.awslambda.delete_alias(FunctionName=name, Name="live")
    answers = [closed, fetch_url(cloud, url)]
    assert [(status, headers["x-amzn-ErrorType"]) for status, headers, _ in answers] == [
        (403, "AccessDeniedException")
    ] * 2
    return [json.loads(body) for _, _, body in answers]


def test_function_url_was_forbidden_in_a_word(cloud):
    assert messages(cloud) == [{"Message": "Forbidden"}, {"Message": None}]


def test_function_url_is_forbidden_with_a_page_to_read(cloud_of_2026):
    assert messages(cloud_of_2026) == [{"Message": FORBIDDEN}] * 2


def not_found(cloud, **arguments):
    with pytest.raises(cloud.awslambda.exceptions.ResourceNotFoundException) as refusal:
        cloud.awslambda.invoke(FunctionName="nobodys", **arguments)
    return refusal.value.response["Message"]


ARN = "arn:aws:lambda:us-east-1:000000000000:function:nobodys"


def test_function_that_was_not_there_was_called_as_asked_for(cloud):
    assert not_found(cloud) == f"Function not found: {ARN}"
    assert not_found(cloud, Qualifier="$LATEST") == f"Function not found: {ARN}:$LATEST"
    assert not_found(cloud, Qualifier="live") == f"Function not found: {ARN}:live"


def test_function_that_is_not_there_is_called_by_its_version(cloud_of_2026):
    assert not_found(cloud_of_2026) == f"Function not found: {ARN}:$LATEST"
