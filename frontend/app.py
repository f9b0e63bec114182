"""The page's server: every address it answers is in `make_app`.

It serves three kinds of things: the page, rendered so that it names its files by content hash; those files, for good;
and what the page must be told, at ``/config.json``. It holds no state and no secret, and talks to nobody.
"""

import asyncio
import errno
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.template import Template
from tornado.web import Application, HTTPError, RequestHandler

from frontend.assets import Asset, AssetsError, Client, Tree, read_widget
from frontend.hosts import Gate
from frontend.policy import security_headers
from frontend.settings import Settings, SettingsError

log = logging.getLogger("frontend")

FOREVER = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"
NEVER = "no-store"

IDLE_S = 75.0
BODY_S = 15.0
MAX_HEAD_BYTES = 2**16
# Read past and dropped: enough that a form sent here by mistake gets its 405, and does not see a broken connection.
MAX_BODY_BYTES = 2**20

SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    500: "The server failed, and its log says how.",
}


def make_app(settings: Settings, *, client: Client, widget: Tree) -> Application:
    """Put the server together."""
    return Application(
        [
            (r"/", PageHandler),
            (r"/config.json", JsonHandler, {"document": settings.for_the_page(), "caching": REVALIDATE}),
            (r"/healthz", JsonHandler, {"document": {"status": "ok"}, "caching": NEVER}),
            (r"/static/(?P<tree>client|widget)/(?P<digest>[0-9a-f]{16})/(?P<name>.+)", FileHandler),
        ],
        default_handler_class=NotFoundHandler,
        log_function=log_request,
        security_headers=security_headers(settings),
        client=client,
        widget=widget,
    )


