"""Fixtures: an issuer's keys, a real DynamoDB server over HTTP, a configured function, and a way to call it."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session
from werkzeug.serving import make_server

# The rooms' tests are no packages: what these share among themselves stands beside them.
sys.path.insert(0, str(Path(__file__).parent))

from calling import REGION, Caller, settings_of
from forgery.issuer import Issuer

from messages.app import Function


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="session")
def dynamodb_url() -> Iterator[str]:
    """A DynamoDB that does one operation at a time: moto's conditional writes are not atomic, DynamoDB's are."""
    # Imported here: it takes two seconds, and only the tests that use a table need it.
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415

    application = DomainDispatcherApplication(create_backend_app)
    lock = threading.Lock()

    def one_at_a_time(environ: Any, start_response: Any) -> Any:
        with lock:
            return application(environ, start_response)

    server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No test reaches an AWS of the person who runs it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.fixture
def dynamodb(dynamodb_url: str, monkeypatch: pytest.MonkeyPatch, aws: None) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL", dynamodb_url)
    client = get_session().create_client("dynamodb", region_name=REGION)
    yield client
    client.close()


@pytest.fixture
def table(dynamodb: Any, request: pytest.FixtureRequest) -> str:
    """A table as the template makes it."""
    name = f"table-{abs(hash(request.node.nodeid)):x}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
    )
    return name


@pytest.fixture
def environment(issuer: Issuer, table: str) -> dict[str, str]:
    return settings_of(issuer, MESSAGES_TABLE=table)


@pytest.fixture
def call(environment: dict[str, str]) -> Caller:
    return Caller(Function(environment))


@pytest.fixture
def alice(issuer: Issuer) -> str:
    return issuer.token()


@pytest.fixture
def bob(issuer: Issuer) -> str:
    return issuer.token(sub="bob@example.com", uid="00u2")
