"""The token endpoint and who may use it: client authentication, and one function per grant."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

from mock_idp.base import OAuthHandler
from mock_idp.clients import Client
from mock_idp.errors import OAuthError
from mock_idp.issuance import OFFERED_SCOPES, Realm, access_token_draft, mint, token_response
from mock_idp.tokens import b64url

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class ClientHandler(OAuthHandler):
    """An endpoint that clients authenticate at."""

    def authenticate(self, fields: dict[str, str]) -> Client:
        """Authenticate a client, or identify a public one.

        Args:
            fields: the form.

        Raises:
            OAuthError: invalid_client (401), or invalid_request for two methods at once.

        Source: RFC 6749 section 2.3.
        """
        header = self.request.headers.get_list("Authorization")
        if header:
            return self._basic(header, fields)
        client_id, secret = fields.get("client_id", ""), fields.get("client_secret")
        self.client_id = client_id
        client = self.ns.clients.get(client_id)
        if not client_id:
            raise OAuthError("invalid_client", "The client is not named: send client_id or HTTP Basic.", 401)
        if client is None:
            raise OAuthError("invalid_client", "Invalid value for 'client_id' parameter.", 401)
        if secret is None:
            if not client.is_public:
                raise OAuthError("invalid_client", "The client must authenticate with its secret.", 401)
            return client
        if "client_secret_post" not in client.auth_methods or not client.secret_matches(secret):
            raise OAuthError(
                "invalid_client",
                "The client secret supplied for a confidential client is invalid, or the method is not the client's.",
                401,
            )
        return client

    def _basic(self, header: list[str], fields: dict[str, str]) -> Client:
        challenge = {"WWW-Authenticate": 'Basic realm="mock_idp"'}

        def refuse(sentence: str) -> OAuthError:
            return OAuthError("invalid_client", sentence, 401, challenge)

        scheme, _, credentials = header[0].partition(" ")
        if len(header) > 1 or scheme.lower() != "basic":
            raise refuse("The Authorization header must be one HTTP Basic header.")
        try:
            decoded = base64.b64decode(credentials.strip(), validate=True).decode()
        except ValueError as error:
            raise refuse("The Authorization header is not base64 of UTF-8 text.") from error
        raw_id, colon, raw_secret = decoded.partition(":")
        if _CONTROL_CHARACTERS.search(decoded):
            raise refuse("The Authorization header holds control characters.")
        client_id, secret = unquote_plus(raw_id), unquote_plus(raw_secret)
        self.client_id = client_id
        client = self.ns.clients.get(client_id)
        if client is None:
            raise refuse("Invalid value for 'client_id' parameter.")
        if fields.get("client_id", client_id) != client_id or "client_secret" in fields:
            raise OAuthError("invalid_request", "The client authenticates in more than one way.")
        if client.is_public:
            if colon and secret:
                raise refuse("A public client has no secret.")
            return client
        if "client_secret_basic" not in client.auth_methods or not client.secret_matches(secret):
            raise refuse(
                "The client secret supplied for a confidential client is invalid, or the method is not the client's."
            )
        return client


def required(fields: dict[str, str], name: str) -> str:
    """Return a field that must be there.

    Raises:
        OAuthError: invalid_request.
    """
    value = fields.get(name)
    if not value:
        raise OAuthError("invalid_request", f"The token request must specify a {name!r}.")
    return value


def verifier_matches(verifier: str, challenge: str) -> bool:
    """Compare a verifier with an S256 challenge. Source: RFC 7636 section 4.6."""
    return hmac.compare_digest(b64url(hashlib.sha256(verifier.encode("ascii", "replace")).digest()), challenge)


def narrowed(asked: str | None, granted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the scopes of a refresh: those granted, or fewer when fewer are asked for.

    Raises:
        OAuthError: invalid_scope, when more are asked for. Source: RFC 6749 section 6.
    """
    if not asked:
        return granted
    scopes = tuple(dict.fromkeys(asked.split()))
    if any(scope not in granted for scope in scopes):
        raise OAuthError("invalid_scope", "A refresh cannot ask for scopes that were not granted.")
    return scopes


