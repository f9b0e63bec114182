"""What reaches CloudWatch Logs, LogType=Tail and the live file."""

import json
import math
import re
import socket
import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from cloud import eventually
from test_invocations import UUID

REPORT = (
    r"REPORT RequestId: (?P<id>{uuid})\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
    r"Max Memory Used: \d+ MB\t(?P<rest>.*)"
).replace("{uuid}", UUID)


def finished(events):
    return any('"platform.report"' in event or event.startswith("REPORT ") for event in events)


def test_log_of_a_first_invocation_has_all_lines(cloud):
    """INIT_START, START, output, END and REPORT with the duration of the initialization, in that order."""
    name = cloud.deploy("print('importing')\ndef handler(event, context): print('handling')\n")
    cloud.invoke(name)
    events = cloud.events(name, finished)
    assert all(event.endswith("\n") for event in events)
    first, *middle, end, report = [event.rstrip("\n") for event in events]
    arn = "arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}"
    assert re.fullmatch(rf"INIT_START Runtime Version: python:3\.13\.v\d+\tRuntime Version ARN: {arn}", first)
    request_id = re.fullmatch(REPORT, report)["id"]
    assert middle == ["importing", f"START RequestId: {request_id} Version: $LATEST", "handling"]
    assert end == f"END RequestId: {request_id}"
    assert re.fullmatch(r"Init Duration: [\d.]+ ms\t", re.fullmatch(REPORT, report)["rest"])


def test_tail_has_the_invocation_without_init_start(cloud):
    """LogType=Tail is the invocation's own log."""
    answer = cloud.run("def handler(event, context): print('handling')")
    start, output, end, report = answer.log_lines
    assert re.fullmatch(f"START RequestId: {UUID} Version: \\$LATEST", start)
    assert output == "handling"
    assert re.fullmatch(f"END RequestId: {UUID}", end)
    assert re.fullmatch(REPORT, report)


def test_tail_is_the_last_four_kilobytes(cloud):
    """A longer log is cut from its beginning."""
    log = cloud.run("def handler(event, context): print('x' * 10_000)").log
    assert len(log.encode()) == 4096
    assert log.rstrip().splitlines()[-1].startswith("REPORT ")


def test_report_of_a_warm_invocation_has_no_init_duration(cloud):
    """Initialization is reported once."""
    name = cloud.deploy("def handler(event, context): pass")
    cloud.invoke(name)
    assert "Init Duration" not in cloud.invoke(name).log


def test_report_of_a_timeout_says_so(cloud):
    """With what was written before it, and the duration is the limit."""
    log = cloud.run("import threading\ndef handler(e, c): print('begun'); threading.Event().wait()", Timeout=1).log
    _, output, *_, report = log.splitlines()
    assert output == "begun"
    assert re.fullmatch(r"Init Duration: [\d.]+ ms\tStatus: timeout\t", re.fullmatch(REPORT, report)["rest"])
    assert "\tDuration: 1000.00 ms\t" in report


def test_report_of_a_crash_names_its_type(cloud):
    """The new style: status and type of the error in REPORT."""
    log = cloud.run("import os\ndef handler(event, context): os._exit(1)").log
    rest = re.fullmatch(REPORT, log.splitlines()[-1])["rest"]
    assert re.fullmatch(r"Init Duration: [\d.]+ ms\tStatus: error\tError Type: Runtime.ExitError\t", rest)


def test_report_of_a_traced_function_names_its_trace(cloud):
    """With active tracing, REPORT has the trace that the function sees; in both formats."""
    source = "import os\ndef handler(event, context): return os.environ['_X_AMZN_TRACE_ID']\n"
    answer = cloud.run(source, TracingConfig={"Mode": "Active"})
    trace = dict(part.split("=") for part in answer.json.split(";"))
    expected = f"\t\nXRAY TraceId: {trace['Root']}\tSegmentId: {trace['Parent']}\tSampled: true\t\n"
    assert answer.log.endswith(expected)
    answer = cloud.run(source, TracingConfig={"Mode": "Active"}, LoggingConfig={"LogFormat": "JSON"})
    tracing = json.loads(answer.log_lines[-1])["record"]["tracing"]
    assert (tracing["type"], tracing["value"]) == ("X-Amzn-Trace-Id", answer.json)


