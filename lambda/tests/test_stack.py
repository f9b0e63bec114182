"""The deployed function over HTTP: gateway, execution environments and table as they really are.

The function under test is a second one beside the stack's own: the same template and the same code, deployed into the
same cloud, but trusting this test's issuer. So every token of the catalogue can be signed as its fault requires.

Set API_URL, or BASE_URL of the page, to say which stack.
"""

import base64
import contextlib
import http.client
import json
import os
import random
import secrets
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from botocore.config import Config
from botocore.session import get_session
from calling import REGION
from forgery.benign import variants
from forgery.catalogue import Hostile, catalogue
from forgery.issuer import AUDIENCE, CLIENT_ID, ISSUER, Issuer

pytestmark = pytest.mark.stack

STACK = "gatehouse"
ORIGIN = "http://localhost:8080"
CLIENTS = 16
LOAD_S = float(os.environ.get("LOAD_S", "20"))
TIMEOUT_S = 60
SIGNER = Issuer()
KINDS = [kind for kind, _ in groupby(catalogue(SIGNER), key=lambda case: case.kind)]


class Api:
    """The API as a caller has it; one connection for each thread."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._local = threading.local()
        self._open: set[http.client.HTTPConnection] = set()

    @property
    def path(self) -> str:
        return self._url.path

    def form(self, **fields: str) -> tuple[int, dict[str, str], Any]:
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": ORIGIN}
        return self.request("POST", urlencode(fields), headers)

    def request(self, method: str, body: str | None, headers: dict[str, str], query: str = ""):
        connection = self._connection()
        try:
            connection.request(method, f"{self._url.path}?{query}".rstrip("?"), body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.drop()
            raise
        return answer.status, dict(answer.headers), json.loads(text) if text else None

    def send_and_hang_up(self, **fields: str) -> None:
        """Send a POST, and be gone before the answer comes."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self._connection().request("POST", self._url.path, urlencode(fields), headers)
        self.drop()

    def _connection(self) -> http.client.HTTPConnection:
        if getattr(self._local, "connection", None) is None:
            host, port = self._url.hostname or "", self._url.port
            self._local.connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
            self._open.add(self._local.connection)
        return self._local.connection

    def drop(self) -> None:
        """Close this thread's connection."""
        if getattr(self._local, "connection", None) is not None:
            self._local.connection.close()
            self._open.discard(self._local.connection)
            self._local.connection = None

    def close(self) -> None:
        """Close every thread's connection."""
        for connection in self._open:
            connection.close()


def read_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def cloud_url() -> str:
    """LocalStack of the stack under test."""
    api_url = os.environ.get("API_URL", "")
    if not api_url and (base_url := os.environ.get("BASE_URL")):
        api_url = read_json(f"{base_url.rstrip('/')}/config.json")["apiUrl"]
    if not api_url:
        pytest.skip("needs a running stack: set API_URL, or BASE_URL of its page")
    if "/_aws/execute-api/" not in api_url:
        pytest.skip(f"deploys a second function, which it does in LocalStack only, not beside {api_url}")
    return api_url.partition("/_aws/")[0]


def client(service: str, cloud_url: str) -> Any:
    return get_session().create_client(
        service,
        endpoint_url=cloud_url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(ignore_configured_endpoint_urls=True, read_timeout=TIMEOUT_S),
    )


@pytest.fixture(scope="module")
def api(cloud_url: str) -> Iterator[Api]:
    """A second stack from the deployed template, with keys of this test's own."""
    name = f"{STACK}-{secrets.token_hex(4)}"
    with contextlib.ExitStack() as stack:
        cloudformation = client("cloudformation", cloud_url)
        stack.callback(cloudformation.close)
        deployed = cloudformation.get_template(StackName=STACK, TemplateStage="Original")["TemplateBody"]
        text = deployed if isinstance(deployed, str) else json.dumps(deployed)
        parameters = {
            "OktaKeys": base64.b64encode(SIGNER.jwks()).decode(),
            "Issuer": ISSUER,
            "Audience": AUDIENCE,
            "ClientId": CLIENT_ID,
            "AllowedOrigin": ORIGIN,
            "ExplainRefusalsTo": "127.0.0.1/32",
        }
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=text.replace("_custom_id_: gatehouse", f"_custom_id_: {name}"),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        stack.callback(cloudformation.delete_stack, StackName=name)
        wait = cloudformation.get_waiter("stack_create_complete").wait
        wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        (created,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in created["Outputs"]}
        # The table outlives its stack, as it should; not this one.
        dynamodb = client("dynamodb", cloud_url)
        stack.callback(dynamodb.close)
        stack.callback(dynamodb.delete_table, TableName=outputs["TableName"])
        api = Api(f"{cloud_url}/_aws/execute-api/{outputs['ApiId']}/Prod/api/messages")
        stack.callback(api.close)
        yield api


