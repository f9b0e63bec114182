"""Okta's Classic engine: primary authentication, expired passwords, sessions."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from mock_idp.base import OktaHandler
from mock_idp.clients import any_allows_origin, is_plain_url, origin_of
from mock_idp.errors import OktaError, PageError
from mock_idp.pages import PageHandler
from mock_idp.personas import Persona, okta_id
from mock_idp.state import AuthnTransaction
from mock_idp.tokens import random_id

MIN_PASSWORD = 8
COMPLEXITY = {
    "minLength": MIN_PASSWORD,
    "minLowerCase": 1,
    "minUpperCase": 1,
    "minNumber": 1,
    "minSymbol": 0,
    "excludeUsername": True,
    "excludeAttributes": [],
}


def timestamp(seconds: float) -> str:
    """Format seconds since the epoch as Okta does."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def password_problems(persona: Persona, old: str | None, new: str) -> list[str]:
    """Say in sentences why a new password is refused; an empty list accepts it.

    Args:
        persona: whose password it is to be.
        old: the present password as presented; None when it was checked before.
        new: the one wanted.
    """
    problems = []
    if old is not None and not persona.password_matches(old):
        problems.append("Old Password is not correct")
    if persona.password_matches(new):
        problems.append("Password cannot be your current password")
    if (
        len(new) < MIN_PASSWORD
        or new.lower() == new
        or new.upper() == new
        or not any(character.isdigit() for character in new)
        or persona.short_name.casefold() in new.casefold()
    ):
        problems.append(
            "Password requirements were not met. Password requirements: at least 8 characters, a lowercase "
            "letter, an uppercase letter, a number, no parts of your username."
        )
    return problems


class ClassicHandler(OktaHandler):
    """What the steps of a Classic sign-in share."""

    def text(self, body: dict[str, Any], name: str, code: str = "E0000001") -> str:
        """Return a text field of the body.

        Raises:
            OktaError: it is missing or no text.
        """
        value = body.get(name)
        if not isinstance(value, str) or not value:
            raise OktaError(code, f"{name}: The field cannot be left blank")
        return value

    def transaction(self, body: dict[str, Any]) -> tuple[AuthnTransaction, Persona]:
        """Return the transaction of a state token.

        Raises:
            OktaError: E0000011, unknown or expired.
        """
        transaction = self.ns.authn.get(self.text(body, "stateToken"))
        persona = self.ns.personas.get(transaction.login) if transaction else None
        if transaction is None or persona is None:
            raise OktaError("E0000011")
        self.persona_login = persona.login
        return transaction, persona

    def embedded_user(self, persona: Persona) -> dict[str, Any]:
        """Return what an answer shows of a person."""
        return {
            "id": persona.uid,
            "passwordChanged": "2026-01-01T00:00:00.000Z",
            "profile": {
                "login": persona.login,
                "firstName": persona.first_name,
                "lastName": persona.last_name,
                "locale": persona.locale,
                "timeZone": persona.time_zone,
            },
        }

    def write_success(self, persona: Persona) -> None:
        """Answer a one-time session token."""
        token = random_id("20111", 24)
        self.ns.session_tokens.put(token, persona.login)
        lifetime = self.ns.config.lifetimes.session_token_s
        self.write_json(
            {
                "expiresAt": timestamp(self.ns.clock() + lifetime),
                "status": "SUCCESS",
                "sessionToken": token,
                "_embedded": {"user": self.embedded_user(persona)},
                "_links": {
                    "cancel": {
                        "href": f"{self.base_url}/api/v1/authn/cancel",
                        "hints": {"allow": ["POST"]},
                    }
                },
            }
        )

    def write_expired(self, transaction: AuthnTransaction, persona: Persona) -> None:
        """Answer that a new password is needed first."""
        expires = self.ns.authn.expires_at(transaction.state_token) or 0
        self.write_json(
            {
                "stateToken": transaction.state_token,
                "expiresAt": timestamp(expires),
                "status": "PASSWORD_EXPIRED",
                "_embedded": {
                    "user": self.embedded_user(persona),
                    "policy": {"complexity": COMPLEXITY, "age": {"minAgeMinutes": 0, "historyCount": 0}},
                },
                "_links": {
                    "next": {
                        "name": "changePassword",
                        "href": f"{self.base_url}/api/v1/authn/credentials/change_password",
                        "hints": {"allow": ["POST"]},
                    },
                    "cancel": {
                        "href": f"{self.base_url}/api/v1/authn/cancel",
                        "hints": {"allow": ["POST"]},
                    },
                },
            }
        )