def test_log_record_with_line_breaks_is_one_event(cloud):
    """The runtime client frames its records, so a multi-line one stays whole; printed lines are events each."""
    name = cloud.deploy("""
    import logging
    def handler(event, context):
        print('a\\nb')
        logging.warning('c\\nd')
        print('e')
    """)
    cloud.invoke(name)
    events = cloud.events(name, finished)
    request_id = re.fullmatch(REPORT, events[-1].rstrip("\n"))["id"]
    assert [event.rstrip("\n") for event in events[2:4]] == ["a", "b"]
    assert re.fullmatch(rf"\[WARNING\]\t\S+Z\t{request_id}\tc\nd\n", events[4])
    assert events[5] == "e\n"


def test_traceback_of_a_failed_handler_is_one_event(cloud):
    """As on AWS: [ERROR], the type, the message and the stack."""
    name = cloud.deploy("def handler(event, context):\n    raise KeyError('missing')\n")
    cloud.invoke(name)
    error = next(event for event in cloud.events(name, finished) if event.startswith("[ERROR]"))
    expected = (
        "[ERROR] KeyError: 'missing'\nTraceback (most recent call last):\n"
        "\u00a0\u00a0File \"/var/task/app.py\", line 2, in handler\n\u00a0\u00a0\u00a0\u00a0raise KeyError('missing')"
    )
    assert error == expected


def test_output_without_a_newline_is_an_event(cloud):
    """The last words count, newline or not; in the tail, what follows stands on the same line."""
    name = cloud.deploy("import sys\ndef handler(event, context): sys.stdout.write('no newline')")
    assert "\nno newlineEND RequestId" in cloud.invoke(name).log
    assert "no newline" in cloud.events(name, finished)


def test_output_that_is_not_utf8_is_marked(cloud):
    """Bytes that are no text are replaced, the rest is kept."""
    name = cloud.deploy("import os\ndef handler(event, context): os.write(1, b'caf\\xe9 \\xff ok\\n')")
    assert "\ncaf\ufffd \ufffd ok\n" in cloud.invoke(name).log
    assert "caf\ufffd \ufffd ok\n" in cloud.events(name, finished)


def test_ten_megabytes_of_output_are_kept(cloud):
    """Every line of a very talkative function arrives, in time."""
    source = (
        "def handler(event, context):\n    for n in range(10_000): print(f'{n:05}' + 'x' * 1_000)\n    return 'done'\n"
    )
    name = cloud.deploy(source, Timeout=30)
    answer = cloud.invoke(name)
    assert answer.json == "done"
    assert "\n09999" + "x" * 1000 + "\nEND" in answer.log
    events = cloud.events(name, finished)
    assert [event for event in events if event.endswith("x\n")] == [
        f"{n:05}" + "x" * 1000 + "\n" for n in range(10_000)
    ]


ENDLESS = """
import subprocess, threading
def handler(event, context):
    if event == "itself":
        while True:
            print("y" * 4000)
    subprocess.Popen(["yes", "y" * 4000])
    if event == "timeout":
        threading.Event().wait()
    if event == "memory":
        kept = b"x" * (200 << 20)
        threading.Event().wait()
    return "answered"
"""


@pytest.mark.parametrize(
    ("event", "timeout_s", "expected"),
    [
        ("itself", 2, "Task timed out after 2.00 seconds"),
        ("timeout", 2, "Task timed out after 2.00 seconds"),
        ("memory", 60, "Runtime exited with error: signal: killed"),
        ("answer", 60, None),
    ],
)
def test_output_without_end_keeps_nobody_waiting(cloud, event, timeout_s, expected):
    """Neither an answer nor a timeout nor a limit waits for a function, or a child of it, to stop writing."""
    answer = cloud.run(ENDLESS, event, Timeout=timeout_s)
    if expected is None:
        assert answer.json == "answered"
    else:
        assert answer.json["errorMessage"].endswith(expected)


def test_output_without_end_during_the_initialization_times_out(cloud_of_short_inits):
    """The limits of an initialization hold too."""
    answer = cloud_of_short_inits.run("while True: print('y' * 4000)\n", Timeout=2)
    assert answer.timed_out


def test_output_of_a_child_process_is_logged(cloud):
    """What a function starts writes to the function's log."""
    log = cloud.run("import os\ndef handler(event, context): os.system('echo from a child; echo and more >&2')").log
    assert "\nfrom a child\nand more\nEND" in log


