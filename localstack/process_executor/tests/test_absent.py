"""What is not there, or not yet, does not look as if it were."""

import contextlib
import http.client
import json
from collections.abc import Iterator

import pytest
from cloud import Cloud, running

PAGE = "http://localhost:8080"
API = "/_aws/execute-api/awaited/Prod/api/messages"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    yield from running(GATEWAY_AWAITED_APIS="awaited", EXTRA_CORS_ALLOWED_ORIGINS=PAGE)


def ask(cloud: Cloud, method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=30)) as connection:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, b"message=hello" if method == "POST" else None, named)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def test_awaited_api_is_unavailable_until_it_is_deployed(cloud: Cloud):
    """From the first request on, and again when its stage goes: 503, when to try again, and a sentence."""
    for host in (f"localhost:{cloud.port}", f"awaited.execute-api.localhost.localstack.cloud:{cloud.port}"):
        status, headers, body = ask(cloud, "POST", API, Host=host)
        assert (status, headers["retry-after"], json.loads(body)["error"]) == (503, "1", "not_deployed")
    rest = cloud.client("apigateway")
    api = rest.create_rest_api(name="awaited", tags={"_custom_id_": "awaited"})
    asked = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "POST"}
    rest.put_method(**asked, authorizationType="NONE")
    rest.put_integration(**asked, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    rest.put_method_response(**asked, statusCode="200")
    rest.put_integration_response(**asked, statusCode="200")
    assert ask(cloud, "POST", API)[0] == 503
    rest.create_deployment(restApiId="awaited", stageName="Prod")
    assert ask(cloud, "POST", "/_aws/execute-api/awaited/Prod/", Content_Type="application/json")[0] == 200
    rest.delete_stage(restApiId="awaited", stageName="Prod")
    assert ask(cloud, "POST", API)[0] == 503


def test_page_can_read_that_its_api_is_unavailable(cloud: Cloud):
    """The allowed page gets CORS headers, before and with the 503; another page does not."""
    asking = {"Access_Control_Request_Method": "DELETE", "Access_Control_Request_Headers": "authorization"}
    status, headers, _ = ask(cloud, "OPTIONS", API, Origin=PAGE, **asking)
    assert (status, headers["access-control-allow-origin"]) == (204, PAGE)
    assert headers["access-control-allow-methods"] == "DELETE"
    assert headers["access-control-allow-headers"] == "authorization"
    status, headers, _ = ask(cloud, "POST", API, Origin=PAGE)
    assert (status, headers["access-control-allow-origin"]) == (503, PAGE)
    assert headers["access-control-expose-headers"] == "Retry-After"
    status, headers, _ = ask(cloud, "POST", API, Origin="http://elsewhere.test")
    assert status == 503
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path",
    [
        *("/_aws/nothing", "/_aws/execute-api", "/_aws/execute-api/", "/_aws/execute-api/other/Prod/api/messages"),
        *("/_aws/execute-api/other/", "/restapis/other/Prod/_user_request_/x", "/_localstack/nothing"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_what_nobody_answers_is_refused(cloud: Cloud, method: str, path: str):
    """Unknown APIs and paths are never answered as if something had been done."""
    status, _, body = ask(cloud, method, path)
    assert status in {403, 404, 405}, (status, body)


def test_root_tells_a_person_what_it_is(cloud: Cloud):
    """Who opens the cloud's address in a browser, or asks it unsigned, learns what is there; signed, it is S3's."""
    status, headers, body = ask(cloud, "GET", "/", Sec_Fetch_Site="none", Accept="text/html,*/*;q=0.8")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"AWS_ENDPOINT_URL" in body
    status, _, body = ask(cloud, "GET", "/")
    assert (status, json.loads(body)["name"]) == (200, "LocalStack")
    assert ask(cloud, "HEAD", "/")[0] == 200
    assert ask(cloud, "POST", "/")[0] == 404
    assert cloud.client("s3").list_buckets()["Buckets"] == []
