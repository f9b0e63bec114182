"""What invokes functions besides a plain Invoke, and where what came of it goes: LocalStack's own, in AWS's shapes."""

import base64
import json
import re
import uuid

import pytest
from botocore.exceptions import ClientError
from cloud import eventually, fetch_url, function_url, permit_url

ECHO = "def handler(event, context): return event\n"
PRINT = "import json\ndef handler(event, context): print(json.dumps(event))\n"
FAIL = "def handler(event, context):\n    print('asked', context.aws_request_id)\n    raise ValueError('never')\n"


class Queue:
    """An SQS queue, and what arrives in it."""

    def __init__(self, cloud, **attributes):
        self._sqs = cloud.client("sqs")
        self.url = self._sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex}", Attributes=attributes)["QueueUrl"]
        asked = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = asked["Attributes"]["QueueArn"]

    def send(self, body):
        self._sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def next(self):
        """The next message, with its attributes."""

        def receive():
            return self._sqs.receive_message(QueueUrl=self.url, WaitTimeSeconds=1, MessageAttributeNames=["All"]).get(
                "Messages", []
            )

        return eventually(receive, bool)[0]


@pytest.fixture
def queue(cloud):
    return Queue(cloud)


def printed(cloud, name, count=1):
    """The JSON that a function has printed, once there are that many."""

    def objects(messages):
        return [json.loads(message) for message in messages if message.startswith("{")]

    return objects(cloud.events(name, lambda messages: len(objects(messages)) >= count))


# --- Function URLs -------------------------------------------------------------------------------------------------


@pytest.fixture
def fetch(cloud):
    """Calls the function URL of a function, made with permission for everybody."""

    def call(name, path="/", **request):
        permit_url(cloud, name)
        return fetch_url(cloud, function_url(cloud, name), path, **request)

    return call


def test_function_url_hands_the_request_over(cloud, fetch):
    """Payload format 2.0: path, query, headers, body."""
    name = cloud.deploy(
        "import json\ndef handler(event, context): return {'statusCode': 202, 'body': json.dumps(event)}"
    )
    status, _, body = fetch(
        name, "/some/path?q=1&q=2", data=b"text", headers={"Content-Type": "text/plain", "X-Mine": "m"}
    )
    event = json.loads(body)
    assert status == 202
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/some/path")
    assert (event["rawQueryString"], event["queryStringParameters"]) == ("q=1&q=2", {"q": "1,2"})
    assert (event["headers"]["x-mine"], event["body"], event["isBase64Encoded"]) == ("m", "text", False)
    assert event["requestContext"]["http"]["method"] == "POST"
    assert "cookies" not in event


def test_function_url_answers_with_status_headers_and_bytes(cloud, fetch):
    """What the function returns is the HTTP answer."""
    encoded = base64.b64encode(b"\x00\xff").decode()
    name = cloud.deploy(
        f"def handler(event, context): return {{'statusCode': 418, 'headers': {{'x-mine': 'm'}},"
        f" 'isBase64Encoded': True, 'body': '{encoded}'}}"
    )
    status, headers, body = fetch(name)
    assert (status, headers["x-mine"], body) == (418, "m", b"\x00\xff")