class BaseHandler(RequestHandler):
    """What all answers have in common: their headers, their compression, and how they fail."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    def set_default_headers(self) -> None:
        """Put the security headers on every answer, errors included."""
        self.clear_header("Server")
        for name, value in self.settings["security_headers"].items():
            self.set_header(name, value)

    def get(self, **_: str) -> None:
        """Answer the request."""
        raise HTTPError(404)

    def head(self, **arguments: str) -> None:
        """Answer as to GET; Tornado leaves the body out."""
        self.get(**arguments)

    def trees(self) -> dict[str, Tree]:
        """Find the files as they are now."""
        return {"client": self.settings["client"].tree(), "widget": self.settings["widget"]}

    def render_client(self, name: str, **values: object) -> bytes:
        """Fill in one of the client's HTML files; in it, ``client(name)`` and ``widget(name)`` give addresses."""
        addresses = {
            kind: (lambda file, kind=kind, digest=tree.digest: f"/static/{kind}/{digest}/{file}")
            for kind, tree in self.trees().items()
        }
        template = Template(self.trees()["client"].files[name].plain(), autoescape="xhtml_escape")
        return template.generate(**addresses, **values)

    def answer(self, asset: Asset, *, caching: str) -> None:
        """Send a file, or 304 to a browser that has it, compressed for one that takes that."""
        compressed = asset.is_gzip and accepts_gzip(self.request.headers.get("Accept-Encoding", ""))
        self.set_header("Cache-Control", caching)
        self.set_header("Content-Type", asset.media_type)
        if asset.is_gzip:
            self.set_header("Vary", "Accept-Encoding")
        # One tag for each form of it: a strong validator names exact bytes (RFC 9110, section 8.8.1).
        self.set_header("ETag", f'"{asset.sha256[:32]}{"-gzip" if compressed else ""}"')
        if self.check_etag_header():
            self.set_status(304)
            return
        if compressed:
            self.set_header("Content-Encoding", "gzip")
        self.write(asset.stored if compressed else asset.plain())

    def write_error(self, status_code: int, **details: Any) -> None:
        """Answer a failure with a page to a browser, and with JSON to anything else; never with a traceback."""
        del details
        sentence = SENTENCES.get(status_code, "This request can't be answered.")
        self.set_header("Cache-Control", NEVER)
        if status_code == 405:
            self.set_header("Allow", ", ".join(self.SUPPORTED_METHODS))
        if "text/html" in self.request.headers.get("Accept", ""):
            self.finish(self.render_client("error.html", status=status_code, sentence=sentence))
        else:
            self.set_header("Content-Type", "application/json")
            self.finish(json.dumps({"error": self._reason.lower().replace(" ", "_"), "error_description": sentence}))

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Log where an unexpected failure came from; of a refusal, the line that each request has says enough.

        Tornado's own line holds the whole address, and its query may be an authorization code.
        """
        if typ is not None and value is not None and not isinstance(value, HTTPError):
            log.error("The server failed to answer", exc_info=(typ, value, tb))


class NotFoundHandler(BaseHandler):
    """Everything that is not in the table of addresses."""


class PageHandler(BaseHandler):
    """The page, which names its files by content hash and so must be asked for each time."""

    def get(self, **_: str) -> None:
        """Answer the page."""
        self.answer(Asset.of("index.html", self.render_client("index.html")), caching=REVALIDATE)


class FileHandler(BaseHandler):
    """The client's and the widget's files, at addresses that change when they do."""

    def get(self, **parts: str) -> None:
        """Answer the file, if it is one of the tree that the address names."""
        tree = self.trees()[parts["tree"]]
        asset = tree.files.get(parts["name"])
        if asset is None or parts["digest"] != tree.digest or asset.media_type.startswith("text/html"):
            raise HTTPError(404)
        self.answer(asset, caching=FOREVER)


class JsonHandler(BaseHandler):
    """A JSON document that does not change while the server runs."""

    def initialize(self, document: Mapping[str, object], caching: str) -> None:
        """Take what is the same for all requests."""
        self.asset = Asset.of("document.json", json.dumps(document, indent=2).encode() + b"\n")
        self.caching = caching

    def get(self, **_: str) -> None:
        """Answer the document."""
        self.answer(self.asset, caching=self.caching)


def accepts_gzip(accept_encoding: str) -> bool:
    """Read an Accept-Encoding header (RFC 9110, section 12.5.3): a weight of nought refuses."""
    weights: dict[str, float] = {}
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.partition(";")
        try:
            weights[coding.strip()] = float(parameter.partition("=")[2] or 1)
        except ValueError:
            weights[coding.strip()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def log_request(handler: RequestHandler) -> None:
    """Log a line for each request, without the query: after a redirect it holds an authorization code."""
    request = handler.request
    level = logging.DEBUG if request.path == "/healthz" else logging.INFO
    # What is not ASCII may be a control character, which a terminal that shows the log would act on.
    path = request.path.encode("ascii", "backslashreplace").decode()
    log.log(level, "%d %s %s %.1f ms", handler.get_status(), request.method, path, request.request_time() * 1000)


def make_server(settings: Settings, app: Application, *, idle_s: float = IDLE_S, body_s: float = BODY_S) -> HTTPServer:
    """Put the application behind the gate, and bound what a connection may cost.

    Args:
        settings: the host names come from these.
        app: what answers the requests for them.
        idle_s: how long a connection may take to bring a request's whole head, the first or the next.
        body_s: how long it may take to bring the body that a head has promised.
    """
    gate = Gate(app, hosts=settings.hosts, security_headers=security_headers(settings))
    return HTTPServer(
        gate,
        idle_connection_timeout=idle_s,
        body_timeout=body_s,
        max_header_size=MAX_HEAD_BYTES,
        max_body_size=MAX_BODY_BYTES,
    )


async def serve(settings: Settings, app: Application) -> None:
    """Answer requests until SIGTERM or SIGINT.

    Raises:
        SettingsError: the address can't be listened on.
    """
    server = make_server(settings, app)
    try:
        server.listen(settings.frontend_port, address=settings.bind)
    except OSError as error:
        reason = (
            "is taken by another program" if error.errno == errno.EADDRINUSE else f"can't be used: {error.strerror}"
        )
        raise SettingsError(
            f"Port {settings.frontend_port} on {settings.bind} {reason}.\n"
            "Stop what listens there, or choose another FRONTEND_PORT (or BIND)."
        ) from error
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    log.info("The page is at %s/, its issuer at %s", settings.url, settings.okta_issuer)
    await stop.wait()
    server.stop()
    await server.close_all_connections()


def run() -> int:
    """Start the server with the settings of the environment; the exit status is 1 when it can't start."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = Settings.from_environment(os.environ)
        app = make_app(settings, client=Client(), widget=read_widget(settings.widget_dir))
        asyncio.run(serve(settings, app))
    except (SettingsError, AssetsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
