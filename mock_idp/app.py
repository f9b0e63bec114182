"""Every URL of the issuer on one screen."""

import logging
from pathlib import Path
from typing import Any

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
from mock_idp.base import IssuerApplication, is_unseen
from mock_idp.issuer import Issuer

log = logging.getLogger("mock_idp")

_HERE = Path(__file__).parent
_NS = r"(?:/ns/(?P<ns>[^/]+))?"
_OAUTH = _NS + r"/oauth2(?:/(?P<server>[A-Za-z0-9._-]+))?/v1"
_ISSUER = _NS + r"(?:/oauth2/(?P<server>[A-Za-z0-9._-]+))?"


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
        (r"/\.well-known/oauth-authorization-server" + _ISSUER, discovery.Metadata),
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
        (r"/static/(?P<path>[A-Za-z0-9_./-]+)", pages.StaticFiles, {"path": str(_HERE / "static")}),
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
        (r"/ca\.pem", pages.AuthorityCertificate),
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
    request = handler.request
    if log.isEnabledFor(logging.INFO) and not is_unseen(request):
        log.info("%s %s %d", request.method, request.path, handler.get_status())