def test_function_url_tells_the_function_who_calls(cloud, fetch):
    """The caller's address, as context and header, and a trace."""
    name = cloud.deploy("def handler(event, context): return event")
    event = json.loads(fetch(name)[2])
    assert event["requestContext"]["http"]["sourceIp"] == event["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert re.fullmatch("Root=1-[0-9a-f]{8}-[0-9a-f]{24}", event["headers"]["x-amzn-trace-id"])


def test_function_url_sets_the_cookies_of_the_answer(cloud, fetch):
    """Each is a header of its own."""
    name = cloud.deploy("def handler(event, context): return {'statusCode': 200, 'cookies': ['a=1; Secure', 'b=2']}")
    assert fetch(name)[1].get_all("Set-Cookie") == ["a=1; Secure", "b=2"]


@pytest.mark.parametrize(
    ("returned", "body"),
    [
        ({"body": "grüße", "headers": {"x-mine": "m"}}, '{"body":"grüße","headers":{"x-mine":"m"}}'),
        ({"cookies": ["a=1"]}, '{"cookies":["a=1"]}'),
        (["statusCode"], '["statusCode"]'),
        ("words", "words"),
    ],
)
def test_function_url_answers_with_what_has_no_status(cloud, fetch, returned, body):
    """All of it is the body, and JSON."""
    status, headers, text = fetch(cloud.deploy(f"def handler(event, context): return {returned!r}"))
    assert (status, headers["Content-Type"], text.decode()) == (200, "application/json", body)
    assert (headers["x-mine"], headers["Set-Cookie"]) == (None, None)


@pytest.mark.parametrize("value", ["x", None, 99, 600, 200.5, True])
def test_function_url_answers_502_for_what_is_no_status(cloud, fetch, value):
    """As for a function that failed."""
    status, _, body = fetch(cloud.deploy(f"def handler(event, context): return {{'statusCode': {value!r}}}"))
    assert (status, body) == (502, b"Internal Server Error")


def test_function_url_hands_over_bytes_and_cookies(cloud, fetch):
    """A body that is no text arrives in base64, cookies in a list of their own, too."""
    name = cloud.deploy(
        "import json\ndef handler(event, context): return {'statusCode': 200, 'body': json.dumps(event)}"
    )
    headers = {"Content-Type": "application/octet-stream", "Cookie": "a=1; b=2"}
    event = json.loads(fetch(name, data=b"\x00\xff", headers=headers)[2])
    assert (event["isBase64Encoded"], base64.b64decode(event["body"])) == (True, b"\x00\xff")
    assert (event["cookies"], event["headers"]["cookie"]) == (["a=1", "b=2"], "a=1; b=2")


def test_function_url_of_a_failing_function_is_a_502(cloud, fetch):
    """An unhandled error is not told to the world."""
    status, _, body = fetch(cloud.deploy(FAIL))
    assert (status, body) == (502, b"Internal Server Error")


def is_forbidden(answer, message="Forbidden"):
    status, headers, body = answer
    told = status, headers["x-amzn-ErrorType"], headers["Content-Type"], json.loads(body)
    return told == (403, "AccessDeniedException", "application/json", {"Message": message})


def test_function_url_needs_permission(cloud):
    """Of the function's resource policy, for everybody, and for the URL's kind."""
    name = cloud.deploy("def handler(event, context): return 'served'")
    url = function_url(cloud, name)
    assert is_forbidden(fetch_url(cloud, url))
    permit_url(cloud, name, StatementId="account", SourceAccount="000000000000")
    assert is_forbidden(fetch_url(cloud, url))
    permit_url(cloud, name)
    assert fetch_url(cloud, url)[::2] == (200, b"served")
    cloud.awslambda.remove_permission(FunctionName=name, StatementId="url")
    assert is_forbidden(fetch_url(cloud, url))


def test_function_url_of_an_alias_goes_with_it(cloud):
    """The alias is what has the permission."""
    name = cloud.deploy("def handler(event, context): return 'served'", Publish=True)
    cloud.awslambda.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    url = function_url(cloud, name, Qualifier="live")
    permit_url(cloud, name, Qualifier="live")
    assert fetch_url(cloud, url)[::2] == (200, b"served")
    cloud.awslambda.delete_alias(FunctionName=name, Name="live")
    assert is_forbidden(fetch_url(cloud, url), None)


def test_function_url_for_iam_needs_a_signature(cloud):
    """Who signs is IAM's to judge, which LocalStack leaves open."""
    name = cloud.deploy("def handler(event, context): return 'served'")
    url = function_url(cloud, name, "AWS_IAM")
    permit_url(cloud, name)
    assert is_forbidden(fetch_url(cloud, url))
    signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/lambda/aws4_request, Signature=0"}
    assert fetch_url(cloud, url, headers=signed)[::2] == (200, b"served")


def test_function_urls_may_ask_for_both_permissions(clouds):
    """As AWS does since October 2025: to call the URL, and to invoke the function by it."""
    cloud = clouds(PROCESS_EXECUTOR_URL_PERMISSIONS="2")
    name = cloud.deploy("def handler(event, context): return 'served'")
    url = function_url(cloud, name)
    permit_url(cloud, name)
    assert is_forbidden(fetch_url(cloud, url))
    statement = {"StatementId": "invoke", "Action": "lambda:InvokeFunction", "Principal": "*"}
    cloud.awslambda.add_permission(FunctionName=name, **statement)
    assert fetch_url(cloud, url)[::2] == (200, b"served")


def test_function_url_that_aws_would_refuse_today_is_warned_of(cloud):
    """Once a URL, by its name."""
    name = cloud.deploy("def handler(event, context): return 'served'")
    url = function_url(cloud, name)
    permit_url(cloud, name)
    for _ in range(2):
        assert fetch_url(cloud, url)[::2] == (200, b"served")
    warning = f"{url}: AWS asks of new function URLs that they permit lambda:InvokeFunction, too"
    assert "".join(cloud.output).count(warning) == 1


def test_function_urls_may_be_opened_to_everybody(clouds):
    """By a setting, for who has no use for permissions."""
    cloud = clouds(PROCESS_EXECUTOR_URL_PERMISSIONS="0")
    name = cloud.deploy("def handler(event, context): return 'served'")
    assert fetch_url(cloud, function_url(cloud, name))[::2] == (200, b"served")


# --- Event sources -------------------------------------------------------------------------------------------------


def test_messages_of_a_queue_reach_the_function(cloud, queue):
    """SQS polls for the function; what was handled is gone from the queue."""
    name = cloud.deploy(PRINT)
    mapping = cloud.awslambda.create_event_source_mapping(FunctionName=name, EventSourceArn=queue.arn, BatchSize=1)
    queue.send("hello")
    [record] = printed(cloud, name)[0]["Records"]
    assert (record["body"], record["eventSource"]) == ("hello", "aws:sqs")
    assert record["eventSourceARN"] == queue.arn
    cloud.awslambda.delete_event_source_mapping(UUID=mapping["UUID"])


def test_messages_that_failed_come_again(cloud):
    """With ReportBatchItemFailures only what the function names is delivered a second time."""
    queue = Queue(cloud, VisibilityTimeout="1")
    source = """
    import json
    def handler(event, context):
        failed = []
        for record in event["Records"]:
            count = record["attributes"]["ApproximateReceiveCount"]
            print(json.dumps([record["body"], count]).replace("[", '{"seen": [') + "}")
            if record["body"] == "bad" and count == "1":
                failed.append({"itemIdentifier": record["messageId"]})
        return {"batchItemFailures": failed}
    """
    name = cloud.deploy(source, Timeout=1)
    queue.send("good")
    queue.send("bad")
    mapping = cloud.awslambda.create_event_source_mapping(
        FunctionName=name, EventSourceArn=queue.arn, BatchSize=10, FunctionResponseTypes=["ReportBatchItemFailures"]
    )
    seen = [each["seen"] for each in printed(cloud, name, 3)]
    assert sorted(seen) == [["bad", "1"], ["bad", "2"], ["good", "1"]]
    cloud.awslambda.delete_event_source_mapping(UUID=mapping["UUID"])


def streamed_table(cloud):
    """A new table with a stream: the client, the table's name, the stream's ARN."""
    dynamodb = cloud.client("dynamodb")
    table = f"t-{uuid.uuid4().hex}"
    created = dynamodb.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    return dynamodb, table, created["TableDescription"]["LatestStreamArn"]


def test_changes_of_a_table_reach_the_function(cloud):
    """A DynamoDB stream brings insertions, changes and deletions, in order, with the images they have."""
    dynamodb, table, stream = streamed_table(cloud)
    name = cloud.deploy(
        "import json\ndef handler(event, context):\n    for record in event['Records']: print(json.dumps(record))\n"
    )
    mapping = cloud.awslambda.create_event_source_mapping(
        FunctionName=name, EventSourceArn=stream, StartingPosition="TRIM_HORIZON"
    )

    def item(binary):
        # Earlier releases have a moto that loses what is in lists.
        in_list = {} if cloud.is_before("4.3") else {"l": {"L": [{"B": binary}]}}
        return {"id": {"S": "a"}, "b": {"B": binary}, "s": {"BS": [binary]}} | in_list

    first, second = item(b"1"), item(b"2")
    dynamodb.put_item(TableName=table, Item=first)
    dynamodb.put_item(TableName=table, Item=second)
    dynamodb.delete_item(TableName=table, Key={"id": {"S": "a"}})
    records = printed(cloud, name, 3)
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    images = [{key: record["dynamodb"][key] for key in record["dynamodb"] if "Image" in key} for record in records]
    first, second = item("MQ=="), item("Mg==")
    assert images == [{"NewImage": first}, {"NewImage": second, "OldImage": first}, {"OldImage": second}]
    assert {record["eventSourceARN"] for record in records} == {stream}
    cloud.awslambda.delete_event_source_mapping(UUID=mapping["UUID"])


def test_stream_events_are_filtered(cloud):
    """Only what fits the mapping's pattern invokes the function."""
    dynamodb, table, stream = streamed_table(cloud)
    name = cloud.deploy(PRINT)
    pattern = {"dynamodb": {"NewImage": {"id": {"S": [{"prefix": "wanted"}]}}}}
    cloud.awslambda.create_event_source_mapping(
        FunctionName=name,
        EventSourceArn=stream,
        StartingPosition="TRIM_HORIZON",
        BatchSize=1,
        FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]},
    )
    for key in ("other", "wanted-1", "wanted-2"):
        dynamodb.put_item(TableName=table, Item={"id": {"S": key}})
    keys = [event["Records"][0]["dynamodb"]["Keys"]["id"]["S"] for event in printed(cloud, name, 2)]
    assert keys == ["wanted-1", "wanted-2"]


