"""The base of all handlers: namespace, CORS, captured requests, faults of endpoints, errors in the right shape."""

import asyncio
import base64
import json
import logging
import time
from collections.abc import Awaitable, Mapping
from typing import Any, cast
from urllib.parse import unquote_plus, urlencode, urlsplit

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, HTTPError, RequestHandler

from mock_idp.broken import BrokenConnection
from mock_idp.clients import any_allows_origin, any_registers_origin, origin_of
from mock_idp.config import AuthorizationServer
from mock_idp.errors import ControlError, IssuerError, OAuthError, OktaError, PageError, okta_code_for
from mock_idp.issuer import NAMESPACE_NAME, Issuer, issuer_url, oauth_url
from mock_idp.jsontext import parse_json
from mock_idp.namespaces import Namespace
from mock_idp.personas import Persona, okta_id
from mock_idp.reader import MAX_BODY_BYTES
from mock_idp.state import Session
from mock_idp.tokens import random_id

log = logging.getLogger("mock_idp")

MAX_QUERY_BYTES = 16 * 1024
_CAPTURED_BYTES = 4096
_CORS_HEADERS = "content-type, authorization, x-okta-user-agent-extended, x-mock-namespace"
_CORS_METHODS = "GET, POST, DELETE, OPTIONS"
_MAX_DELAY_MS = 60_000
_KNOWN_PATHS = 1000
_KNOWN_PATH_LENGTH = 200
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
_DEFAULT_HEADERS = (
    ("Server", "mock_idp"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)


class IssuerApplication(Application):
    """A Tornado application that knows the issuer, and remembers which path leads to which handler."""

    def __init__(self, issuer: Issuer, handlers: list[Any], **settings: Any) -> None:
        self.issuer = issuer
        self._found: dict[str, tuple[Any, ...]] = {}
        super().__init__(handlers, **settings)

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Return what answers a request; under an unknown host name that is a refusal, whatever the path."""
        host = request.headers.get("Host")  # an HTTP/1.0 health check sends none
        if host is not None and not self.issuer.hosts.include(host):
            return self.get_handler_delegate(request, UnknownHost)
        if found := self._found.get(request.path):
            return self.get_handler_delegate(request, *found)
        delegate: Any = super().find_handler(request, **kwargs)
        if len(self._found) < _KNOWN_PATHS and len(request.path) <= _KNOWN_PATH_LENGTH:
            self._found[request.path] = (
                *(delegate.handler_class, delegate.handler_kwargs),
                *(delegate.path_args, delegate.path_kwargs),
            )
        return delegate


def is_unseen(request: HTTPServerRequest) -> bool:
    """Say whether a watcher asks, such as the testbed itself: no fault strikes it, nobody is shown it."""
    return request.headers.get("X-Mock-Capture") == "off"


class BaseHandler(RequestHandler):
    """What all handlers share.

    Attributes:
        ns: the namespace, from the path prefix `/ns/{name}` or the header `X-Mock-Namespace`.
        base_url: the public origin with that prefix; every URL in an answer begins with it.
        server: the authorization server in the path, where there is one.
        client_id: set by handlers once they know it, for captured requests and faults.
    """

    cors = False
    cors_public = False
    captured = True
    faultable = True

    ns: Namespace
    base_url: str
    prefix: str
    server: AuthorizationServer
    client_id: str = ""
    persona_login: str = ""
    _client_gone: "asyncio.Future[None] | None" = None

    @property
    def issuer(self) -> Issuer:
        """The issuer as a whole."""
        return cast("IssuerApplication", self.application).issuer

    @property
    def issuer_id(self) -> str:
        """The issuer identifier of the server in the path."""
        return issuer_url(self.base_url, self.server.server_id)

    @property
    def oauth_base(self) -> str:
        """What the endpoint URLs of the server in the path begin with."""
        return oauth_url(self.base_url, self.server.server_id)

    def set_default_headers(self) -> None:
        """Let nothing be cached or sniffed unless a handler says so."""
        for name, value in _DEFAULT_HEADERS:
            self.set_header(name, value)

    def compute_etag(self) -> str | None:
        """Name nothing that is not to be cached."""
        return None

    def check_etag_header(self) -> bool:
        """Say whether the client has this answer already."""
        return "If-None-Match" in self.request.headers and super().check_etag_header()

    async def prepare(self) -> None:
        """Find namespace and server, answer CORS, refuse what is too large, let faults strike."""
        issuer = self.issuer
        name = self.path_kwargs.pop("ns", None) or ""
        self.prefix = f"/ns/{name}" if name else ""
        if not name and "X-Mock-Namespace" in self.request.headers:
            name = self.request.headers["X-Mock-Namespace"]
        self.ns = issuer.default
        if name:
            if not NAMESPACE_NAME.fullmatch(name):
                raise ControlError(
                    "invalid_namespace",
                    "A namespace has 1 to 64 letters, digits, underscores and hyphens.",
                )
            self.ns = issuer.namespace(name)
        tls = self.request.protocol == "https" and issuer.tls_public_url
        self.base_url = (issuer.tls_public_url if tls else issuer.public_url) + self.prefix
        if "server" in self.path_kwargs:
            server = self.ns.servers.get(self.path_kwargs.pop("server") or "org")
            if server is None:
                raise OktaError("E0000007", summary="Not found: Resource not found (AuthorizationServer)")
            self.server = server
        self._set_cors()
        if len(self.request.body) > MAX_BODY_BYTES or len(self.request.query) > MAX_QUERY_BYTES:
            raise self.too_large()
        if self.ns.faults and self.faultable and not is_unseen(self.request):
            await self._strike()

    def too_large(self) -> IssuerError:
        """Return the error for a body of more than 64 KiB or a query of more than 16."""
        return OAuthError("invalid_request", "The request is larger than 64 KiB.", 413)

    def _set_cors(self) -> None:
        if "Origin" not in self.request.headers or not (self.cors or self.cors_public) or not hasattr(self, "ns"):
            return
        origin = self.request.headers["Origin"]
        self.set_header("Vary", "Origin")
        clients = self.ns.clients.values()
        if any_registers_origin(clients, origin):
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Allow-Credentials", "true")
        elif any_allows_origin(clients, origin):
            self.set_header("Access-Control-Allow-Origin", origin)
        elif self.cors_public:
            self.set_header("Access-Control-Allow-Origin", "*")
        else:
            return
        if self.request.method == "OPTIONS":
            self.set_header("Access-Control-Allow-Headers", _CORS_HEADERS)
            self.set_header("Access-Control-Allow-Methods", _CORS_METHODS)
            self.set_header("Access-Control-Max-Age", "600")

    def options(self, **_: str) -> None:
        """Answer a preflight, whose headers are set already, or say which methods there are."""
        self.name_methods()
        self.set_status(204)

    def head(self, *args: str, **kwargs: str) -> Awaitable[None] | None:
        """Answer as GET does; Tornado leaves the body out."""
        return self.get(*args, **kwargs)

    def name_methods(self) -> None:
        """Say in the header Allow which methods there are. Source: RFC 9110 section 10.2.1."""
        own = [
            name for name in _METHODS if getattr(type(self), name.lower()) is not getattr(RequestHandler, name.lower())
        ]
        self.set_header("Allow", ", ".join(name for name in own if name != "HEAD" or "GET" in own))

    async def _strike(self) -> None:
        if self.request.method == "OPTIONS":
            return
        active = self.ns.faults.take(
            "endpoint", client_id=self._asked_client_id(), persona=self._asked_persona(), path=self.request.path
        )
        if active is None:
            return
        parameters = active.parameters
        match active.fault.name:
            case "latency":
                delay_s = _number(parameters, "delay_ms", 2000, 0, _MAX_DELAY_MS) / 1000
                await asyncio.wait({self.client_gone()}, timeout=delay_s)
            case "rate_limited":
                self.set_header("Retry-After", str(_number(parameters, "retry_after_s", 1, 0, 86_400)))
                self._finish_fault(429, "E0000047", "temporarily_unavailable")
            case "server_error":
                self._finish_fault(_number(parameters, "status", 503, 500, 599), "E0000009", "temporarily_unavailable")
            case "jwks_outage":
                self._finish_fault(503, "E0000009", "temporarily_unavailable")
            case "dropped_connection":
                self.detach().close()
            case "truncated_body":
                self._break_body(None)
            case "slow_drip":
                self._break_body(_number(parameters, "interval_ms", 100, 0, _MAX_DELAY_MS) / 1000)

    def _break_body(self, interval_s: float | None) -> None:
        self.request.connection = BrokenConnection(cast("HTTP1Connection", self.request.connection), interval_s)

    def _asked_client_id(self) -> str:
        if self.client_id:
            return self.client_id
        values = self.request.arguments.get("client_id")
        if values:
            return values[0].decode("utf-8", "replace")
        scheme, _, credentials = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return ""
        try:
            return unquote_plus(base64.b64decode(credentials, validate=True).decode().partition(":")[0])
        except ValueError:
            return ""

    def _asked_persona(self) -> str:
        """Return whose session, code or refresh token comes along."""
        session = self.session()
        if session is not None:
            return session.login
        ns, arguments = self.ns, self.request.arguments
        for name in ("code", "interaction_code", "refresh_token"):
            for value in arguments.get(name, []):
                found = (ns.refresh_tokens if name == "refresh_token" else ns.codes).get(
                    value.decode("utf-8", "replace")
                )
                if found is not None:
                    return found.grant.login
        return ""

    def _finish_fault(self, status: int, code: str, error: str) -> None:
        self.set_status(status)
        self.write_json(
            {
                "errorCode": code,
                "errorSummary": "A fault is on",
                "error": error,
                "error_description": "A fault that was asked for through /mock/faults.",
            }
        )
        self.finish()

    def write_json(self, value: Any) -> None:
        """Write JSON with its content type."""
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(value))

    @property
    def content_type(self) -> str:
        """The body's media type, without parameters and in lower case."""
        return self.request.headers.get("Content-Type", "").split(";", 1)[0].strip().lower()

    def form(self) -> dict[str, str]:
        """Return the fields of a form body.

        Raises:
            OAuthError: invalid_request, when it is no form, not UTF-8, or a field is repeated.
        """
        if self.content_type != "application/x-www-form-urlencoded":
            raise OAuthError(
                "invalid_request",
                "The body must be a form with content type application/x-www-form-urlencoded.",
            )
        return self.single(self.request.body_arguments)

    def query(self) -> dict[str, str]:
        """Return the fields of the query.

        Raises:
            OAuthError: invalid_request, when it is not UTF-8 or a field is repeated.
        """
        return self.single(self.request.query_arguments)

    def single(self, arguments: dict[str, list[bytes]]) -> dict[str, str]:
        """Return text fields, each of which may stand only once; an empty one counts as left out.

        Raises:
            OAuthError: invalid_request, when one is repeated or not UTF-8.

        Source: RFC 6749 sections 3.1 and 3.2.
        """
        fields = {}
        for name, values in arguments.items():
            if len(values) > 1:
                raise OAuthError("invalid_request", f"The parameter {name[:64]!r} is repeated.")
            try:
                name.encode("latin1").decode()  # Tornado reads names, but not values, as Latin-1
                value = values[0].decode()
            except UnicodeDecodeError as error:
                raise OAuthError("invalid_request", f"The parameter {name[:64]!r} is not UTF-8.") from error
            if value:
                fields[name] = value
        return fields

    def session(self) -> Session | None:
        """Return the browser's session, if its person still exists."""
        session_id = self.get_cookie("sid")
        session = self.ns.sessions.get(session_id) if session_id else None
        return session if session and session.login in self.ns.personas else None

    def start_session(self, persona: Persona) -> Session:
        """Sign the browser in."""
        session = Session(random_id("102", 18), persona.login, self.ns.now())
        self.end_session()
        self.ns.sessions.put(session.session_id, session)
        self.set_cookie(
            "sid",
            session.session_id,
            path=self.prefix or "/",
            httponly=True,
            samesite="Lax",
            secure=self.request.protocol == "https",
        )
        return session

    def end_session(self) -> None:
        """Sign the browser out."""
        session_id = self.get_cookie("sid")
        if session_id:
            self.ns.sessions.pop(session_id)
            self.clear_cookie("sid", path=self.prefix or "/")

    def is_own_page(self) -> bool:
        """Say whether a request came from a page of this issuer; without an Origin header no other page sent it."""
        origin = self.request.headers.get("Origin")
        if origin is None:
            return True
        urls = filter(None, (self.issuer.public_url, self.issuer.tls_public_url))
        return origin in {f"{self.request.protocol}://{self.request.host}", *map(origin_of, urls)}

    def log_exception(self, typ: type[BaseException] | None, value: BaseException | None, tb: Any) -> None:
        """Only what nobody expected is worth a traceback; the query is left out, it may hold codes and tokens."""
        if typ is not None and value is not None and not isinstance(value, IssuerError | HTTPError):
            log.error("uncaught exception at %s %s", self.request.method, self.request.path, exc_info=(typ, value, tb))

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Take the status from the error itself."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        super().send_error(error.status if isinstance(error, IssuerError) else status_code, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer an error in the shape that belongs to it."""
        self._set_cors()
        if status_code == 405:
            self.name_methods()
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, PageError):
            self.render_problem(error)
        elif isinstance(error, OktaError):
            self._write_okta_error(error)
        elif isinstance(error, OAuthError):
            for name, value in error.headers.items():
                self.set_header(name, value)
            if "WWW-Authenticate" in error.headers:
                self.set_header("Access-Control-Expose-Headers", "WWW-Authenticate")
            self.write_json({"error": error.error, "error_description": error.description})
            self.finish()
        elif isinstance(error, ControlError):
            self.write_json({"error": error.error, "error_description": error.description})
            self.finish()
        else:
            self.write_unexpected(status_code)

    def write_unexpected(self, status_code: int) -> None:
        """Answer an error without a shape of its own: unknown path, wrong method, our own fault."""
        self._write_okta_error(
            OktaError(
                okta_code_for(status_code),
                status=status_code,
            )
        )

    def _write_okta_error(self, error: OktaError) -> None:
        self.write_json(
            {
                "errorCode": error.code,
                "errorSummary": error.summary,
                "errorLink": error.code,
                "errorId": okta_id("oae", random_id()),
                "errorCauses": [{"errorSummary": cause} for cause in error.causes],
            }
        )
        self.finish()

    def render_problem(self, error: PageError) -> None:
        """Show an error to a person; pages override this."""
        self.write_json({"error": error.error, "error_description": error.description})
        self.finish()

    def client_gone(self) -> "asyncio.Future[None]":
        """Return what is done once the client hangs up: whoever waits for something else waits for this, too."""
        if self._client_gone is None:
            self._client_gone = asyncio.get_running_loop().create_future()
        return self._client_gone

    def on_connection_close(self) -> None:
        """Note that the client hung up before its answer."""
        if self._client_gone is not None and not self._client_gone.done():
            self._client_gone.set_result(None)

    def on_finish(self) -> None:
        """Capture the request for tests and the console."""
        if not self.captured or not hasattr(self, "ns") or self.request.method == "OPTIONS":
            return
        if is_unseen(self.request):
            return
        request = self.request
        record: dict[str, Any] = {
            "time": round(time.time(), 3),
            "method": request.method,
            "path": request.path[:_CAPTURED_BYTES],
            "status": self.get_status(),
            "duration_ms": round(request.request_time() * 1000, 1),
        }
        client_id = self._asked_client_id()
        if client_id:
            record["client_id"] = client_id[:_CAPTURED_BYTES]
        if self.persona_login:
            record["persona"] = self.persona_login
        if request.query_arguments and len(request.query) <= _CAPTURED_BYTES:
            record["query"] = request.query_arguments
        if request.body_arguments and len(request.body) <= _CAPTURED_BYTES:
            record["form"] = request.body_arguments
        self.ns.requests.add(record)