def accepted(api: Api, case: Hostile) -> str:
    """What is wrong with the answer to a hostile token; nothing if it was refused as it should be."""
    status, headers, body = api.form(token=case.token, message="hostile")
    challenge = headers.get("WWW-Authenticate", "")
    if (status, body.get("error")) != (401, "invalid_token") or 'error="invalid_token"' not in challenge:
        return f"{case.id}: {status} {body}"
    return ""


def test_stranger_is_not_told_why_whatever_it_says_of_itself(api, cloud_url):
    """LocalStack names 127.0.0.1 as the source of every request; the function looks at more than that."""

    def ask(address: str, headers: dict[str, str]) -> dict[str, Any]:
        """Call from one of this machine's own addresses."""
        port = urlsplit(cloud_url).port
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S, source_address=(address, 0))
        ) as connection:
            token = SIGNER.token(aud="api://another")
            connection.request("GET", api.path, None, {"Authorization": f"Bearer {token}"} | headers)
            return json.load(connection.getresponse())

    if "checks" not in ask("127.0.0.1", {}):
        pytest.skip("the cloud does not see who calls it: it runs in a container, behind a gateway")
    for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"x-forwarded-for": "127.0.0.1, 127.0.0.1"}):
        assert set(ask("127.0.0.8", headers)) == {"error", "error_description"}


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_tokens_are_refused_by_the_deployed_function(api, kind):
    # Signed now: what lies minutes ahead when the tests are collected may have come when this one runs.
    SIGNER.now = int(time.time())
    cases = [case for case in catalogue(SIGNER) if case.kind == kind]
    with ThreadPoolExecutor(4) as pool:
        wrong = [fault for fault in pool.map(lambda case: accepted(api, case), cases) if fault]
    assert not wrong


def test_nothing_hostile_was_stored(api):
    """Runs after the catalogue, with a token that is right."""
    status, _, body = api.form(token=SIGNER.token())
    assert status == 200
    assert "hostile" not in {message["text"] for message in body["messages"]}


def test_unusual_but_right_tokens_are_accepted_by_the_deployed_function(api):
    # Signed now, and first the one that stands near the end of the leeway.
    SIGNER.now = int(time.time())
    wrong = []
    for name, token in sorted(variants(SIGNER), key=lambda variant: "clock behind" not in variant[0]):
        status, headers, _ = api.form(token=token)
        if status != 200 or headers.get("Access-Control-Allow-Origin") != ORIGIN:
            wrong.append(f"{name}: {status}")
    assert not wrong


def test_preflight_comes_from_the_function(api):
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    status, answer, _ = api.request("OPTIONS", None, headers)
    assert (status, answer["Access-Control-Allow-Origin"]) == (204, ORIGIN)
    status, answer, _ = api.request("OPTIONS", None, headers | {"Origin": "https://attacker.example"})
    assert "Access-Control-Allow-Origin" not in answer


def post_until_acknowledged(api: Api, token: str, message_id: str, chance: random.Random) -> None:
    """Send a message; a tenth of the answers are dropped, and the message is sent again."""
    fields = {"token": token, "message": f"load {message_id}", "id": message_id, "limit": "1"}
    while True:
        if chance.random() < 0.1:
            api.send_and_hang_up(**fields)
            continue
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, _, _ = api.form(**fields)
            if status == 200:
                return
            assert status == 503, f"a repeat of {message_id} was answered with {status}"


def test_every_acknowledged_message_is_listed_once(api):
    """Sixteen clients post at once, and lose a tenth of the answers."""
    stop = time.monotonic() + LOAD_S

    def work(number: int) -> list[str]:
        chance = random.Random(number)
        token = SIGNER.token(sub=f"client{number}@example.com")
        acknowledged: list[str] = []
        while time.monotonic() < stop:
            message_id = f"{number}-{len(acknowledged)}"
            post_until_acknowledged(api, token, message_id, chance)
            acknowledged.append(message_id)
        return acknowledged

    with ThreadPoolExecutor(CLIENTS) as pool:
        acknowledged = [message_id for ids in pool.map(work, range(CLIENTS)) for message_id in ids]
    listed, cursor = [], ""
    headers = {"Authorization": f"Bearer {SIGNER.token()}"}
    while cursor is not None:
        query = urlencode({"limit": "100"} | ({"cursor": cursor} if cursor else {}))
        status, _, page = api.request("GET", None, headers, query)
        assert status == 200
        listed += [message["id"] for message in page["messages"] if message["text"].startswith("load ")]
        cursor = page["next"]
    print(f"{len(acknowledged)} messages acknowledged in {LOAD_S:g} s")
    assert len(listed) == len(set(listed))
    assert set(acknowledged) <= set(listed)
    assert len(acknowledged) > CLIENTS