class Token(ClientHandler):
    """RFC 6749 section 3.2."""

    def post(self) -> None:
        """Authenticate the client and run its grant."""
        fields = self.form()
        grant_type = fields.get("grant_type", "")
        client = self.authenticate(fields)
        grant = GRANTS.get(grant_type)
        if not grant_type:
            raise OAuthError("invalid_request", "The token request must specify a 'grant_type'.")
        if grant is None:
            raise OAuthError("unsupported_grant_type", "The authorization grant type is not supported.")
        if grant_type not in client.grant_types:
            raise OAuthError("unauthorized_client", "The client is not authorized to use the provided grant type.")
        self.write_json(grant(self, client, fields))

    @property
    def realm(self) -> Realm:
        """Where tokens are issued."""
        return Realm(self.ns, self.base_url, self.server)

    def code(self, client: Client, fields: dict[str, str]) -> dict[str, Any]:
        """Exchange an authorization or interaction code; reuse revokes what the code had issued."""
        kind = fields["grant_type"]
        presented = required(fields, "code" if kind == "authorization_code" else "interaction_code")
        refused = OAuthError("invalid_grant", "The authorization code is invalid or has expired.")
        code = self.ns.codes.get(presented)
        if code is None or code.grant_type != kind or code.grant.client_id != client.client_id:
            raise refused
        if code.used:
            self.ns.revoke(code.grant)
            raise refused
        code.used = True
        if code.expires <= self.ns.clock() or code.grant.server_id != self.server.server_id:
            raise refused
        if code.grant.revoked or code.grant.login not in self.ns.personas:
            raise refused
        self.persona_login = code.grant.login
        named = kind == "authorization_code" or "redirect_uri" in fields
        if named and required(fields, "redirect_uri") != code.redirect_uri:
            raise OAuthError("invalid_grant", "The 'redirect_uri' differs from the one of the authorization request.")
        self._check_verifier(code.code_challenge, fields)
        return token_response(self.realm, client, code.grant, code.grant.scopes, self.request.path)

    @staticmethod
    def _check_verifier(challenge: str | None, fields: dict[str, str]) -> None:
        verifier = fields.get("code_verifier")
        if challenge is None:
            if verifier is not None:
                raise OAuthError("invalid_grant", "A code_verifier was sent, but the request had no code_challenge.")
            return
        if verifier is None:
            raise OAuthError("invalid_grant", "PKCE verification failed: the code_verifier is missing.")
        if not _VERIFIER.fullmatch(verifier):
            raise OAuthError("invalid_request", "The code_verifier must be 43 to 128 unreserved characters.")
        if not verifier_matches(verifier, challenge):
            raise OAuthError("invalid_grant", "PKCE verification failed.")

    def refresh(self, client: Client, fields: dict[str, str]) -> dict[str, Any]:
        """Rotate a refresh token; a used one revokes the family. Source: RFC 9700 section 4.14.2."""
        presented = required(fields, "refresh_token")
        refused = OAuthError("invalid_grant", "The refresh token is invalid or expired.")
        token = self.ns.refresh_tokens.get(presented)
        if token is None or token.grant.client_id != client.client_id:
            raise refused
        if token.used:
            self.ns.revoke(token.grant)
            raise refused
        if token.grant.revoked or token.grant.server_id != self.server.server_id:
            raise refused
        persona = self.ns.personas.get(token.grant.login)
        if persona is None or persona.status != "ACTIVE":
            raise refused
        self.persona_login = persona.login
        scopes = narrowed(fields.get("scope"), token.scopes)
        token.used = True
        response = token_response(
            self.realm, client, token.grant, scopes, self.request.path, with_refresh="offline_access" in scopes
        )
        if "refresh_token" in response:
            successor = self.ns.refresh_tokens.get(response["refresh_token"])
            if successor is not None:
                successor.scopes = token.scopes
        return response

    def client_credentials(self, client: Client, fields: dict[str, str]) -> dict[str, Any]:
        """Issue a token on the client's own behalf. Source: RFC 6749 section 4.4."""
        if client.is_public:
            raise OAuthError("unauthorized_client", "A public client cannot use client_credentials.")
        scopes = tuple(dict.fromkeys(fields.get("scope", "").split())) or self.server.default_scopes
        if not scopes:
            raise OAuthError("invalid_scope", "The scope is missing, and the server has no default scope.")
        for scope in scopes:
            if scope in OFFERED_SCOPES or scope not in self.server.scopes:
                raise OAuthError(
                    "invalid_scope",
                    "One or more scopes are not configured for the authorization server resource.",
                )
        access = access_token_draft(self.realm, client.client_id, scopes, None)
        return {
            "token_type": "Bearer",
            "expires_in": self.ns.config.lifetimes.access_token_s,
            "access_token": mint(self.realm, access, client.client_id, None, self.request.path),
            "scope": " ".join(scopes),
        }

    def device(self, client: Client, fields: dict[str, str]) -> dict[str, Any]:
        """Answer a device that polls. Source: RFC 8628 section 3.5."""
        device_code = required(fields, "device_code")
        device = self.ns.devices.get(device_code)
        known = device is not None and (device.client_id, device.server_id) == (client.client_id, self.server.server_id)
        if device is None or not known or device.redeemed:
            raise OAuthError("invalid_grant", "The device code is invalid or was used.")
        if self.ns.clock() >= device.expires:
            raise OAuthError("expired_token", "The device code has expired.")
        if device.denied:
            raise OAuthError("access_denied", "The person denied the request.")
        if device.grant is None:
            now = self.ns.clock()
            too_soon = now - device.last_poll < device.interval_s
            device.last_poll = now
            if too_soon:
                device.interval_s += 5
                raise OAuthError("slow_down", "The device polls too often; wait 5 seconds longer.")
            raise OAuthError("authorization_pending", "The person has not decided yet.")
        device.redeemed = True
        if device.grant.login not in self.ns.personas:
            raise OAuthError("invalid_grant", "The person who approved is no longer there.")
        self.persona_login = device.grant.login
        return token_response(self.realm, client, device.grant, device.scopes, self.request.path)


GRANTS: dict[str, Callable[[Token, Client, dict[str, str]], dict[str, Any]]] = {
    "authorization_code": Token.code,
    "interaction_code": Token.code,
    "refresh_token": Token.refresh,
    "client_credentials": Token.client_credentials,
    DEVICE_GRANT: Token.device,
}
