"""Starting and stopping the issuer's server: sockets, https beside http, one issuer behind both."""

import asyncio
import logging
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tornado.netutil import bind_sockets

from mock_idp.app import make_app
from mock_idp.http1 import HttpServer
from mock_idp.issuer import Issuer
from mock_idp.settings import Settings, SettingsError

log = logging.getLogger("mock_idp")


def _listen(bind: str, port: int, setting: str, opened: ExitStack) -> list[socket.socket]:
    """Open the listening sockets, to be closed with `opened` should the start fail.

    Raises:
        SettingsError: the port is taken or the address is not this machine's.
    """
    try:
        sockets = bind_sockets(port, address=bind)
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {bind} port {port}: {error.strerror}. Set {setting} or BIND to something free."
        ) from error
    for each in sockets:
        opened.callback(each.close)
    return sockets


class IssuerServer:
    """An issuer that listens.

    Args:
        settings: from the environment, or a test's own.

    Raises:
        SettingsError, ConfigError, KeyStoreError: it cannot start; the text says why.
    """

    def __init__(self, settings: Settings) -> None:
        with ExitStack() as opened:
            self._sockets = _listen(settings.bind, settings.port, "IDP_PORT", opened)
            self._tls_sockets: list[socket.socket] = []
            self._tls_context: ssl.SSLContext | None = None
            port = self._sockets[0].getsockname()[1]
            tls_url = ""
            if settings.tls_port is not None:
                self._tls_sockets = _listen(settings.bind, settings.tls_port, "IDP_TLS_PORT", opened)
                tls_url = settings.tls_public_url or f"https://localhost:{self._tls_sockets[0].getsockname()[1]}"
            self.issuer = Issuer(settings, settings.public_url or f"http://localhost:{port}", tls_url)
            self.issuer.default.ring(self.issuer.default.servers["default"])
            if self._tls_sockets:
                self._tls_context = _tls_context(self.issuer, settings.state_dir, tls_url)
            self._server = HttpServer(make_app(self.issuer))
            opened.pop_all()  # started: the server closes its sockets itself

    def describe(self) -> str:
        """Return the line that says where it is; whoever starts it waits for that line."""
        issuer = self.issuer
        tls = f", https {issuer.tls_public_url}/oauth2/default" if issuer.tls_public_url else ""
        return f"mock_idp: issuer {issuer.public_url}/oauth2/default{tls}, console {issuer.public_url}/"

    async def __aenter__(self) -> Self:
        # Most requests are answered without waiting for anything: they need no turn of the loop of their own.
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        await self._server.listen(self._sockets)
        if self._tls_context is not None:
            await self._server.listen(self._tls_sockets, self._tls_context)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()


def _tls_context(issuer: Issuer, state_dir: Path, tls_url: str) -> ssl.SSLContext:
    # Imported only where https is asked for: certificates cost a tenth of the start-up time.
    from mock_idp.certificates import CertificateAuthority  # noqa: PLC0415

    authority = CertificateAuthority(state_dir)
    issuer.ca_pem = authority.pem
    host = urlsplit(tls_url).hostname or "localhost"
    return authority.server_context(list(dict.fromkeys([host, "localhost", "127.0.0.1", "::1", "mock-idp"])))