def test_notifications_of_a_topic_reach_the_function(cloud):
    """SNS invokes in the background."""
    sns = cloud.client("sns")
    topic = sns.create_topic(Name=f"t-{uuid.uuid4().hex}")["TopicArn"]
    name = cloud.deploy(PRINT)
    arn = cloud.configuration(name)["FunctionArn"]
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="news", Subject="about")
    [record] = printed(cloud, name)[0]["Records"]
    assert (record["EventSource"], record["Sns"]["Message"], record["Sns"]["Subject"]) == ("aws:sns", "news", "about")


def test_objects_of_a_bucket_reach_the_function(cloud):
    """S3 tells of what was put."""
    s3 = cloud.client("s3")
    bucket = f"b-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=bucket)
    name = cloud.deploy(PRINT)
    arn = cloud.configuration(name)["FunctionArn"]
    wanted = {"LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    cloud.awslambda.add_permission(
        FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=wanted)
    s3.put_object(Bucket=bucket, Key="some/key", Body=b"content")
    records = [record for event in printed(cloud, name) for record in event.get("Records", [])]
    assert [(each["eventName"], each["s3"]["object"]["key"]) for each in records] == [("ObjectCreated:Put", "some/key")]


def test_events_of_a_bus_reach_the_function(cloud):
    """An EventBridge rule invokes with the event as it is."""
    events = cloud.client("events")
    name = cloud.deploy(PRINT)
    rule = f"r-{uuid.uuid4().hex}"
    events.put_rule(Name=rule, EventPattern=json.dumps({"source": ["tests"], "detail": {"rule": [rule]}}))
    events.put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": cloud.configuration(name)["FunctionArn"]}])
    events.put_events(Entries=[{"Source": "tests", "DetailType": "some", "Detail": json.dumps({"rule": rule})}])
    [event] = printed(cloud, name)
    assert (event["source"], event["detail-type"], event["detail"]) == ("tests", "some", {"rule": rule})


