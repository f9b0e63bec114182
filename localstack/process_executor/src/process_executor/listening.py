"""Where LocalStack listens: on the addresses of ``GATEWAY_LISTEN`` and nowhere else.

LocalStack's twisted server ignores a host that is IPv4 and listens on ``0.0.0.0``: the whole network could use the
cloud. A port that is taken is reported by LocalStack's exit, where it used to say that it is ready.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from localstack.aws.serving.twisted import TLSMultiplexerFactory
from localstack.runtime.server.twisted import TwistedRuntimeServer
from localstack.utils import net
from localstack.utils.patch import patch
from rolo.serving.twisted import TwistedGateway, TwistedRequestAdapter
from twisted.internet import reactor, ssl  # type: ignore[import-not-found]  # it comes with LocalStack
from twisted.web import http  # type: ignore[import-not-found]  # as above

from localstack import config

# Reached by LocalStack's own calls, which go to localhost by IPv4.
ON_LOOPBACK = frozenset({"0.0.0.0", "127.0.0.1", "::", "localhost"})  # noqa: S104 - recognised, not bound
# Twisted before 24.10, which came with earlier LocalStacks, always looks for a form's fields.
CAN_LEAVE_FORMS = "parsePOSTFormSubmission" in inspect.signature(http.Request.__init__).parameters
WITHOUT_FORMS = {"parsePOSTFormSubmission": False} if CAN_LEAVE_FORMS else {}
BAD_TARGET = b'{"error": "bad_request", "error_description": "The target of the request is no URL."}'


class Request(TwistedRequestAdapter):  # type: ignore[misc]  # it comes with LocalStack, which publishes no types
    """A request as LocalStack's gateway gets it.

    Nobody there reads the fields of forms that twisted would find, at the price of the whole body in memory; and a
    Content-Type that twisted cannot read would end the connection without an answer.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named, **WITHOUT_FORMS)

    def process(self) -> None:
        """Refuse a target that is no URL, of which the gateway would make a failure of its own, and no WebSockets.

        LocalStack has no API for these, and what the gateway refuses to them damages other connections: it ends them
        outside of twisted's thread.
        """
        self.requestHeaders.removeHeader(b"upgrade")
        try:
            urlsplit(self.uri.decode())
        except ValueError:
            self.setResponseCode(400)
            self.setHeader(b"Content-Type", b"application/json")
            self.write(BAD_TARGET)
            self.finish()
        else:
            super().process()


def local_host() -> str:
    """The address under which this machine itself reaches LocalStack: 127.0.0.1 unless it listens elsewhere only."""
    host = str(config.GATEWAY_LISTEN[0].host)
    return "127.0.0.1" if host in ON_LOOPBACK else host


def listen_only_where_told() -> None:
    """Bind each address of ``GATEWAY_LISTEN`` by itself, as hypercorn does, and let LocalStack's own calls find it."""

    @patch(TwistedRuntimeServer.register)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _register(_: Callable[..., Any], __: Any, gateway: Any, listen: Any, ssl_creds: Any = None) -> None:
        site = TwistedGateway(gateway)
        site.requestFactory = Request
        factory: Any = site
        if ssl_creds:
            certificate, key = ssl_creds
            context = ssl.DefaultOpenSSLContextFactory(key, certificate)
            context.getContext().use_certificate_chain_file(certificate)
            factory = TLSMultiplexerFactory(context, False, site)
        for address in listen:
            reactor.listenTCP(address.port, factory, interface=address.host)

    if (host := local_host()) != "127.0.0.1":
        name = f"[{host}]" if ":" in host else host
        config.internal_service_url = functools.partial(config.internal_service_url, name)

        @patch(net.is_port_open)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
        def _is_port_open(call: Callable[..., bool], port_or_url: int | str, *others: Any, **named: Any) -> bool:
            ports = {address.port for address in config.GATEWAY_LISTEN}
            return call(f"http://{name}:{port_or_url}" if port_or_url in ports else port_or_url, *others, **named)