def test_report_measures(cloud):
    """Duration and memory are the function's; what is billed is both durations, rounded up."""
    source = """
    import time
    def handler(event, context):
        block = bytearray(event << 20)
        time.sleep(0.3)
    """
    name = cloud.deploy(source, MemorySize=256)
    small, large = (report_of(cloud.invoke(name, megabytes).log) for megabytes in (0, 60))
    for report in (small, large):
        assert 300 <= report["Duration"] < 1300
        exact = report["Duration"] + report.get("Init Duration", 0)  # each written with two digits
        assert report["Billed Duration"] in {math.ceil(exact - 0.01), math.ceil(exact + 0.01)}
        assert report["Memory Size"] == 256
    assert 0 < small["Init Duration"] < 5000
    assert "Init Duration" not in large
    assert 5 < small["Max Memory Used"] < 60
    assert 60 <= large["Max Memory Used"] - small["Max Memory Used"] + 2 < 70


def test_report_measures_children(cloud):
    """The memory of a child counts, although it has ended."""
    source = """
    import subprocess, sys
    def handler(event, context):
        program = "import time; block = bytearray(60 << 20); time.sleep(0.5)"
        subprocess.run([sys.executable, "-c", program], check=True)
    """
    assert 60 < report_of(cloud.run(source, MemorySize=256).log)["Max Memory Used"] < 120


def report_of(log):
    """The numbers of a log's REPORT, by name."""
    found = re.findall(r"\t([A-Z][A-Za-z ]+): ([\d.]+) (?:ms|MB)", log.splitlines()[-1])
    return {name: float(value) for name, value in found}


def test_json_format_writes_platform_events(cloud):
    """LogFormat JSON: the platform's events as AWS documents them."""
    name = cloud.deploy("def handler(event, context): print('plain')", LoggingConfig={"LogFormat": "JSON"})
    cloud.invoke(name)
    events = cloud.events(name, finished)
    init, start, output, report = (json.loads(event) if event.startswith("{") else event for event in events)
    assert init["type"] == "platform.initStart"
    assert init["record"]["runtimeVersion"].startswith("python:3.13.v")
    assert (init["record"]["initializationType"], init["record"]["phase"]) == ("on-demand", "init")
    assert start["type"] == "platform.start"
    assert start["record"]["version"] == "$LATEST"
    assert output == "plain\n"
    assert (report["type"], report["record"]["status"]) == ("platform.report", "success")
    keys = {"durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs"}
    assert set(report["record"]["metrics"]) == keys
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["time"]) for each in (init, start, report))


