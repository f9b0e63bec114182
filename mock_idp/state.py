"""What the issuer remembers between requests: sessions, grants, codes, tokens and transactions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser, found by its `sid` cookie.

    Attributes:
        auth_time: when the password was checked, in seconds since the epoch.
    """

    session_id: str
    login: str
    auth_time: int
    amr: tuple[str, ...] = ("pwd",)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A checked request of the authorization endpoint. Source: RFC 6749 section 4.1.1, OIDC Core 3.1.2.1.

    Attributes:
        response_type: canonical, such as `code` or `id_token token`.
        prompt: `none`, `login`, `consent` words asked for.
        max_age_s: None when not asked for.
    """

    client_id: str
    server_id: str
    redirect_uri: str
    response_type: str = "code"
    response_mode: str = "query"
    scopes: tuple[str, ...] = ()
    state: str | None = None
    nonce: str | None = None
    code_challenge: str | None = None
    prompt: tuple[str, ...] = ()
    max_age_s: int | None = None
    login_hint: str = ""

    def accepts(self, session: Session, now: int) -> bool:
        """Say whether a session is fresh enough for this request. Source: OpenID Connect Core section 3.1.2.1."""
        if "login" in self.prompt or self.max_age_s == 0:
            return False
        return self.max_age_s is None or now - session.auth_time <= self.max_age_s


@dataclass(slots=True, kw_only=True)
class Grant:
    """What a person allowed a client; its tokens live and die with it.

    Attributes:
        revoked: once true, its refresh tokens are refused and its access tokens inactive.
    """

    grant_id: str
    client_id: str
    server_id: str
    login: str
    scopes: tuple[str, ...]
    auth_time: int
    nonce: str | None = None
    amr: tuple[str, ...] = ("pwd",)
    revoked: bool = False


@dataclass(slots=True)
class Code:
    """An authorization or interaction code.

    Attributes:
        expires: seconds since the epoch; it is remembered longer, to notice reuse.
    """

    grant: Grant
    grant_type: str
    redirect_uri: str
    code_challenge: str | None
    expires: float
    used: bool = False


@dataclass(slots=True)
class RefreshToken:
    """A refresh token; used once, then its successor counts, and using it again revokes the grant."""

    grant: Grant
    scopes: tuple[str, ...]
    used: bool = False


@dataclass(slots=True)
class DeviceRequest:
    """A pending device authorization. Source: RFC 8628."""

    user_code: str
    client_id: str
    server_id: str
    scopes: tuple[str, ...]
    expires: float
    interval_s: int = 5
    last_poll: float = 0.0
    grant: Grant | None = None
    denied: bool = False
    redeemed: bool = False


@dataclass(slots=True)
class AuthnTransaction:
    """A Classic-engine sign-in that waits for a new password."""

    state_token: str
    login: str


@dataclass(slots=True)
class Interaction:
    """An Identity-Engine sign-in under way.

    Attributes:
        request: what the client asked for.
        state_handle: what the widget sends along with every step.
        login: who was identified, if anybody yet.
        step: `identify`, `challenge-authenticator` or `reenroll-authenticator`.
        finished: over; another step must be answered with `idx.session.expired`.
    """

    request: AuthorizationRequest
    state_handle: str
    login: str | None = None
    step: str = "identify"
    finished: bool = False