# --- Asynchronous invocations --------------------------------------------------------------------------------------


def test_event_invocation_runs_in_the_background(cloud):
    """It is accepted at once, and ends up in the log."""
    name = cloud.deploy(PRINT)
    answer = cloud.awslambda.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": 5}')
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    assert printed(cloud, name) == [{"n": 5}]


def test_event_invocation_that_fails_is_tried_three_times(cloud, queue):
    """With one request id, then it goes to the dead-letter queue with what went wrong."""
    name = cloud.deploy(FAIL, DeadLetterConfig={"TargetArn": queue.arn})
    answer = cloud.awslambda.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": 5}')
    request_id = answer["ResponseMetadata"]["RequestId"]
    message = queue.next()
    assert json.loads(message["Body"]) == {"n": 5}
    attributes = {key: value["StringValue"] for key, value in message["MessageAttributes"].items()}
    assert attributes == {"RequestID": request_id, "ErrorCode": "200", "ErrorMessage": "never"}
    tries = cloud.events(name, lambda messages: sum(message.startswith("asked") for message in messages) >= 3)
    assert [each for each in tries if each.startswith("asked")] == [f"asked {request_id}\n"] * 3


def test_event_invocation_that_meets_an_update_is_not_late(cloud):
    """None waits for the queue to give it a second time, which would take the function's timeout and a minute."""
    name = cloud.deploy(PRINT, Timeout=60)
    cloud.invoke(name, {"n": 0})
    for number in range(1, 6):
        cloud.awslambda.update_function_configuration(FunctionName=name, Description=str(number))
        eventually(lambda: cloud.configuration(name)["LastUpdateStatus"], lambda status: status == "Successful")
        cloud.awslambda.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps({"n": number}))
    wanted = [{"n": number} for number in range(6)]
    found = cloud.events(name, lambda messages: sum(message.startswith("{") for message in messages) >= len(wanted))
    assert sorted((json.loads(each) for each in found if each.startswith("{")), key=lambda e: e["n"]) == wanted


