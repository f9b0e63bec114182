"""Issuing tokens: from a grant to a token response, through whatever faults are on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mock_idp.clients import Client
from mock_idp.config import AuthorizationServer
from mock_idp.errors import OAuthError
from mock_idp.faults import UnsuitableToken, break_token
from mock_idp.issuer import issuer_url
from mock_idp.namespaces import Namespace
from mock_idp.personas import Persona, okta_id
from mock_idp.state import AuthorizationRequest, Code, DeviceRequest, Grant, RefreshToken, Session
from mock_idp.tokens import Draft, draft, half_hash, merge_claims, random_id

OFFERED_SCOPES = ("openid", "profile", "email", "offline_access", "groups")


@dataclass(frozen=True, slots=True)
class Realm:
    """Where tokens are issued: a namespace, an authorization server, and the URL it is known by."""

    ns: Namespace
    base_url: str
    server: AuthorizationServer

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return issuer_url(self.base_url, self.server.server_id)


def access_token_draft(
    realm: Realm,
    client_id: str,
    scopes: Iterable[str],
    persona: Persona | None,
    *,
    auth_time: int | None = None,
    grant_id: str = "",
    lifetime_s: int = 0,
) -> Draft:
    """Put together an access token with Okta's claims.

    Args:
        realm: where it is issued.
        client_id: to whom.
        scopes: what for.
        persona: on whose behalf; None for the client's own.
        auth_time: when the person signed in; seconds since the epoch.
        grant_id: ends the `jti`, so that revoking the grant finds the token without keeping it.
        lifetime_s: overrides the configured one.
    """
    now = realm.ns.now()
    server = realm.server
    claims: dict[str, Any] = {
        "ver": 1,
        "jti": random_id("AT.") + (f".{grant_id}" if grant_id else ""),
        "iss": realm.issuer,
        "aud": server.audience,
        "iat": now,
        "exp": now + (lifetime_s or realm.ns.config.lifetimes.access_token_s),
        "cid": client_id,
    }
    if persona is not None:
        claims["uid"] = persona.uid
    claims["scp"] = list(scopes)
    if persona is not None:
        claims["auth_time"] = auth_time or now
    claims["sub"] = persona.login if persona else client_id
    if server.access_token_typ == "at+jwt":  # noqa: S105 - a media type, not a secret
        claims["client_id"] = client_id
    if persona is not None and persona.access_token_claims:
        claims = merge_claims(claims, persona.access_token_claims)
    return draft("access_token", claims, realm.ns.ring(server).current, server.access_token_typ)


def id_token_draft(
    realm: Realm,
    client_id: str,
    scopes: Iterable[str],
    persona: Persona,
    *,
    auth_time: int | None = None,
    nonce: str | None = None,
    amr: Iterable[str] = ("pwd",),
    access_token: str | None = None,
    code: str | None = None,
) -> Draft:
    """Put together an ID token. Source: OpenID Connect Core sections 2 and 3.1.3.6, Okta's claims."""
    now = realm.ns.now()
    algorithm = realm.server.algorithm
    claims: dict[str, Any] = {
        "sub": persona.uid,
        "ver": 1,
        "iss": realm.issuer,
        "aud": client_id,
        "iat": now,
        "exp": now + realm.ns.config.lifetimes.id_token_s,
        "jti": random_id("ID."),
        "amr": list(amr),
        "idp": okta_id("00o", "mock_idp"),
        "auth_time": auth_time or now,
    }
    claims |= profile_claims(persona, scopes, brief=True)
    if nonce is not None:
        claims["nonce"] = nonce
    if access_token is not None:
        claims["at_hash"] = half_hash(algorithm, access_token)
    if code is not None:
        claims["c_hash"] = half_hash(algorithm, code)
    if persona.id_token_claims:
        claims = merge_claims(claims, persona.id_token_claims)
    return draft("id_token", claims, realm.ns.ring(realm.server).current)


