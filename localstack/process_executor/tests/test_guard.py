"""Who gets to LocalStack: by which address, by which name, from which page, and with how much."""

import contextlib
import gzip
import http.client
import json
import socket
import subprocess
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import psutil
import pytest
from cloud import ABSENT, NEWEST, PYTHON, Cloud, permit_url

PAGE = "http://localhost:8080"
OTHER_PAGE = "http://elsewhere.test"
LIST_STACKS = "/?Action=ListStacks&Version=2010-05-15"
MOZILLA = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"
ECHO = """
import json
def handler(event, context):
    body = event.get("body") or ""
    return {"statusCode": 200, "body": json.dumps({"length": len(body), "packed": event.get("isBase64Encoded")})}
"""
MIB = 1024 * 1024

Header = tuple[str, str]


def started(**settings: str) -> Iterator[Cloud]:
    if not PYTHON.exists():
        pytest.skip(ABSENT)
    with contextlib.ExitStack() as stack:
        cloud = Cloud(**settings)
        stack.callback(cloud.stop)
        cloud.start()
        yield cloud


@pytest.fixture(scope="module")
def guarded() -> Iterator[Cloud]:
    """A LocalStack with one page that may call it, and some names."""
    yield from started(
        EXTRA_CORS_ALLOWED_ORIGINS=f"{PAGE}/, http://second.test",
        ALLOWED_HOSTS="build.test, *.ci.test",
        FRONTEND_URL="http://page.test:8080",
        IDP_PUBLIC_URL="https://id.test/base",
        GATEWAY_AWAITED_APIS="awaited",
    )


@pytest.fixture(scope="module")
def api(guarded: Cloud) -> str:
    """The path of an API whose every method calls a function."""
    name = guarded.deploy(ECHO)
    arn = guarded.configuration(name)["FunctionArn"]
    rest = guarded.client("apigateway")
    api = rest.create_rest_api(name="echo", binaryMediaTypes=["application/octet-stream"])
    asked = {"restApiId": api["id"], "resourceId": api["rootResourceId"], "httpMethod": "ANY"}
    rest.put_method(**asked, authorizationType="NONE")
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations"
    rest.put_integration(**asked, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    rest.create_deployment(restApiId=api["id"], stageName="test")
    return f"/_aws/execute-api/{api['id']}/test/"


@pytest.fixture(scope="module")
def function_url_host(guarded: Cloud) -> str:
    name = guarded.deploy(ECHO)
    made = guarded.awslambda.create_function_url_config(FunctionName=name, AuthType="NONE")
    permit_url(guarded, name)
    return urlsplit(made["FunctionUrl"]).netloc


def ask(
    cloud: Cloud, target: str, headers: Iterable[Header] = (), *, method: str = "GET", body: bytes | None = None
) -> tuple[int, bytes]:
    """Send just these headers, with the host's name unless they have one."""
    headers = list(headers)
    if not any(name == "Host" for name, _ in headers):
        headers = [("Host", f"localhost:{cloud.port}"), *headers]
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=30)
    with contextlib.closing(connection):
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def url_of(cloud: Cloud, function: str) -> str:
    """The host of a function's URL, if it has one."""
    made = cloud.awslambda.list_function_url_configs(FunctionName=function)["FunctionUrlConfigs"]
    return urlsplit(made[0]["FunctionUrl"]).netloc if made else ""


def exchange(cloud: Cloud, request: bytes) -> bytes:
    """Send bytes and return the first of what comes back."""
    with socket.create_connection(("127.0.0.1", cloud.port), timeout=30) as connection:
        connection.sendall(request)
        return connection.recv(65536)