class Authn(ClassicHandler):
    """`POST /api/v1/authn`: name and password, or the state of a transaction."""

    def post(self) -> None:
        """Check name and password."""
        body = self.json_body()
        if "stateToken" in body:
            self.write_expired(*self.transaction(body))
            return
        username = self.text(body, "username")
        password = self.text(body, "password")
        persona = self.ns.persona(username)
        if persona is None:
            raise OktaError("E0000004")
        self.persona_login = persona.login
        if persona.status == "LOCKED_OUT":
            self.write_json(
                {
                    "status": "LOCKED_OUT",
                    "_links": {
                        "next": {
                            "name": "unlock",
                            "href": f"{self.base_url}/api/v1/authn/recovery/unlock",
                            "hints": {"allow": ["POST"]},
                        }
                    },
                }
            )
            return
        if not persona.password_matches(password):
            raise OktaError("E0000004")
        if persona.status == "PASSWORD_EXPIRED":
            transaction = AuthnTransaction(random_id("00", 24), persona.login)
            self.ns.authn.put(transaction.state_token, transaction)
            self.write_expired(transaction, persona)
            return
        self.write_success(persona)


class ChangePassword(ClassicHandler):
    """`POST /api/v1/authn/credentials/change_password`: mends an expired password."""

    def post(self) -> None:
        """Change it and sign in."""
        body = self.json_body()
        transaction, persona = self.transaction(body)
        old, new = self.text(body, "oldPassword"), self.text(body, "newPassword")
        problems = password_problems(persona, old, new)
        if problems:
            raise OktaError("E0000014", *problems)
        self.ns.authn.pop(transaction.state_token)
        self.write_success(self.ns.change_password(persona.login, new))


class CancelAuthn(ClassicHandler):
    """`POST /api/v1/authn/cancel`: ends a transaction."""

    def post(self) -> None:
        """Forget it."""
        transaction, _ = self.transaction(self.json_body())
        self.ns.authn.pop(transaction.state_token)
        self.write_json({"relayState": None})


class Unlock(ClassicHandler):
    """`POST /api/v1/authn/recovery/unlock`: self-service unlock, which no policy here allows."""

    def post(self) -> None:
        """Refuse."""
        self.json_body()
        raise OktaError("E0000006", summary="Unlock is not allowed: this mock's people stay locked out")


class SessionsMe(OktaHandler):
    """`/api/v1/sessions/me`: the browser's own session."""

    def get(self) -> None:
        """Answer the session, or 404."""
        self._write_session()

    def post(self) -> None:
        """Refresh the session (`…/lifecycle/refresh`), or 404."""
        session = self.session()
        if session is not None:
            self.ns.sessions.put(session.session_id, session)
        self._write_session()

    def delete(self) -> None:
        """End the session, or 404."""
        if self.session() is None:
            raise OktaError("E0000007")
        self.end_session()
        self.set_status(204)

    def _write_session(self) -> None:
        session = self.session()
        if session is None:
            raise OktaError("E0000007")
        persona = self.ns.personas[session.login]
        self.persona_login = persona.login
        url = f"{self.base_url}/api/v1/sessions/me"
        expires = self.ns.sessions.expires_at(session.session_id) or 0
        self.write_json(
            {
                "id": session.session_id,
                "userId": persona.uid,
                "login": persona.login,
                "createdAt": timestamp(session.auth_time),
                "expiresAt": timestamp(expires),
                "status": "ACTIVE",
                "lastPasswordVerification": timestamp(session.auth_time),
                "lastFactorVerification": None,
                "amr": list(session.amr),
                "idp": {"id": okta_id("00o", "mock_idp"), "type": "OKTA"},
                "mfaActive": False,
                "_links": {
                    "self": {"href": url, "hints": {"allow": ["GET", "DELETE"]}},
                    "refresh": {"href": f"{url}/lifecycle/refresh", "hints": {"allow": ["POST"]}},
                    "user": {
                        "name": persona.name,
                        "href": f"{self.base_url}/api/v1/users/me",
                        "hints": {"allow": ["GET"]},
                    },
                },
            }
        )


class SessionCookieRedirect(PageHandler):
    """`GET /login/sessionCookieRedirect`: turns a session token into a session and goes on."""

    def get(self) -> None:
        """Sign in and redirect, to trusted origins only."""
        fields = self.single(self.request.query_arguments)
        target = fields.get("redirectUrl", "")
        trusted = is_plain_url(target) and (
            target.startswith(f"{self.base_url}/")
            or (
                urlsplit(target).scheme in {"http", "https"}
                and any_allows_origin(self.ns.clients.values(), origin_of(target))
            )
        )
        if not trusted:
            raise PageError(
                "invalid_redirect_url",
                "The redirectUrl is not on this issuer or on a trusted origin.",
                details=[("redirectUrl received", target or "(none)")],
            )
        login = self.ns.session_tokens.pop(fields.get("token", ""))
        persona = self.ns.personas.get(login) if login else None
        if persona is not None:
            self.start_session(persona)
        self.redirect(target)
