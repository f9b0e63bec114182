"""Requests that clients make before anybody signs in: pushed requests, device codes, registration."""

import secrets
from typing import Any
from urllib.parse import urlsplit

from mock_idp.authorize import (
    REQUEST_URI_PREFIX,
    RedirectedError,
    check_request,
    checked_scopes,
    identify_client,
)
from mock_idp.base import OAuthHandler
from mock_idp.clients import (
    AUTH_METHODS,
    GRANT_TYPES,
    LOOPBACK_HOSTS,
    RESPONSE_TYPES,
    Client,
    canonical_response_type,
    is_plain_url,
    origin_of,
)
from mock_idp.control import is_trusted_caller
from mock_idp.errors import OAuthError, PageError
from mock_idp.jsontext import parse_json
from mock_idp.namespaces import MAX_CLIENTS
from mock_idp.state import DeviceRequest
from mock_idp.token_endpoint import DEVICE_GRANT, ClientHandler
from mock_idp.tokens import random_id

_USER_CODE_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
_MAX_URIS = 20
_NO_PLACE_TO_GO = frozenset({"javascript", "vbscript", "data", "blob", "about", "file"})


class PushedRequest(ClientHandler):
    """Pushed authorization requests. Source: RFC 9126."""

    def post(self) -> None:
        """Check the request as the authorization endpoint would, and keep it under a URI."""
        fields = self.form()
        client = self.authenticate(fields)
        if "request_uri" in fields:
            raise OAuthError("invalid_request", "A pushed request cannot point to another one.")
        try:
            identify_client(self.ns, {**fields, "client_id": client.client_id})
            request = check_request(self.server, client, fields)
        except PageError as error:
            raise OAuthError("invalid_request", error.description) from error
        except RedirectedError as error:
            raise OAuthError(error.error, error.description) from error
        request_uri = REQUEST_URI_PREFIX + random_id(nbytes=24)
        self.ns.pushed.put(request_uri, request)
        self.set_status(201)
        self.write_json({"request_uri": request_uri, "expires_in": self.ns.config.lifetimes.pushed_request_s})


class DeviceAuthorization(ClientHandler):
    """Device authorization. Source: RFC 8628 section 3.1."""

    def post(self) -> None:
        """Answer a device code, and a short one for the person."""
        fields = self.form()
        client = self.authenticate(fields)
        if DEVICE_GRANT not in client.grant_types:
            raise OAuthError(
                "unauthorized_client", "The client is not authorized to use the device authorization grant."
            )
        scopes = checked_scopes(self.server, fields.get("scope", ""), OAuthError)
        lifetime_s = self.ns.config.lifetimes.device_code_s
        letters = "".join(secrets.choice(_USER_CODE_ALPHABET) for _ in range(8))
        user_code = f"{letters[:4]}-{letters[4:]}"
        device_code = random_id(nbytes=32)
        device = DeviceRequest(user_code, client.client_id, self.server.server_id, scopes, self.ns.clock() + lifetime_s)
        self.ns.devices.put(device_code, device)
        self.ns.device_user_codes.put(user_code, device)
        page = f"{self.base_url}/activate"
        self.write_json(
            {
                "device_code": device_code,
                "user_code": user_code,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={user_code}",
                "expires_in": lifetime_s,
                "interval": device.interval_s,
            }
        )


