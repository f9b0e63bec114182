"""Web pages that are not the application's, and what they get from the stack: nothing."""

import json
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from playwright.sync_api import Browser, BrowserType, Page

from e2e.cloud import Cloud
from e2e.deployment import Deployment, origin

NAMES = ("localhost", "localhost.localstack.cloud", "localstack")
POINTED_HERE = ("rebound.test", "localhost.localstack.cloud", "localstack")

ATTACKS = {
    "image": """url => new Promise(done => {
        const image = new Image();
        image.referrerPolicy = "no-referrer";
        image.onload = image.onerror = () => done("no answer");
        image.src = url;
    })""",
    "form": """url => new Promise(done => {
        const frame = Object.assign(document.createElement("iframe"), { name: "sink" });
        const form = Object.assign(document.createElement("form"), { action: url, method: "post", target: "sink" });
        document.body.append(frame, form);
        frame.onload = () => done("no answer");
        form.submit();
    })""",
    "fetch without CORS": """url => fetch(url, { mode: "no-cors", method: "POST", referrerPolicy: "no-referrer" })
        .then(answer => answer.text()).then(text => text || "no answer")""",
    "fetch with CORS": """url => fetch(url, { credentials: "include" })
        .then(answer => answer.text(), error => "no answer")""",
}


@pytest.fixture(scope="module")
def fooled_browser(browser_type: BrowserType, browser_type_launch_args: dict[str, Any]) -> Iterator[Browser]:
    """A browser for which foreign names point to this machine, as a foreign name server can tell it."""
    rules = ", ".join(f"MAP {name} 127.0.0.1" for name in POINTED_HERE)
    arguments = [*browser_type_launch_args.get("args", []), f"--host-resolver-rules={rules}"]
    browser = browser_type.launch(**(browser_type_launch_args | {"args": arguments}))
    yield browser
    browser.close()


@pytest.fixture
def fooled_page(fooled_browser: Browser) -> Iterator[Page]:
    context = fooled_browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def cloud(deployment: Deployment) -> Cloud:
    if deployment.cloud is None:
        pytest.skip("the API is on AWS itself, which asks for a signature")
    return Cloud(deployment)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("name", NAMES)
def test_foreign_page_creates_nothing(fooled_page, elsewhere, cloud, name, attack):
    """A page elsewhere cannot make the cloud create a stack: not by any kind of request, under any of its names."""
    stack = f"foreign-{uuid.uuid4().hex[:8]}"
    template = json.dumps({"Resources": {"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}})
    order = {"Action": "CreateStack", "Version": "2010-05-15", "StackName": stack, "TemplateBody": template}
    url = f"http://{name}:{urlsplit(cloud.address).port}/?{urlencode(order)}"
    fooled_page.goto(elsewhere)
    with fooled_page.expect_request(url):
        assert fooled_page.evaluate(ATTACKS[attack], url) == "no answer"
    stacks = cloud.client("cloudformation").list_stacks()["StackSummaries"]
    assert stack not in [each["StackName"] for each in stacks]


def test_opened_page_that_redirects_creates_nothing(fooled_page, elsewhere, cloud):
    """What a person opens counts as opened by them wherever it redirects to: it does not create a stack."""
    order = f"{cloud.address}/?{urlencode({'Action': 'CreateTopic', 'Version': '2010-03-31', 'Name': 'redirected'})}"
    answer = fooled_page.goto(f"{elsewhere}?{urlencode({'to': order})}")
    assert answer is not None
    assert (answer.url, answer.status) == (order, 403)


@pytest.mark.parametrize("server", ["page", "issuer", "cloud"])
def test_page_whose_name_points_here_reads_nothing(fooled_page, deployment, server):
    """Under a foreign name that was pointed to this machine, no server of the stack shows what it has."""
    address = {"page": deployment.base_url, "issuer": deployment.issuer, "cloud": origin(deployment.api_url)}[server]
    if urlsplit(address).hostname != "localhost":
        pytest.skip(f"the {server} is not on this machine: {address}")
    answer = fooled_page.goto(f"http://rebound.test:{urlsplit(address).port}/")
    assert answer is not None
    assert answer.status == 421
    assert "ALLOWED_HOSTS" in answer.text()


def test_browser_sdk_of_the_page_calls_the_cloud(page, deployment, cloud):
    """What AWS's SDK for browsers sends from the page's origin, its preflight included, is carried out."""
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "DynamoDB_20120810.ListTables",
        "X-Amz-User-Agent": "aws-sdk-js/3",
        "amz-sdk-invocation-id": str(uuid.uuid4()),
        "amz-sdk-request": "attempt=1; max=3",
    }
    request = AWSRequest("POST", f"{deployment.cloud}/", data="{}", headers=headers)
    SigV4Auth(Credentials("test", "test"), "dynamodb", "us-east-1").add_auth(request)
    page.goto("/healthz")
    tables = page.evaluate(
        "async ([url, headers]) => (await fetch(url, { method: 'POST', headers, body: '{}' })).json()",
        [request.url, dict(request.headers.items())],
    )
    assert len(tables["TableNames"]) > 0


@pytest.fixture
def bucket(cloud: Cloud, base_url: str) -> Iterator[str]:
    """A bucket that takes uploads from the page."""
    s3, name = cloud.client("s3"), f"uploads-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    rule = {"AllowedOrigins": [base_url], "AllowedMethods": ["PUT"], "AllowedHeaders": ["*"]}
    s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [rule]})
    yield name
    for each in s3.list_objects_v2(Bucket=name).get("Contents", []):
        s3.delete_object(Bucket=name, Key=each["Key"])
    s3.delete_bucket(Bucket=name)


def test_presigned_upload_of_the_page_arrives(page, cloud, bucket):
    """A page may put a file where a presigned URL says, as on AWS."""
    s3 = cloud.client("s3")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "note"})
    page.goto("/healthz")
    assert page.evaluate("async url => (await fetch(url, { method: 'PUT', body: 'a note' })).status", url) == 200
    assert s3.get_object(Bucket=bucket, Key="note")["Body"].read() == b"a note"