def test_destination_of_failures_gets_the_answer(cloud, queue):
    """A record with request, answer and how often it was tried, as AWS documents it."""
    name = cloud.deploy(FAIL)
    cloud.awslambda.put_function_event_invoke_config(
        FunctionName=name, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": queue.arn}}
    )
    cloud.awslambda.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": 5}')
    record = json.loads(queue.next()["Body"])
    context = record["requestContext"]
    assert (record["version"], record["requestPayload"]) == ("1.0", {"n": 5})
    assert (context["condition"], context["approximateInvokeCount"]) == ("RetriesExhausted", 1)
    assert context["functionArn"] == cloud.configuration(name)["FunctionArn"] + ":$LATEST"
    expected = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responseContext"] == expected
    answer = record["responsePayload"]
    assert (answer["errorType"], answer["errorMessage"], answer["requestId"]) == (
        "ValueError",
        "never",
        context["requestId"],
    )


def test_destination_of_successes_gets_the_answer(cloud, queue):
    """The same record, without an error."""
    name = cloud.deploy(ECHO)
    cloud.awslambda.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": queue.arn}}
    )
    cloud.awslambda.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"n": 5}')
    record = json.loads(queue.next()["Body"])
    assert record["requestContext"]["condition"] == "Success"
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert record["responsePayload"] == {"n": 5}


# --- Versions, aliases, concurrency --------------------------------------------------------------------------------


def published(cloud, name):
    """A version of the function as it is, once it is active."""
    version = cloud.awslambda.publish_version(FunctionName=name)["Version"]
    ask = cloud.awslambda.get_function_configuration
    eventually(lambda: ask(FunctionName=name, Qualifier=version)["State"], lambda state: state == "Active")
    return version


def test_alias_is_the_arn_that_the_function_sees(cloud):
    """The version runs, the alias is how it was asked."""
    name = cloud.deploy("def handler(event, context): return [context.function_version, context.invoked_function_arn]")
    version = published(cloud, name)
    alias = cloud.awslambda.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    answer = cloud.invoke(name, Qualifier="live")
    assert answer.version == version
    assert answer.json == [version, alias["AliasArn"]]


def test_alias_divides_the_invocations(cloud):
    """With weights, two versions are asked through one alias."""
    name = cloud.deploy("def handler(event, context): return context.function_version")
    published(cloud, name)
    cloud.awslambda.update_function_configuration(FunctionName=name, Description="second")
    eventually(lambda: cloud.configuration(name)["LastUpdateStatus"], lambda status: status == "Successful")
    published(cloud, name)
    cloud.awslambda.create_alias(
        FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}}
    )
    assert {cloud.invoke(name, Qualifier="live").json for _ in range(40)} == {"1", "2"}


def test_dry_run_invokes_nothing(cloud):
    """Only permission and parameters are looked at."""
    name = cloud.deploy(ECHO)
    assert cloud.awslambda.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    assert cloud.environments(name) == []


def test_reserved_concurrency_of_none_refuses(cloud):
    """Throttled, in AWS's words."""
    name = cloud.deploy(ECHO)
    cloud.awslambda.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as caught:
        cloud.invoke(name)
    error = caught.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert (error["Error"]["Code"], error["Error"]["Message"]) == ("TooManyRequestsException", "Rate Exceeded.")
    assert error["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_provisioned_concurrency_is_there_before_it_is_asked_for(cloud):
    """Environments are initialized ahead, know it, and INIT is not part of the invocation's report."""
    name = cloud.deploy("import os\ndef handler(event, context): return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']")
    version = published(cloud, name)
    cloud.awslambda.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=version, ProvisionedConcurrentExecutions=2
    )
    ask = cloud.awslambda.get_provisioned_concurrency_config
    eventually(lambda: ask(FunctionName=name, Qualifier=version)["Status"], lambda status: status == "READY")
    assert [each["state"] for each in cloud.environments(name)] == ["idle", "idle"]
    assert cloud.invoke(name, Qualifier=version).json == "provisioned-concurrency"
    assert cloud.invoke(name).json == "on-demand"
