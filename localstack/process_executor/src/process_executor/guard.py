"""Who may talk to this cloud: programs of this machine, the application's page, and a person's own browser.

AWS asks every caller for a signature; LocalStack carries out whatever reaches its port. A web page can reach it, too:
with an image, a form or a script of its own for ``http://localhost:4566/?Action=CreateStack``, or from a host name of
its own that it lets point to this machine. So, before LocalStack does anything:

- A request for a host name that is not this cloud's is answered 421. Source: RFC 9110 section 15.5.20.
- A request that comes from a browser reaches AWS's API and ``/_localstack`` only from an allowed page, or to read what
  a person opened. Source: Fetch Metadata Request Headers (W3C), section 2.
- APIs, function URLs and websites in S3 are open to every page, as on AWS: there the application decides.

Nothing that a page can leave out or change decides in its favour. What a person opened may have been redirected here by
another site, and so may an image of an allowed page: without the header Origin, nothing but reading is carried out.
"""

import gzip
import io
import ipaddress
import logging
import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from localstack.aws import handlers
from localstack.aws.handlers import cors
from localstack.services.edge import ROUTER
from localstack.utils.patch import patch
from rolo.request import get_raw_path
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect, Rule

from localstack import config
from localstack.runtime import get_current_runtime
from process_executor.settings import Settings, listed

LOG = logging.getLogger(__name__)