class Registration(OAuthHandler):
    """Dynamic client registration, the stand-in for `okta apps create`. Source: RFC 7591."""

    def post(self) -> None:
        """Register a client in this namespace; it is forgotten by a reset or a restart."""
        if not is_trusted_caller(self):
            raise OAuthError("access_denied", "Registration answers this machine or the control key.", 403)
        if self.content_type != "application/json":
            raise OAuthError("invalid_client_metadata", "The Content-Type must be application/json.")
        try:
            metadata = parse_json(self.request.body)
        except ValueError as error:
            raise OAuthError("invalid_client_metadata", "The body is not JSON.") from error
        if not isinstance(metadata, dict):
            raise OAuthError("invalid_client_metadata", "The body must be a JSON object.")
        if len(self.ns.clients) >= MAX_CLIENTS:
            raise OAuthError("invalid_client_metadata", f"There are {MAX_CLIENTS} clients already.", 429)
        client = _client_from(metadata)
        self.ns.clients[client.client_id] = client
        self.set_status(201)
        self.write_json(
            {
                "client_id": client.client_id,
                "client_id_issued_at": self.ns.now(),
                **({"client_secret": client.secret, "client_secret_expires_at": 0} if client.secret else {}),
                "client_name": client.name,
                "redirect_uris": list(client.redirect_uris),
                "post_logout_redirect_uris": list(client.post_logout_redirect_uris),
                "grant_types": list(client.grant_types),
                "response_types": list(client.response_types),
                "token_endpoint_auth_method": client.auth_methods[0],
            }
        )


def _client_from(metadata: dict[str, Any]) -> Client:
    method = metadata.get("token_endpoint_auth_method", "client_secret_basic")
    if method not in AUTH_METHODS:
        raise OAuthError("invalid_client_metadata", f"token_endpoint_auth_method: one of {', '.join(AUTH_METHODS)}.")
    grant_types = _choices(metadata, "grant_types", GRANT_TYPES, ["authorization_code"])
    default_response_types = ["code"] if "authorization_code" in grant_types else []
    response_types = tuple(
        canonical_response_type(value)
        for value in _choices(metadata, "response_types", RESPONSE_TYPES, default_response_types)
    )
    if method == "none" and "client_credentials" in grant_types:
        raise OAuthError("invalid_client_metadata", "A public client cannot use client_credentials.")
    redirect_uris = _uris(metadata, "redirect_uris", "invalid_redirect_uri")
    if response_types and not redirect_uris:
        raise OAuthError("invalid_redirect_uri", "These response types need redirect_uris.")
    name = metadata.get("client_name", "Registered client")
    if not isinstance(name, str):
        raise OAuthError("invalid_client_metadata", "client_name must be text.")
    return Client(
        client_id="0oa" + secrets.token_hex(8) + "5",
        name=name[:100],
        secret=None if method == "none" else random_id(nbytes=30),
        auth_methods=(method,),
        grant_types=grant_types,
        response_types=response_types,
        redirect_uris=redirect_uris,
        post_logout_redirect_uris=_uris(metadata, "post_logout_redirect_uris", "invalid_client_metadata"),
        origins=tuple({origin_of(uri) for uri in redirect_uris if urlsplit(uri).netloc}),
        pkce_required=method == "none",
    )


def _texts(metadata: dict[str, Any], name: str, default: list[str]) -> list[str]:
    value = metadata.get(name, default)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise OAuthError("invalid_client_metadata", f"{name} must be a list of texts.")
    return value


def _choices(metadata: dict[str, Any], name: str, allowed: tuple[str, ...], default: list[str]) -> tuple[str, ...]:
    values = _texts(metadata, name, default)
    known = {canonical_response_type(value) for value in allowed}
    for value in values:
        if canonical_response_type(value) not in known:
            raise OAuthError("invalid_client_metadata", f"{name}: one of {', '.join(allowed)}.")
    return tuple(dict.fromkeys(values))


def _uris(metadata: dict[str, Any], name: str, error: str) -> tuple[str, ...]:
    uris = _texts(metadata, name, [])
    if len(uris) > _MAX_URIS:
        raise OAuthError(error, f"{name}: at most {_MAX_URIS}.")
    for uri in uris:
        if not is_plain_url(uri):
            raise OAuthError(error, f"{name}: {uri!r} is no URL.")
        parts = urlsplit(uri)
        plain = parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS
        if not parts.scheme or "#" in uri or plain or parts.scheme in _NO_PLACE_TO_GO:
            raise OAuthError(error, f"{name}: {uri!r} must be https, or http on this machine, no fragment.")
    return tuple(uris)
