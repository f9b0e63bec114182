"""Registered clients: who may ask for tokens, where answers may go, and how a client proves itself."""

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]*")
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

GRANT_TYPES = (
    "authorization_code",
    "implicit",
    "refresh_token",
    "client_credentials",
    "interaction_code",
    "urn:ietf:params:oauth:grant-type:device_code",
)
RESPONSE_TYPES = (
    "code",
    "id_token",
    "token",
    "id_token token",
    "code id_token",
    "code token",
    "code id_token token",
)
AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post")


def canonical_response_type(value: str) -> str:
    """Return a response type with its words in the order of `RESPONSE_TYPES`."""
    return " ".join(sorted(value.split()))


def is_plain_url(url: str) -> bool:
    """Say whether a URL is of printable ASCII without blanks, and its host of the usual characters only.

    It ends up in headers, some of which blanks and semicolons would divide; and Python's parser drops line breaks.
    """
    if not (url.isascii() and url.isprintable()) or " " in url:
        return False
    try:
        return _HOST.fullmatch(urlsplit(url).netloc) is not None
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Say whether a URL is http(s) on this machine, on any port and path, without a fragment."""
    if not is_plain_url(url):
        return False
    try:
        parts = urlsplit(url)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and parts.hostname in LOOPBACK_HOSTS
        and port_ok
        and "#" not in url
        and parts.username is None
    )


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL, as a browser's Origin header names it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client as registered.

    Attributes:
        loopback: any redirect URI, origin and post-logout URI on this machine is accepted; such a page's requests
            carry no cookies.
        secret: None for a public client.
        pkce_required: the authorization endpoint refuses a code request without a challenge.
    """

    client_id: str
    name: str
    secret: str | None = field(default=None, repr=False)
    auth_methods: tuple[str, ...] = ("none",)
    grant_types: tuple[str, ...] = ("authorization_code",)
    response_types: tuple[str, ...] = ("code",)
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    loopback: bool = False
    pkce_required: bool = True

    @property
    def is_public(self) -> bool:
        """A public client has no secret and is identified, not authenticated."""
        return self.secret is None

    def allows_redirect(self, uri: str) -> bool:
        """Compare a redirect URI by simple string comparison. Source: RFC 9700 section 2.1."""
        return uri in self.redirect_uris or (self.loopback and is_loopback_url(uri))

    def allows_post_logout(self, uri: str) -> bool:
        """Compare a post-logout redirect URI by simple string comparison."""
        return uri in self.post_logout_redirect_uris or (self.loopback and is_loopback_url(uri))

    def allows_origin(self, origin: str) -> bool:
        """Say whether scripts of an origin may read answers meant for this client."""
        return origin in self.origins or (self.loopback and is_loopback_url(origin))

    def allows_response_type(self, value: str) -> bool:
        """Say whether the client registered this set of response types, in any order."""
        return canonical_response_type(value) in self.response_types

    def secret_matches(self, presented: str) -> bool:
        """Compare a presented secret in constant time."""
        return self.secret is not None and hmac.compare_digest(self.secret.encode(), presented.encode())


def registered_uris(client: Client) -> list[str]:
    """Return what the error page shows as the redirect URIs this client may use."""
    return [*client.redirect_uris, *(["any URL on localhost, 127.0.0.1 or [::1]"] if client.loopback else [])]


def any_allows_origin(clients: Iterable[Client], origin: str) -> bool:
    """Say whether an origin is trusted by any client; a preflight does not tell which one asks."""
    return any(client.allows_origin(origin) for client in clients)


def any_registers_origin(clients: Iterable[Client], origin: str) -> bool:
    """Say whether an origin is trusted by any client by its very name, not as one of all on this machine."""
    return any(origin in client.origins for client in clients)