def profile_claims(persona: Persona, scopes: Iterable[str], *, brief: bool = False) -> dict[str, Any]:
    """Return what scopes reveal of a person. Source: OpenID Connect Core section 5.4.

    Args:
        persona: about whom.
        scopes: what was granted.
        brief: only what Okta puts into an ID token beside an access token.
    """
    granted = set(scopes)
    claims: dict[str, Any] = {}
    if "profile" in granted:
        claims |= {"name": persona.name, "preferred_username": persona.login}
        if not brief:
            claims |= {
                "given_name": persona.first_name,
                "family_name": persona.last_name,
                "locale": persona.locale.replace("_", "-"),
                "zoneinfo": persona.time_zone,
                "updated_at": 1_600_000_000,
            }
    if "email" in granted:
        claims["email"] = persona.email
        if not brief:
            claims["email_verified"] = True
    if "groups" in granted:
        claims["groups"] = list(persona.groups)
    return claims


def mint(realm: Realm, made: Draft, client_id: str, persona: Persona | None, path: str) -> str:
    """Sign an access or ID token, broken if a fault is on for it.

    A fault of the group `token` breaks access tokens, unless its parameter `token` says `id_token`.

    Raises:
        OAuthError: invalid_request: the persona's own claims leave the fault nothing to break.
    """
    ns = realm.ns
    if not ns.faults:
        return made.sign()
    login = persona.login if persona else ""
    active = ns.faults.take("token", client_id=client_id, persona=login, path=path, kind=made.kind)
    if active is None:
        return made.sign()
    parameters: Mapping[str, Any] = active.parameters
    if active.fault.name == "id_token" and persona is not None:
        scopes = made.claims.get("scp")
        granted = scopes if isinstance(scopes, list) else ["openid"]
        parameters = {"id_token": id_token_draft(realm, client_id, granted, persona).sign()}
    try:
        return break_token(made, active.fault, parameters)
    except UnsuitableToken as error:
        raise OAuthError("invalid_request", str(error)) from error


def token_response(
    realm: Realm,
    client: Client,
    grant: Grant,
    scopes: tuple[str, ...],
    path: str,
    *,
    with_refresh: bool = True,
) -> dict[str, Any]:
    """Issue what a grant gives: an access token, with `openid` an ID token, with `offline_access` a refresh token."""
    ns = realm.ns
    persona = ns.personas[grant.login]
    access = access_token_draft(
        realm, client.client_id, scopes, persona, auth_time=grant.auth_time, grant_id=grant.grant_id
    )
    access_token = mint(realm, access, client.client_id, persona, path)
    response: dict[str, Any] = {
        "token_type": "Bearer",
        "expires_in": ns.config.lifetimes.access_token_s,
        "access_token": access_token,
        "scope": " ".join(scopes),
    }
    if with_refresh and "offline_access" in scopes and "refresh_token" in client.grant_types:
        refresh_token = random_id(nbytes=32)
        ns.refresh_tokens.put(refresh_token, RefreshToken(grant, scopes))
        response["refresh_token"] = refresh_token
    if "openid" in scopes:
        identity = id_token_draft(
            realm,
            client.client_id,
            scopes,
            persona,
            auth_time=grant.auth_time,
            nonce=grant.nonce,
            amr=grant.amr,
            access_token=access_token,
        )
        response["id_token"] = mint(realm, identity, client.client_id, persona, path)
    return response


def new_grant(asked: AuthorizationRequest | DeviceRequest, session: Session, nonce: str | None = None) -> Grant:
    """Record that the person of a session allowed a client what it asked for."""
    return Grant(
        grant_id=random_id("oar", 9),
        client_id=asked.client_id,
        server_id=asked.server_id,
        login=session.login,
        scopes=asked.scopes,
        auth_time=session.auth_time,
        nonce=nonce,
        amr=session.amr,
    )


def issue_code(ns: Namespace, grant: Grant, redirect_uri: str, code_challenge: str | None, grant_type: str) -> str:
    """Make a single-use code for a grant; it is remembered after its end, to notice reuse."""
    code = random_id(nbytes=32)
    expires = ns.clock() + ns.config.lifetimes.code_s
    ns.codes.put(code, Code(grant, grant_type, redirect_uri, code_challenge, expires))
    return code