class UnknownHost(BaseHandler):
    """A request under a host name that is not the issuer's. Source: RFC 9110 section 15.5.20."""

    captured = False

    async def prepare(self) -> None:
        """Refuse it before anything is done."""
        self.send_error(421)

    def send_error(self, status_code: int = 421, **_: Any) -> None:
        """Refuse it in the same way when its method or its body would be refused, too."""
        super().send_error(421)

    def write_error(self, status_code: int, **_: Any) -> None:
        """Answer one sentence that names the setting."""
        sentence = "The issuer does not answer under this host name; if it should, add the name to ALLOWED_HOSTS."
        self.write_json({"error": "unknown_host", "error_description": sentence})
        self.finish()


def _number(parameters: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = parameters.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return default
    return int(min(max(value, low), high))


class OAuthHandler(BaseHandler):
    """Endpoints whose errors have the shape of RFC 6749 section 5.2."""

    cors = True

    def write_unexpected(self, status_code: int) -> None:
        """Answer bare HTTP errors in OAuth's shape, too."""
        error = "invalid_request" if status_code < 500 else "server_error"
        sentence = {
            404: "There is nothing at this path.",
            405: f"This endpoint does not take {self.request.method}.",
        }.get(status_code, "The request could not be read." if error == "invalid_request" else "A bug here.")
        self.write_json({"error": error, "error_description": sentence})
        self.finish()


class OktaHandler(BaseHandler):
    """Okta's own JSON endpoints."""

    cors = True

    def too_large(self) -> IssuerError:
        """Return that error in Okta's shape."""
        return OktaError("E0000003", status=413, summary="The request is larger than 64 KiB.")

    def json_body(self) -> dict[str, Any]:
        """Return the JSON object of the body.

        Raises:
            OktaError: E0000021 for another content type, E0000003 for anything but a JSON object.
        """
        if self.content_type not in {"application/json", "application/ion+json"}:
            raise OktaError("E0000021")
        try:
            body = parse_json(self.request.body or b"{}")
        except ValueError as error:
            raise OktaError("E0000003") from error
        if not isinstance(body, dict):
            raise OktaError("E0000003")
        return body


def with_query(url: str, parameters: dict[str, Any], *, fragment: bool = False) -> str:
    """Return a URL with parameters added to its query or put into its fragment."""
    encoded = urlencode({name: value for name, value in parameters.items() if value is not None})
    if fragment:
        return f"{url}#{encoded}"
    return f"{url}{'&' if urlsplit(url).query else '?'}{encoded}"
