"""What is done with tokens after they were issued: userinfo, introspection, revocation, logout."""

from typing import Any

from mock_idp.base import OAuthHandler, with_query
from mock_idp.errors import BearerError, OAuthError, PageError
from mock_idp.issuance import profile_claims
from mock_idp.namespaces import Namespace
from mock_idp.pages import PageHandler
from mock_idp.token_endpoint import ClientHandler
from mock_idp.tokens import UnreadableToken, verify_own


def is_live(ns: Namespace, claims: dict[str, Any], issuer_id: str) -> bool:
    """Say whether a token of this issuer is of use now: within its time, not revoked, with claims of the usual types.

    A minted token may carry anything under a good signature.
    """
    expires, begins, scopes = claims.get("exp"), claims.get("nbf", 0), claims.get("scp", [])
    if not isinstance(expires, int | float) or not isinstance(begins, int | float):
        return False
    if not isinstance(claims.get("sub"), str) or not isinstance(scopes, list):
        return False
    if not all(isinstance(scope, str) for scope in scopes) or claims.get("iss") != issuer_id:
        return False
    jti = str(claims.get("jti", ""))
    grant_id = jti.rsplit(".", 1)[-1]  # revoking a grant revokes its tokens
    revoked = ns.revoked_tokens.get(jti) is not None or ns.revoked_grants.get(grant_id) is not None
    return begins <= ns.now() < expires and not revoked


class UserInfo(OAuthHandler):
    """OpenID Connect Core section 5.3, by GET and POST."""

    def get(self) -> None:
        """Answer what the token's scopes reveal."""
        self._answer(self._header_token())

    def post(self) -> None:
        """Take the token from the header or from the form. Source: RFC 6750 section 2.2."""
        token = self._header_token()
        if self.request.body:
            form_token = self.form().get("access_token")
            if form_token and token:
                raise BearerError("invalid_request", "The token was sent in more than one way.", 400)
            token = token or form_token
        self._answer(token)

    def _header_token(self) -> str | None:
        values = self.request.headers.get_list("Authorization")
        if len(values) > 1:
            raise BearerError("invalid_request", "There is more than one Authorization header.", 400)
        if not values:
            return None
        scheme, _, token = values[0].partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    def _answer(self, token: str | None) -> None:
        if not token:
            raise BearerError("", "An access token is required.")
        try:
            claims = verify_own(token, self.ns.ring(self.server), self.server.access_token_typ)
        except UnreadableToken as error:
            raise BearerError("invalid_token", "The access token is invalid.") from error
        persona = self.ns.personas.get(str(claims.get("sub")))
        if persona is None or not self._is_access_token(claims) or not is_live(self.ns, claims, self.issuer_id):
            raise BearerError("invalid_token", "The access token is invalid, expired or revoked.")
        self.client_id, self.persona_login = str(claims.get("cid", "")), persona.login
        scopes = claims["scp"]
        if "openid" not in scopes:
            raise BearerError("insufficient_scope", "The access token must have the scope openid.", 403)
        self.write_json({"sub": persona.uid, **profile_claims(persona, scopes), **persona.id_token_claims})

    def _is_access_token(self, claims: dict[str, Any]) -> bool:
        """Say whether they are an access token's, for this server's API, and a client's. Source: RFC 9068 section 4."""
        audience = claims.get("aud")
        return (
            "scp" in claims
            and self.server.audience in (audience if isinstance(audience, list) else [audience])
            and self.ns.clients.get(str(claims.get("cid"))) is not None
        )