def listening(cloud: Cloud) -> set[str]:
    """The addresses, without ports, on which LocalStack and all that it started listen."""
    main = psutil.Process(cloud.process.pid)
    found = set()
    for process in [main, *main.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            found |= {each.laddr.ip for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN}
    return found


# --- Addresses -------------------------------------------------------------------------------------------------------


def test_nothing_listens_beyond_the_loopback(guarded: Cloud, api: str):
    """GATEWAY_LISTEN's address is the only one, while functions run, too."""
    assert ask(guarded, api)[0] == 200
    assert listening(guarded) <= {"127.0.0.1", "::1"}


def test_other_address_is_the_only_one_that_answers():
    """On an address that is not localhost, LocalStack gets ready, and its functions and its own calls find it."""
    for cloud in started(GATEWAY_LISTEN="127.0.0.2:4599"):
        assert "127.0.0.2" in listening(cloud)
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", 4599), timeout=5):
            pass


def test_taken_port_ends_the_start():
    """A port that somebody else has is no reason to say that the cloud is ready."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        cloud = Cloud(GATEWAY_LISTEN=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(RuntimeError, match="Address already in use"):
            cloud.start()
    assert cloud.process.returncode == 1


# --- Names -----------------------------------------------------------------------------------------------------------

OURS = [
    *("localhost", "LOCALHOST", "localhost.", "app.localhost", "127.0.0.1", "[::1]", "192.0.2.7"),
    *("sync-127.0.0.1", "000000000000.127.0.0.1"),
    *("localhost.localstack.cloud", "s3.localhost.localstack.cloud", "localstack", "bucket.localstack"),
    *("host.docker.internal", "page.test", "id.test", "build.test", "runner-7.ci.test"),
]
FOREIGN = [
    *("rebound.test", "ci.test", "notlocalhost", "localhost.rebound.test", "127.0.0.1.rebound.test", "xbuild.test"),
    *("localstack.cloud", "evil.localstack.cloud", "0x7f.1", "2130706433"),
    *("a..localhost", "a.s3..localhost", "..lambda-url.us-east-1.localhost", f"{'x' * 64}.s3-website.localhost"),
    *("127.0.0.1-rebound.test", "sync-127.0.0.1.test", "1.127.0.0.1.1", "a.b.127.0.0.1"),
    *("[", "[::1", "a:b:c", "localhost:x", "localhost/", "user@localhost", " ", "local host", "\xe4.test"),
]


@pytest.mark.parametrize("host", OURS)
def test_own_name_is_answered(guarded: Cloud, host: str):
    """The names of this machine, of the stack, and those of the settings are LocalStack's, with and without a port."""
    for text in (host, f"{host}:{guarded.port}"):
        assert ask(guarded, LIST_STACKS, [("Host", text)])[0] == 200


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("target", [LIST_STACKS, "/_localstack/health", "/_aws/execute-api/x/y/z"])
def test_foreign_name_is_misdirected(guarded: Cloud, host: str, target: str):
    """Whatever is asked for by somebody else's name, or by what is no name, is not carried out."""
    status, body = ask(guarded, target, [("Host", host)])
    assert status == 421
    assert json.loads(body)["error"] == "unknown_host"
    assert "ALLOWED_HOSTS" in json.loads(body)["error_description"]


def test_request_without_a_name_is_answered(guarded: Cloud):
    """Health checks of containers speak HTTP/1.0 and name no host."""
    assert exchange(guarded, b"GET /_localstack/health HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200")


def test_second_name_is_misdirected(guarded: Cloud):
    """Neither a second Host nor a target of another name gets a request through under the first."""
    name = f"localhost:{guarded.port}"
    assert ask(guarded, LIST_STACKS, [("Host", name), ("Host", "rebound.test")])[0] == 421
    assert ask(guarded, f"http://rebound.test{LIST_STACKS}", [("Host", name)])[0] == 421
    assert ask(guarded, f"http://{name}{LIST_STACKS}", [("Host", name)])[0] == 200


def test_custom_domain_is_answered(guarded: Cloud):
    """A domain that was registered with API Gateway is one of the cloud's names."""
    asked = [("Host", "api.custom.test")]
    assert ask(guarded, LIST_STACKS, asked)[0] == 421
    guarded.client("apigateway").create_domain_name(domainName="api.custom.test")
    assert ask(guarded, LIST_STACKS, asked)[0] == 200


# --- Pages -----------------------------------------------------------------------------------------------------------

SIGNS = [
    [("Sec-Fetch-Site", "cross-site")],
    [("Sec-Fetch-Site", "same-site")],
    [("Sec-Fetch-Site", "same-origin")],
    [("Sec-Fetch-Mode", "no-cors")],
    [("Sec-Fetch-Dest", "image")],
    [("Origin", OTHER_PAGE)],
    [("Origin", "null")],
    [("Origin", "file://")],
    [("Origin", "http://[")],
    [("Origin", "http://localhost:8081")],
    [("Origin", f"{PAGE}.elsewhere.test")],
    [("Origin", "https://app.localstack.cloud")],
    [("Origin", "http://x.s3-website.localhost.localstack.cloud")],
    [("Referer", f"{OTHER_PAGE}/page")],
    [("Referer", "http://[")],
    [("User-Agent", MOZILLA)],
    # The origin is what counts, not what stands beside it.
    [("Origin", OTHER_PAGE), ("Sec-Fetch-Site", "none")],
    [("Origin", OTHER_PAGE), ("Referer", f"{PAGE}/")],
    [("Referer", f"{OTHER_PAGE}/?{PAGE}"), ("Sec-Fetch-Site", "none")],
]
AWS = [
    LIST_STACKS,
    "/_localstack/health",
    "/_localstack/init",
    "/_aws/execute-api",
    f"/_aws/execute-api{LIST_STACKS}",
    f"/_aws/execute-api/x{LIST_STACKS[1:]}",
    "/restapis/x/y/_user_request",
    "/_aws/sqs/messages",
    "/000000000000/queue?Action=ReceiveMessage",
    "/bucket/key",
]


def test_aws_itself_is_asked_nothing_by_a_foreign_page(guarded: Cloud, api: str):
    """Every sign of a browser keeps every path of AWS's API and of LocalStack's own from a page that is not allowed."""
    assert api
    for signs in SIGNS:
        for target in AWS:
            for method in ("GET", "POST"):
                status, body = ask(guarded, target, signs, method=method, body=b"" if method == "POST" else None)
                assert status == 403, (signs, target, body)
                assert json.loads(body)["error"] == "foreign_page"
                assert "EXTRA_CORS_ALLOWED_ORIGINS" in json.loads(body)["error_description"]


def test_host_name_of_an_api_opens_nothing_else(guarded: Cloud, api: str):
    """Under the host name of an API, a path of LocalStack's own or of another service is no API."""
    host = f"{api.split('/')[3]}.execute-api.localhost.localstack.cloud:{guarded.port}"
    for target in ("/_localstack/health", "/_localstack/init", "/%5Flocalstack/health", f"/{LIST_STACKS}"):
        assert ask(guarded, target, [("Host", host), ("Origin", OTHER_PAGE)])[0] in {403, 404}, target
    assert ask(guarded, "/test/", [("Host", host), ("Origin", OTHER_PAGE)])[0] == 200


def test_stack_is_not_created_by_a_foreign_page(guarded: Cloud):
    """What a refused request asked for has not been done, by GET or by a form."""
    template = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    action = "Action=CreateStack&StackName=foreign&Version=2010-05-15&TemplateBody=" + template.replace(" ", "")
    form = [("Content-Type", "application/x-www-form-urlencoded"), ("Sec-Fetch-Site", "same-site")]
    assert ask(guarded, f"/?{action}", [("User-Agent", MOZILLA)])[0] == 403
    assert ask(guarded, "/", form, method="POST", body=action.encode())[0] == 403
    stacks = guarded.client("cloudformation").list_stacks()["StackSummaries"]
    assert [stack for stack in stacks if stack["StackName"] == "foreign"] == []


@pytest.mark.parametrize(
    "signs",
    [
        [("Origin", PAGE), ("Sec-Fetch-Site", "same-site"), ("User-Agent", MOZILLA)],
        [("Origin", "http://second.test")],
        [("Referer", f"{PAGE}/"), ("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), ("User-Agent", MOZILLA)],
        [("User-Agent", "aws-cli/2.31")],
        [("User-Agent", "node"), ("Sec-Fetch-Mode", "cors")],  # all that Node.js's fetch sends of its kind
    ],
)
def test_allowed_page_and_program_are_answered(guarded: Cloud, signs: list[Header]):
    """The page of the settings, what a person opens, and programs go on to work."""
    assert ask(guarded, LIST_STACKS, signs)[0] == 200
    assert ask(guarded, "/_localstack/health", signs)[0] == 200


CHANGES = ["Action=CreateTopic&Name=t&Version=2010-03-31", "Action=ListStacks&Action=CreateUser&UserName=u"]


@pytest.mark.parametrize(
    "signs",
    [
        [("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate"), ("User-Agent", MOZILLA)],
        [("Referer", f"{PAGE}/"), ("Sec-Fetch-Site", "same-site")],
    ],
)
@pytest.mark.parametrize("query", CHANGES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_nothing_is_changed_without_an_origin(guarded: Cloud, signs: list[Header], query: str, method: str):
    """What a person opened, or an allowed page shows, may be another site's redirect: it reads at most."""
    assert ask(guarded, f"/?{query}", signs, method=method, body=b"" if method == "POST" else None)[0] == 403


def test_refused_websockets_leave_other_connections_alone(guarded: Cloud):
    """A page that opens WebSockets gets refusals, and LocalStack's log no traceback."""
    wish = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    for key in ("dGhlIHNhbXBsZSBub25jZQ==\r\n", "\r\n"):
        request = f"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: {OTHER_PAGE}\r\n{wish}{key}\r\n".encode()
        for _ in range(50):
            assert exchange(guarded, request).startswith(b"HTTP/1.1 403 ")
    assert ask(guarded, LIST_STACKS)[0] == 200
    assert [line for line in guarded.output if "Traceback" in line] == []


def test_preflight_is_answered_for_allowed_pages_only(guarded: Cloud):
    """A browser's SDK asks first; only the page of the settings is told that it may."""
    asking = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "x-amz-target")]
    assert ask(guarded, "/", [("Origin", PAGE), *asking], method="OPTIONS")[0] == 204
    assert ask(guarded, "/", [("Origin", OTHER_PAGE), *asking], method="OPTIONS")[0] == 403


def test_apis_function_urls_and_websites_are_for_every_page(guarded: Cloud, api: str, function_url_host: str):
    """What is open to all pages on AWS is open here: there the application decides."""
    foreign = [("Origin", OTHER_PAGE), ("User-Agent", MOZILLA)]
    assert ask(guarded, api, foreign)[0] == 200
    assert ask(guarded, f"/restapis/{api.split('/')[3]}/test/_user_request_/", foreign)[0] == 200
    assert ask(guarded, "/", [("Host", function_url_host), *foreign])[0] == 200
    s3 = guarded.client("s3")
    s3.create_bucket(Bucket="site")
    s3.put_bucket_website(Bucket="site", WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
    s3.put_object(Bucket="site", Key="index.html", Body=b"hello")
    site = [("Host", f"site.s3-website.localhost.localstack.cloud:{guarded.port}"), *foreign]
    assert ask(guarded, "/", site) == (200, b"hello")


def test_function_url_decides_by_its_cors_configuration(guarded: Cloud, function_url_host: str):
    """A page that the URL lists is told so, before and after; another one is served without a word of it."""
    there = ("Host", function_url_host)
    asking = ("Access-Control-Request-Method", "PUT")
    functions = [function["FunctionName"] for function in guarded.awslambda.list_functions()["Functions"]]
    name = next(each for each in functions if url_of(guarded, each) == function_url_host)
    listed = {"AllowOrigins": ["http://listed.test"], "AllowMethods": ["PUT"], "AllowHeaders": ["x-token"]}
    guarded.awslambda.update_function_url_config(FunctionName=name, Cors=listed | {"MaxAge": 60})
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", guarded.port)) as connection:

        def headers(method: str, *sent: Header) -> tuple[int, dict[str, str]]:
            connection.request(method, "/", headers=dict([there, *sent]))
            answer = connection.getresponse()
            answer.read()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, {name: value for name, value in told.items() if name.startswith("access-control-")}

        assert headers("OPTIONS", ("Origin", "http://listed.test"), asking) == (
            200,
            {
                "access-control-allow-origin": "http://listed.test",
                "access-control-allow-methods": "PUT",
                "access-control-allow-headers": "x-token",
                "access-control-max-age": "60",
            },
        )
        assert headers("PUT", ("Origin", "http://listed.test")) == (
            200,
            {"access-control-allow-origin": "http://listed.test"},
        )
        assert headers("PUT", ("Origin", OTHER_PAGE)) == (200, {})
        assert headers("PUT", ("Origin", PAGE)) == (200, {})


def test_guard_can_be_switched_off():
    """Whoever wants LocalStack as its makers have it says so by name."""
    for cloud in started(GATEWAY_GUARD="0"):
        assert ask(cloud, LIST_STACKS, [("Host", "rebound.test"), ("User-Agent", MOZILLA)])[0] == 200


# --- Bodies ----------------------------------------------------------------------------------------------------------


def test_api_takes_ten_megabytes_and_no_more(guarded: Cloud, api: str):
    """Longer bodies are refused by their Content-Length, and in chunks by what came."""
    kind = [("Content-Type", "text/plain")]
    assert ask(guarded, api, kind, method="POST", body=b"x" * (10 * MIB + 1)) == (
        413,
        b'{"message": "Request Too Long"}',
    )
    chunk = b"%x\r\n%s\r\n" % (MIB, b"x" * MIB)
    head = f"POST {api} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert exchange(guarded, head + chunk * 11 + b"0\r\n\r\n").startswith(b"HTTP/1.1 413")
    small = b"5\r\nhello\r\n0\r\n\r\n"
    assert exchange(guarded, head + small).startswith(b"HTTP/1.1 200")


def test_packed_body_is_measured_unpacked(guarded: Cloud, api: str):
    """A small body that unpacks to a large one is refused; one that unpacks to a small one arrives."""
    packed = [("Content-Encoding", "gzip"), ("Content-Type", "text/plain")]
    bomb = gzip.compress(bytes(100 * MIB))
    assert len(bomb) < 110_000
    before = psutil.Process(guarded.process.pid).memory_info().rss
    assert ask(guarded, api, packed, method="POST", body=bomb)[0] == 413
    assert psutil.Process(guarded.process.pid).memory_info().rss - before < 50 * MIB
    status, body = ask(guarded, api, packed, method="POST", body=gzip.compress(b"hello"))
    assert (status, json.loads(body)["length"]) == (200, 5)
    status, body = ask(guarded, api, packed, method="POST", body=b"no gzip")
    assert (status, "Content-Encoding" in json.loads(body)["message"]) == (400, True)


def test_function_url_takes_six_megabytes_and_no_more(guarded: Cloud, function_url_host: str):
    """A function URL takes what an invocation takes."""
    there = [("Host", function_url_host), ("Content-Type", "text/plain")]
    assert ask(guarded, "/", there, method="POST", body=b"x" * (6 * MIB + 1))[0] == 413
    assert ask(guarded, "/", there, method="POST", body=b"x" * (5 * MIB))[0] == 200


def test_uploads_are_as_long_as_they_are(guarded: Cloud):
    """S3 takes what it took."""
    s3 = guarded.client("s3")
    s3.create_bucket(Bucket="long")
    s3.put_object(Bucket="long", Key="key", Body=bytes(12 * MIB))
    assert s3.head_object(Bucket="long", Key="key")["ContentLength"] == 12 * MIB


# --- Odd requests ----------------------------------------------------------------------------------------------------


def test_odd_content_type_is_answered(guarded: Cloud, api: str):
    """Control characters in a Content-Type are the application's business."""
    if guarded.is_before(NEWEST):
        pytest.skip(f"the twisted of LocalStack {guarded.release} ends such a connection")
    odd = [("Content-Type", "text/\x01\x0bplain; charset=\x7f")]
    assert ask(guarded, api, odd, method="POST", body=b"hello")[0] == 200


def test_odd_target_is_refused(guarded: Cloud):
    """A target that is no URL gets an answer that is no failure of ours."""
    for target in (b"http://[/x", b"/\xff\xfe"):
        answer = exchange(guarded, b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % target)
        assert answer.startswith(b"HTTP/1.1 400 "), answer


def test_path_adds_no_line_to_the_log(guarded: Cloud, api: str):
    """A line break in a path stays in the line that tells of the path."""
    forged = "2026-11-28T10:00:00.000 ERROR forged"
    for target in (f"{api}x%0d%0a{forged.replace(' ', '%20')}", f"/_localstack/x%0a{forged.replace(' ', '%20')}"):
        assert ask(guarded, target)[0] in {403, 404}
    assert ask(guarded, "/_localstack/health")[0] == 200
    assert [line for line in guarded.output if line.lstrip("\r").startswith(forged)] == []
    assert [line for line in guarded.output if forged in line] != []


def test_ss_lists_what_the_tests_see(guarded: Cloud):
    """`ss -ltn` names LocalStack's port with its address."""
    shown = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    assert f"127.0.0.1:{guarded.port} " in shown
    assert f"0.0.0.0:{guarded.port} " not in shown