# What reaches this machine or a container of the stack, under whatever port.
KNOWN_HOSTS = (
    *("localhost", "*.localhost", "localhost.localstack.cloud", "*.localhost.localstack.cloud"),
    *("localstack", "*.localstack", "mock-idp", "frontend", "host.docker.internal"),
)
LABEL = r"[A-Za-z0-9_-]{1,63}"
HOST = re.compile(rf"(?P<name>\[[0-9A-Fa-f:.]+\]|{LABEL}(?:\.{LABEL})*\.?)(?::[0-9]{{0,5}})?")
# What SDKs put before the host of some operations: sync-127.0.0.1, 000000000000.127.0.0.1. A name that ends in a number
# is nobody's domain, and no browser takes it for a name. Source: URL standard, "ends in a number checker".
PREFIX_OF_ADDRESS = re.compile(r"[a-z0-9-]+[.-](?=\d+\.\d+\.\d+\.\d+$)")
ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<host>[^/?#]*)")
INTERNAL = "/_localstack"
SECURE_METADATA = ("Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-User")
BROWSERS = ("Mozilla/", "AppleCoreMedia/")
# Of services that take their operation from the query; GET reads at the others.
READING = re.compile(r"(?:Describe|Get|List)[A-Z][A-Za-z]*")
MIB = 1024 * 1024
LARGEST = {"api": 10 * MIB, "function-url": 6 * MIB}


class Refusal(Exception):
    """A request that is not carried out.

    Attributes:
        status: of the answer.
        document: the answer's JSON.
    """

    def __init__(self, status: int, sentence: str, document: dict[str, str]) -> None:
        self.status = status
        self.document = document
        super().__init__(sentence)

    @classmethod
    def named(cls, status: int, error: str, sentence: str) -> "Refusal":
        """A refusal of this guard's own, with a stable code for programs and a sentence for people."""
        return cls(status, sentence, {"error": error, "error_description": sentence})


class Hosts:
    """Host names that a server answers to: IP literals, and patterns such as ``localhost`` and ``*.localhost``."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._names = {pattern.lower() for pattern in patterns}

    def __contains__(self, name: str) -> bool:
        name = name.lower().removesuffix(".")
        try:
            ipaddress.ip_address(PREFIX_OF_ADDRESS.sub("", name.removeprefix("[").removesuffix("]")))
        except ValueError:
            # Each parent domain of a.b.c: *.b.c, *.c
            labels = name.split(".")
            parents = {"*." + ".".join(labels[i:]) for i in range(1, len(labels))}
            return name in self._names or not parents.isdisjoint(self._names)
        return True  # a page that has its name point here cannot be called by a number


def allowed_origins() -> list[str]:
    """The origins of pages that may call this cloud: LocalStack's own setting, and nothing else."""
    return [origin.rstrip("/") for origin in listed(config.EXTRA_CORS_ALLOWED_ORIGINS)]


def stand_guard(settings: Settings) -> None:
    """Put the guard before everything that LocalStack does with a request."""
    origins = allowed_origins()
    cors.ALLOWED_CORS_ORIGINS[:] = origins  # LocalStack's makers' own page goes, and nobody else's comes

    @patch(cors.should_enforce_self_managed_service)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _decide_for_the_application(call: Callable[[Any], bool], context: Any) -> bool:
        # LocalStack knows of APIs only that they are open to every page.
        host = context.request.host
        return call(context) and not any(kind in host for kind in (".lambda-url.", ".s3-website."))

    hosts = Hosts([*KNOWN_HOSTS, config.LOCALSTACK_HOST.host, f"*.{config.LOCALSTACK_HOST.host}", *settings.hosts])
    chain = get_current_runtime().components.gateway.request_handlers
    chain.insert(0, _handler(lambda request: check_host(request, hosts)))
    # Behind the one that loads what answers a host name: what is not loaded has no routes yet.
    place = chain.index(handlers.preprocess_request)
    chain.insert(place, _handler(lambda request: check_page(request, origins)))
    chain.insert(place + 1, _handler(check_size))


def _handler(check: Callable[[Any], None]) -> Callable[[Any, Any, Any], None]:
    def handle(chain: Any, context: Any, response: Any) -> None:
        try:
            check(context.request)
        except Refusal as refusal:
            LOG.warning("Refused %s %s: %s", context.request.method, context.request.path, refusal)
            response.status_code = refusal.status
            response.set_json(refusal.document)
            chain.terminate()  # without the headers that would let a foreign page read the answer

    return handle


def check_host(request: Any, hosts: Hosts) -> None:
    """Refuse a request for somebody else's name; one without a name (HTTP/1.0) passes.

    Raises:
        Refusal: 421 unknown_host.

    Source: RFC 9112 section 3.2.
    """
    asked = set(request.headers.getlist("Host"))
    # In its absolute form, a request names its host in the first line, too.
    if target := ABSOLUTE.match(request.environ.get("RAW_URI", "")):
        asked.add(target["host"])
    found = HOST.fullmatch(next(iter(asked), "localhost")) if len(asked) < 2 else None
    if found is None or not (found["name"] in hosts or _is_custom_domain(found["name"])):
        name = found["name"] if found else "What the request calls its host"
        raise Refusal.named(421, "unknown_host", f"{name} is not a name of this cloud; ALLOWED_HOSTS adds names.")


def _is_custom_domain(name: str) -> bool:
    from localstack.services.apigateway.models import apigateway_stores  # noqa: PLC0415 - heavy, and seldom needed

    return any(name.lower() in store.domain_names for _, _, store in apigateway_stores.iter_stores())


def check_page(request: Any, origins: list[str]) -> None:
    """Refuse what a page of another site sends here, unless an application answers it.

    Raises:
        Refusal: 403 foreign_page.
    """
    if not comes_from_a_browser(request.headers):
        return
    headers = request.headers
    origin = headers.get("Origin") or _origin_of(headers.get("Referer", ""))
    known = origin in origins or "*" in origins if origin else headers.get("Sec-Fetch-Site") == "none"
    if (known and ("Origin" in headers or only_reads(request))) or is_for_an_application(request):
        return
    page = f"the page {origin}" if origin else "a web page"
    raise Refusal.named(
        403,
        "foreign_page",
        f"Requests of {page} do not reach this cloud; EXTRA_CORS_ALLOWED_ORIGINS adds the origins of pages that may.",
    )


def only_reads(request: Any) -> bool:
    """Say whether a request cannot change anything, by its method and the operations that its query names."""
    actions = request.args.getlist("Action")
    return request.method in {"GET", "HEAD"} and all(READING.fullmatch(action) for action in actions)


def comes_from_a_browser(headers: Any) -> bool:
    """Say whether a request has a sign of a browser; Node.js's ``fetch`` has one of them, and is none."""
    metadata = {name: headers[name] for name in SECURE_METADATA if name in headers}
    others = "Origin" in headers or "Referer" in headers or headers.get("User-Agent", "").startswith(BROWSERS)
    # A browser's request in the mode "cors" to another site always has an Origin.
    return others or (bool(metadata) and metadata != {"Sec-Fetch-Mode": "cors"})


def _origin_of(url: str) -> str:
    """The origin of a URL, or the text itself where it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else url


def is_for_an_application(request: Any) -> bool:
    """Say whether an API of API Gateway, a function URL or a website in S3 answers, by LocalStack's own routes.

    What has the looks of such a request, but no route, would be taken for a call of AWS's API.
    """
    return kind_of(route_of(request)) is not None


def kind_of(rule: Rule | None) -> str | None:
    """What answers by a rule of LocalStack's router: ``api``, ``function-url``, ``website``; None for all else."""
    if rule is None:
        return None
    host = rule.host or ""
    if ".execute-api." in host or rule.rule.startswith("/_aws/execute-api/") or "/_user_request_" in rule.rule:
        return "api"
    if ".lambda-url." in host:
        return "function-url"
    return "website" if ".s3-website." in host else None


def route_of(request: Any) -> Rule | None:
    """The rule of LocalStack's router that a request matches; None for one that goes elsewhere."""
    if request.path.startswith(INTERNAL):
        return None
    try:
        matcher = ROUTER.url_map.bind(server_name=request.host)
        found, _ = matcher.match(get_raw_path(request), method=request.method, return_rule=True)
    except (HTTPException, RequestRedirect):
        return None
    return found


def check_size(request: Any) -> None:
    """Refuse a body that is longer than AWS takes, packed or unpacked, before it is read from twisted's temporary file.

    Raises:
        Refusal: 413 with AWS's words; 400 where gzip is announced, and something else comes.

    Source: Amazon API Gateway quotas ("Payload size"), Lambda quotas ("Invocation payload").
    """
    length = request.content_length
    packed = request.headers.get("Content-Encoding", "").lower() == "gzip"
    unknown = length is None and "Transfer-Encoding" in request.headers
    if not packed and not unknown and (length or 0) <= min(LARGEST.values()):
        return
    kind = kind_of(route_of(request))
    if kind not in LARGEST:
        return
    most = LARGEST[kind]
    if length is not None and length > most:
        raise too_long(kind)
    if packed or unknown:
        stream = gzip.GzipFile(fileobj=request.stream) if packed else request.stream
        try:
            body = stream.read(most + 1)
        except (OSError, EOFError, zlib.error) as error:
            text = f"The body is not what its Content-Encoding says: {error}."
            raise Refusal(400, text, {"message": text}) from error
        if len(body) > most:
            raise too_long(kind)
        request.stream = io.BytesIO(body)
        if packed:
            request.headers["Content-Encoding"] = "identity"


def too_long(kind: str) -> Refusal:
    """The refusal of a body that is too long, as the service that would take it says it."""
    if kind == "api":
        return Refusal(413, "The body is longer than 10 MB.", {"message": "Request Too Long"})
    return Refusal(413, "The body is longer than 6 MB.", {"Message": "Request Entity Too Large"})
