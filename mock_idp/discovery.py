"""Discovery and keys. The metadata is generated from what the configuration and the routes really offer."""

import re
from collections.abc import Awaitable
from typing import Any

from mock_idp.base import OAuthHandler
from mock_idp.errors import OktaError
from mock_idp.issuance import OFFERED_SCOPES

_MAX_WAIT_S = 60


class Metadata(OAuthHandler):
    """OpenID Connect Discovery 1.0 and RFC 8414 metadata of one authorization server."""

    cors_public = True

    def get(self) -> None:
        """Answer the metadata."""
        ns, base = self.ns, self.oauth_base
        clients = ns.clients.values()
        response_types = sorted({kind for client in clients for kind in client.response_types})
        grant_types = sorted({kind for client in clients for kind in client.grant_types})
        auth_methods = sorted({method for client in clients for method in client.auth_methods})
        metadata: dict[str, Any] = {
            "issuer": self.issuer_id,
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "userinfo_endpoint": f"{base}/userinfo",
            "registration_endpoint": f"{self.base_url}/oauth2/v1/clients",
            "jwks_uri": f"{base}/keys",
            "introspection_endpoint": f"{base}/introspect",
            "revocation_endpoint": f"{base}/revoke",
            "end_session_endpoint": f"{base}/logout",
            "device_authorization_endpoint": f"{base}/device/authorize",
            "pushed_authorization_request_endpoint": f"{base}/par",
            "response_types_supported": response_types,
            "response_modes_supported": ["query", "fragment", "form_post", "okta_post_message"],
            "grant_types_supported": grant_types,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.server.algorithm],
            "scopes_supported": [
                *OFFERED_SCOPES,
                *self.server.scopes,
            ],
            "token_endpoint_auth_methods_supported": auth_methods,
            "introspection_endpoint_auth_methods_supported": auth_methods,
            "revocation_endpoint_auth_methods_supported": auth_methods,
            "claims_supported": [
                *("iss", "ver", "sub", "aud", "iat", "exp", "jti", "auth_time", "amr", "idp", "nonce"),
                *("name", "preferred_username", "given_name", "family_name", "email", "email_verified"),
                *("locale", "zoneinfo", "updated_at", "groups", "at_hash", "c_hash"),
            ],
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": ["none", "login", "consent"],
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
        }
        self.write_json(metadata)


class Keys(OAuthHandler):
    """The key set of one authorization server; `Prefer: wait=30` with If-None-Match waits for another one.

    Source: RFC 7517 section 5, RFC 7240 section 4.3.
    """

    cors_public = True

    def get(self) -> Awaitable[None] | None:
        """Answer the key set, serialised once per change; only a request that waits is answered later."""
        wait = re.search(r"(?:^|[,\s])wait=(\d{1,4})", self.request.headers.get("Prefer", ""), re.IGNORECASE)
        if wait is not None and "If-None-Match" in self.request.headers:
            return self._answer_later(min(int(wait[1]), _MAX_WAIT_S))
        self._answer()
        return None

    async def _answer_later(self, wait_s: int) -> None:
        self.set_header("Preference-Applied", f"wait={wait_s}")
        await self.ns.ring(self.server).wait_for_other(self.request.headers["If-None-Match"], wait_s)
        self._answer()

    def _answer(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-cache")
        self.write(self.ns.ring(self.server).jwks())

    def compute_etag(self) -> str | None:
        """Name the key set; Tornado answers 304 to who has it already."""
        return self.ns.ring(self.server).etag()


class NotFound(OAuthHandler):
    """Everything that is no path of this server."""

    def prepare(self) -> None:  # type: ignore[override]  # nothing to await: no namespace is looked at
        """Answer 404 in Okta's shape."""
        raise OktaError("E0000007")