class Introspect(ClientHandler):
    """RFC 7662: whether a token is active, for the client it was issued to."""

    def post(self) -> None:
        """Answer `active` and, if so, what the token says."""
        fields = self.form()
        client = self.authenticate(fields)
        token = fields.get("token")
        if not token:
            raise OAuthError("invalid_request", "The token to introspect is missing.")
        self.write_json(self._state(token, client.client_id) or {"active": False})

    def _state(self, token: str, client_id: str) -> dict[str, Any] | None:
        ns = self.ns
        refresh = ns.refresh_tokens.get(token)
        if refresh is not None:
            if refresh.used or refresh.grant.revoked or refresh.grant.client_id != client_id:
                return None
            expires = ns.refresh_tokens.expires_at(token) or 0
            return {
                "active": True,
                "client_id": client_id,
                "scope": " ".join(refresh.scopes),
                "username": refresh.grant.login,
                "sub": refresh.grant.login,
                "exp": int(expires),
                "iss": self.issuer_id,
            }
        try:
            claims = verify_own(token, ns.ring(self.server))
        except UnreadableToken:
            return None
        if not is_live(ns, claims, self.issuer_id):
            return None
        if "scp" not in claims:
            return {"active": True, **claims} if claims.get("aud") == client_id else None
        if claims.get("cid") != client_id:
            return None
        shown = {name: value for name, value in claims.items() if name not in {"scp", "ver", "cid"}}
        username = {"username": claims["sub"]} if "uid" in claims else {}
        return {
            "active": True,
            "token_type": "Bearer",
            "scope": " ".join(claims["scp"]),
            **shown,
            "client_id": client_id,
            **username,
        }


class Revoke(ClientHandler):
    """RFC 7009: takes back an access or refresh token; unknown ones are no error."""

    def post(self) -> None:
        """Revoke and answer 200, empty: with no content there is no content type, which some clients check."""
        self.clear_header("Content-Type")
        fields = self.form()
        client = self.authenticate(fields)
        token = fields.get("token")
        if not token:
            raise OAuthError("invalid_request", "The token to revoke is missing.")
        refresh = self.ns.refresh_tokens.get(token)
        if refresh is not None:
            if refresh.grant.client_id == client.client_id:
                self.ns.revoke(refresh.grant)
            return
        try:
            claims = verify_own(token, self.ns.ring(self.server))
        except UnreadableToken:
            return
        if claims.get("cid") == client.client_id:
            self.ns.revoked_tokens.put(str(claims.get("jti")), value=True)


class Logout(PageHandler):
    """OpenID Connect RP-Initiated Logout 1.0, by GET and POST."""

    def get(self) -> None:
        """Take the request from the query."""
        self._logout(self.request.query_arguments)

    def post(self) -> None:
        """Take the request from a form."""
        self.form()
        self._logout(self.request.body_arguments)

    def _logout(self, arguments: dict[str, list[bytes]]) -> None:
        fields = self.single(arguments)
        hint, target = fields.get("id_token_hint"), fields.get("post_logout_redirect_uri")
        if hint is None:
            if target:
                raise PageError(
                    "invalid_request",
                    "A redirect after signing out needs the ID token (id_token_hint).",
                    hint="Send the ID token of the session to end, or leave post_logout_redirect_uri out.",
                )
            self.redirect(f"{self.prefix}/signout")
            return
        try:
            claims = verify_own(hint, self.ns.ring(self.server))
        except UnreadableToken as error:
            raise PageError(
                "invalid_token",
                "The id_token_hint is not an ID token of this issuer.",
                hint="An expired one is fine; one signed with a withdrawn key is not.",
            ) from error
        client = self.ns.clients.get(str(claims.get("aud")))
        if client is None or fields.get("client_id", client.client_id) != client.client_id:
            raise PageError("invalid_client", "The ID token was not issued to the client that asks.")
        self.client_id = client.client_id
        if target is not None and not client.allows_post_logout(target):
            raise PageError(
                "invalid_post_logout_redirect_uri",
                "The post-logout redirect URI is not one that this client registered.",
                hint="It must match a registered one character by character.",
                details=[
                    ("post_logout_redirect_uri received", target),
                    *(("registered", uri) for uri in client.post_logout_redirect_uris),
                ],
            )
        session = self.session()
        if session is not None:
            persona = self.ns.personas[session.login]
            if persona.uid == claims.get("sub"):
                self.end_session()
        if target is None:
            self.render_page("signout.html", title="Signed out", session=None, done=True)
            return
        self.redirect(with_query(target, {"state": fields["state"]}) if "state" in fields else target)