def test_json_format_formats_the_functions_records(cloud):
    """Log records are JSON objects with level, message, logger, time and request id."""
    source = "import logging\ndef handler(event, context): logging.getLogger('mine').warning('careful %s', 'now')\n"
    answer = cloud.run(source, LoggingConfig={"LogFormat": "JSON"})
    record = next(json.loads(line) for line in answer.log_lines if '"careful now"' in line)
    assert (record["level"], record["message"], record["logger"]) == ("WARNING", "careful now", "mine")
    assert re.fullmatch(UUID, record["requestId"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", record["timestamp"])


def test_json_format_is_told_by_variables(cloud):
    """Its name, and the level in capitals."""
    source = (
        "import os\ndef handler(event, context):\n    return [os.environ['AWS_LAMBDA_LOG_' + each] for each in event]\n"
    )
    name = cloud.deploy(source, LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN"})
    assert cloud.invoke(name, ["FORMAT", "LEVEL"]).json == ["JSON", "WARN"]


def test_application_log_level_filters_the_functions_records(cloud):
    """ApplicationLogLevel is the root logger's level."""
    source = """
    import logging
    def handler(event, context):
        logging.debug("too detailed")
        logging.info("also too detailed")
        logging.error("just right")
    """
    config = {"LogFormat": "JSON", "ApplicationLogLevel": "ERROR", "SystemLogLevel": "INFO"}
    log = cloud.run(source, LoggingConfig=config).log
    assert "just right" in log
    assert "too detailed" not in log


LEVELLED = """
import json
def handler(event, context):
    now = "2024-11-02T16:51:31.587199Z"
    for level in ("trace", "DEBUG", "info", "Warn", "error", "FATAL", "loud"):
        print(json.dumps({"level": level, "timestamp": now}))
    print(json.dumps({"level": "error", "undated": True}))
    print(json.dumps(["level"]))
    print("plain")
    print("the last", end="")
"""
INFO_LINES = ["loud", "undated", '["level"]', "plain", "the last"]


@pytest.mark.parametrize(
    ("level", "lines"),
    [
        (None, ["info", "Warn", "error", "FATAL", *INFO_LINES]),
        ("TRACE", ["trace", "DEBUG", "info", "Warn", "error", "FATAL", *INFO_LINES]),
        ("DEBUG", ["DEBUG", "info", "Warn", "error", "FATAL", *INFO_LINES]),
        ("WARN", ["Warn", "error", "FATAL"]),
        ("ERROR", ["error", "FATAL"]),
        ("FATAL", ["FATAL"]),
    ],
)
def test_application_log_level_filters_lines(cloud, level, lines):
    """By the key "level" of lines that are dated JSON; all others count as INFO."""
    config = {"LogFormat": "JSON"} | ({"ApplicationLogLevel": level} if level else {})
    name = cloud.deploy(LEVELLED, LoggingConfig=config)
    cloud.invoke(name)
    written = [event for event in cloud.events(name, finished) if '"platform.' not in event]
    assert len(written) == len(lines)
    assert all(word in event for word, event in zip(lines, written, strict=True))


def test_levels_mean_nothing_in_the_text_format(cloud):
    """Every line is logged."""
    log = cloud.run(LEVELLED).log
    assert all(f'"{level}"' in log for level in ("trace", "DEBUG", "info", "Warn", "error", "FATAL", "loud"))


def test_system_log_level_filters_the_platforms_events(cloud):
    """SystemLogLevel WARN leaves out what went well, and keeps the end of what failed."""
    config = {"LogFormat": "JSON", "SystemLogLevel": "WARN", "ApplicationLogLevel": "INFO"}
    source = "import os\ndef handler(event, context):\n    print('said')\n    if event: os._exit(1)\n"
    name = cloud.deploy(source, LoggingConfig=config)
    assert cloud.invoke(name).log == "said\n"
    report = json.loads(cloud.invoke(name, {"fail": 1}).log_lines[-1])
    assert report["record"]["errorType"] == "Runtime.ExitError"


def test_system_log_level_debug_adds_the_ends_of_phases(cloud):
    """SystemLogLevel DEBUG: the platform's events as AWS writes them, in CloudWatch Logs and in the tail."""
    config = {"LogFormat": "JSON", "SystemLogLevel": "DEBUG", "ApplicationLogLevel": "INFO"}
    source = "import time\ndef handler(event, context):\n    time.sleep(0.2)\n    return context.aws_request_id\n"
    name = cloud.deploy(source, LoggingConfig=config)
    answer = cloud.invoke(name)
    events = [json.loads(event) for event in cloud.events(name, finished)]
    assert [json.loads(line) for line in answer.log_lines] == events
    records = {event["type"].removeprefix("platform."): event["record"] for event in events}
    assert list(records) == ["initStart", "initRuntimeDone", "initReport", "start", "runtimeDone", "report"]
    init = {"initializationType": "on-demand", "phase": "init"}
    assert records["initStart"].items() >= (init | {"functionName": name, "functionVersion": "$LATEST"}).items()
    assert records["initRuntimeDone"] == init | {"status": "success"}
    assert records["initReport"].pop("metrics")["durationMs"] > 0
    assert records["initReport"] == init | {"status": "success"}
    done = records["runtimeDone"]
    assert (done["requestId"], done["status"]) == (answer.json, "success")
    spans = {span["name"]: span["durationMs"] for span in done["spans"]}
    assert list(spans) == ["responseLatency", "responseDuration", "runtimeOverhead"]
    assert spans["responseLatency"] >= 200 > spans["responseDuration"] + spans["runtimeOverhead"]
    assert done["spans"][0]["start"] < done["spans"][1]["start"] <= done["spans"][2]["start"]
    assert done["metrics"]["durationMs"] >= sum(spans.values()) - 1
    assert done["metrics"]["producedBytes"] == len(f'"{answer.json}"')


@pytest.mark.parametrize(
    ("source", "status", "error_type", "answered"),
    [
        ("def handler(event, context): raise ValueError('told')", "error", "Runtime.Unknown", True),
        ("import os\ndef handler(event, context): os._exit(3)", "error", "Runtime.ExitError", False),
        ("import time\ndef handler(event, context): time.sleep(5)", "timeout", None, False),
    ],
)
def test_failures_are_platform_events(cloud, source, status, error_type, answered):
    """Of the level WARN, with AWS's type of the error."""
    config = {"LogFormat": "JSON", "SystemLogLevel": "WARN", "ApplicationLogLevel": "FATAL"}
    name = cloud.deploy(source, LoggingConfig=config, Timeout=1)
    cloud.invoke(name)
    events = [json.loads(event) for event in cloud.events(name, finished) if '"platform.' in event]
    assert [event["type"] for event in events] == ["platform.runtimeDone", "platform.report"]
    for event in events:
        assert (event["record"]["status"], event["record"].get("errorType")) == (status, error_type)
    assert ("spans" in events[0]["record"]) == answered


def test_failed_initialization_is_platform_events(cloud):
    """Of the level WARN, in both phases."""
    config = {"LogFormat": "JSON", "SystemLogLevel": "WARN", "ApplicationLogLevel": "FATAL"}
    name = cloud.deploy("import nowhere", LoggingConfig=config)
    cloud.invoke(name)
    events = [json.loads(event) for event in cloud.events(name, finished) if '"platform.' in event]
    kinds = [(event["type"].removeprefix("platform."), event["record"].get("phase")) for event in events]
    phases = [(kind, phase) for phase in ("init", "invoke") for kind in ("initRuntimeDone", "initReport")]
    assert kinds == [*phases, ("runtimeDone", None), ("report", None)]
    assert {event["record"]["errorType"] for event in events} == {"Runtime.ImportModuleError"}


def test_log_group_is_the_configured_one(cloud):
    """LoggingConfig's LogGroup is where events go, and what the function is told; its own group is not made."""
    group = f"/tests/{uuid.uuid4().hex}"
    source = """
    import os
    def handler(event, context):
        print("logged elsewhere")
        return [context.log_group_name, os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]]
    """
    name = cloud.deploy(source, LoggingConfig={"LogGroup": group})
    assert cloud.invoke(name).json == [group, group]
    assert "logged elsewhere\n" in cloud.events(name, finished, group)
    found = cloud.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")
    assert found["logGroups"] == []


def test_log_of_many_invocations_is_complete_and_in_order(cloud):
    """What is sent to CloudWatch Logs together is all there."""
    name = cloud.deploy("def handler(event, context): print('number', event)")
    for number in range(30):
        cloud.invoke(name, number)
    events = cloud.events(name, lambda events: "number 29\n" in events)
    assert [event for event in events if event.startswith("number")] == [f"number {n}\n" for n in range(30)]


def test_metrics_count_invocations_and_errors(cloud):
    """CloudWatch has as many as there were."""
    if cloud.is_before("4.9"):
        pytest.skip(f"boto3 no longer speaks what the CloudWatch of LocalStack {cloud.release} does")
    name = cloud.deploy("def handler(event, context): return 1 / event")
    for event in (1, 1, 0, 1, 0):
        cloud.invoke(name, event)
    cloudwatch = cloud.client("cloudwatch")

    def total(metric):
        now = datetime.now(UTC)
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=metric,
            Dimensions=[{"Name": "FunctionName", "Value": name}],
            StartTime=now - timedelta(minutes=5),
            EndTime=now + timedelta(minutes=5),
            Period=600,
            Statistics=["Sum"],
        )
        return sum(point["Sum"] for point in found["Datapoints"])

    eventually(lambda: (total("Invocations"), total("Errors")), lambda sums: sums == (5, 2))


def test_live_file_shows_output_before_the_invocation_ends(cloud):
    """What a function writes can be followed while it runs."""
    source = """
    import socket
    def handler(event, context):
        print("early words")
        socket.create_connection(("127.0.0.1", event)).recv(1)
    """
    name = cloud.deploy(source, Timeout=60)
    live = cloud.folder / "functions.log"
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=cloud.invoke, args=[name, server.getsockname()[1]])
        thread.start()
        with server.accept()[0]:  # it waits for this connection's end
            eventually(
                lambda: live.read_text() if live.exists() else "", lambda text: f"{name} | early words\n" in text
            )
            assert cloud.environments(name)[0]["state"] == "invoking"
        thread.join()
