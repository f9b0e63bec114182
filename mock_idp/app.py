"""Every URL of the issuer on one screen, and what starts and stops the server."""

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import StaticFileHandler

from mock_idp import (
    authorize,
    backchannel,
    console,
    control,
    discovery,
    minting,
    okta_classic,
    okta_idx,
    pages,
    signin,
    token_endpoint,
    token_use,
)
from mock_idp.base import IssuerApplication
from mock_idp.config import ConfigError
from mock_idp.issuer import Issuer
from mock_idp.keys import KeyStoreError
from mock_idp.settings import Settings, SettingsError, load_settings, unknown_settings

log = logging.getLogger("mock_idp")

_HERE = Path(__file__).parent
_NS = r"(?:/ns/(?P<ns>[^/]+))?"
_OAUTH = _NS + r"/oauth2(?:/(?P<server>[A-Za-z0-9._-]+))?/v1"
_ISSUER = _NS + r"(?:/oauth2/(?P<server>[A-Za-z0-9._-]+))?"
_MAX_REQUEST_BYTES = 1024 * 1024


def routes() -> list[tuple[Any, ...]]:
    """Return every URL of this server."""
    return [
        # OAuth 2.0 and OpenID Connect, per authorization server
        (_OAUTH + r"/token", token_endpoint.Token),
        (_OAUTH + r"/keys", discovery.Keys),
        (_OAUTH + r"/authorize", authorize.Authorize),
        (_OAUTH + r"/userinfo", token_use.UserInfo),
        (_OAUTH + r"/introspect", token_use.Introspect),
        (_OAUTH + r"/revoke", token_use.Revoke),
        (_OAUTH + r"/logout", token_use.Logout),
        (_OAUTH + r"/interact", okta_idx.Interact),
        (_OAUTH + r"/par", backchannel.PushedRequest),
        (_OAUTH + r"/device/authorize", backchannel.DeviceAuthorization),
        (_NS + r"/oauth2/v1/clients", backchannel.Registration),
        (_ISSUER + r"/\.well-known/(?:openid-configuration|oauth-authorization-server)", discovery.Metadata),
        (
            _NS + r"/\.well-known/oauth-authorization-server(?:/oauth2/(?P<server>[A-Za-z0-9._-]+))?",
            discovery.Metadata,
        ),
        # Okta's Identity Engine
        (_NS + r"/idp/idx/introspect", okta_idx.IntrospectIdx),
        (_NS + r"/idp/idx/identify", okta_idx.Identify),
        (_NS + r"/idp/idx/challenge/answer", okta_idx.Answer),
        (_NS + r"/idp/idx/cancel", okta_idx.CancelIdx),
        # Okta's Classic engine
        (_NS + r"/api/v1/authn", okta_classic.Authn),
        (_NS + r"/api/v1/authn/credentials/change_password", okta_classic.ChangePassword),
        (_NS + r"/api/v1/authn/cancel", okta_classic.CancelAuthn),
        (_NS + r"/api/v1/authn/recovery/unlock", okta_classic.Unlock),
        (_NS + r"/api/v1/sessions/me(?:/lifecycle/refresh)?", okta_classic.SessionsMe),
        (_NS + r"/login/sessionCookieRedirect", okta_classic.SessionCookieRedirect),
        # The issuer's own pages
        (_NS + r"/signin", signin.SignIn),
        (_NS + r"/activate", signin.Activate),
        (_NS + r"/signout", pages.SignOut),
        (_NS + r"/", console.Console),
        (r"/static/(?P<path>.*)", StaticFileHandler, {"path": str(_HERE / "static")}),
        # The control plane
        (_NS + r"/mock/tokens", minting.Tokens),
        (_NS + r"/mock/faults", control.Faults),
        (_NS + r"/mock/faults/(?P<fault_id>[^/]+)", control.OneFault),
        (_NS + r"/mock/requests", control.Requests),
        (_NS + r"/mock/keys", control.Keys),
        (_NS + r"/mock/keys/rotate", control.RotateKeys),
        (_NS + r"/mock/personas", control.People),
        (_NS + r"/mock/personas/(?P<login>[^/]+)", control.OnePersona),
        (_NS + r"/mock/clock", control.Clock),
        (_NS + r"/mock/reset", control.Reset),
        (_NS + r"/mock/reload", control.Reload),
        (_NS + r"/mock/try", control.TryToken),
        (_NS + r"/mock(?:/.*)?", control.NotThere),
        (r"/healthz", pages.Health),
        (r".*", discovery.NotFound),
    ]


def make_app(issuer: Issuer) -> IssuerApplication:
    """Return the application of an issuer."""
    return IssuerApplication(
        issuer,
        routes(),
        template_path=str(_HERE / "templates"),
        log_function=_log_request,
        compress_response=False,
    )


def _log_request(handler: Any) -> None:
    if log.isEnabledFor(logging.INFO):
        request = handler.request
        log.info("%s %s %d", request.method, request.path, handler.get_status())


def listen(bind: str, port: int) -> list[socket.socket]:
    """Open the listening sockets.

    Raises:
        SettingsError: the port is taken or the address is not this machine's.
    """
    try:
        return bind_sockets(port, address=bind)
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {bind} port {port}: {error.strerror}. Set IDP_PORT or BIND to something free."
        ) from error


async def serve(settings: Settings) -> None:
    """Run the issuer until SIGTERM or SIGINT.

    Raises:
        SettingsError, ConfigError, KeyStoreError: it cannot start; the text says why.
    """
    sockets = listen(settings.bind, settings.port)
    port = sockets[0].getsockname()[1]
    issuer = Issuer(settings, settings.public_url or f"http://localhost:{port}")
    issuer.default.ring(issuer.default.servers["default"])
    server = HTTPServer(make_app(issuer), max_body_size=_MAX_REQUEST_BYTES, idle_connection_timeout=75)
    server.add_sockets(sockets)
    print(f"mock_idp: issuer {issuer.public_url}/oauth2/default, console {issuer.public_url}/", flush=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, issuer)
    await stop.wait()
    server.stop()
    await server.close_all_connections()


def _reload(issuer: Issuer) -> None:
    try:
        issuer.reload()
        log.warning("configuration read again from %s", issuer.settings.config)
    except ConfigError as error:
        log.error("configuration kept as it was: %s", error)  # noqa: TRY400 - the sentence says all


def main() -> int:
    """Start from the environment; 0 after a clean stop, 2 when the settings or the files are wrong."""
    try:
        settings = load_settings(os.environ)
        logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        for sentence in unknown_settings(os.environ):
            log.warning("%s", sentence)
        asyncio.run(serve(settings))
    except (SettingsError, ConfigError, KeyStoreError) as error:
        print(f"mock_idp: {error}", file=sys.stderr)
        return 2
    return 0
