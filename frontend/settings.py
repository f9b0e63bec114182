"""The page's settings: every one is an environment variable.

`Settings.from_environment` is the only place that reads the environment, and it refuses a bad value with a sentence
that names the variable, so that a typing mistake never becomes a page that fails in somebody's browser.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, urlsplit

import environ

from frontend.hosts import HOUSE_NAMES, Hosts

ENGINES = ("identity", "classic")


class SettingsError(ValueError):
    """A setting that the server can't start with; its text is for the person who set it."""


def _checked[T](name: str, convert: Callable[[str], T], expected: str) -> Callable[[str], T]:
    def converter(text: str) -> T:
        try:
            return convert(text)
        except ValueError as error:
            raise SettingsError(f"{name} must be {expected}, not {text!r}.") from error

    return converter


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 2**16:
        raise ValueError(text)
    return port


def _split(text: str) -> SplitResult:
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment or url.username:
        raise ValueError(text)
    _ = url.port  # raises ValueError for one that is no number
    return url


def _url(text: str) -> str:
    return _split(text).geturl().rstrip("/")


def _host(url: str) -> str:
    return (_split(url).hostname or "").removesuffix(".")


def _own_url(text: str) -> str:
    return _url(text) if text else ""


def _engine(text: str) -> str:
    if text not in ENGINES:
        raise ValueError(text)
    return text


def _words(text: str) -> tuple[str, ...]:
    words = tuple(text.split())
    if "openid" not in words:
        raise ValueError(text)
    return words


def _word(text: str) -> str:
    if not text or text.split() != [text]:
        raise ValueError(text)
    return text


def _host_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower().removesuffix(".") for name in text.split(",") if name.strip())
    for name in names:
        if not _HOST_NAME.fullmatch(name):
            raise ValueError(name)
    return names


def origin(url: str) -> str:
    """Say which origin a URL belongs to, as a Content-Security-Policy writes it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


_HOST_NAME = re.compile(r"(\*\.)?[0-9a-z_-]+(\.[0-9a-z_-]+)*")
_URL = "an absolute http or https URL without query or fragment"


@environ.config(prefix="", frozen=True)
class Settings:
    """What the server needs to know; the help texts are the documentation."""

    bind: str = environ.var("127.0.0.1", help="The address to listen on.")
    frontend_port: int = environ.var(
        "8080",
        converter=_checked("FRONTEND_PORT", _port, "a port from 1 to 65535"),
        help="The port to listen on.",
    )
    frontend_url: str = environ.var(
        "",
        converter=_checked("FRONTEND_URL", _own_url, _URL),
        help="The URL people open; this and a slash is the redirect URI. Empty: http://localhost:FRONTEND_PORT.",
    )
    allowed_hosts: tuple[str, ...] = environ.var(
        "",
        converter=_checked(
            "ALLOWED_HOSTS", _host_names, "host names without ports, separated by commas; *.name is every subdomain"
        ),
        help="Host names that the server answers to, beside the testbed's own and those of the public URLs.",
    )
    idp_public_url: str = environ.var(
        "",
        converter=_checked("IDP_PUBLIC_URL", _own_url, _URL),
        help="Where people reach the issuer; a machine that has one name has it for the page too.",
    )
    idp_tls_public_url: str = environ.var(
        "",
        converter=_checked("IDP_TLS_PUBLIC_URL", _own_url, _URL),
        help="The same by https.",
    )
    okta_issuer: str = environ.var(
        "http://localhost:9400/oauth2/default",
        converter=_checked("OKTA_ISSUER", _url, _URL),
        help="The issuer, exactly as its tokens' iss claim has it.",
    )
    okta_client_id: str = environ.var(
        "0oatestbed",
        converter=_checked("OKTA_CLIENT_ID", _word, "the client's id, one word"),
        help="The page's client at the issuer: a single-page application.",
    )
    okta_scopes: tuple[str, ...] = environ.var(
        "openid profile email offline_access",
        converter=_checked("OKTA_SCOPES", _words, "scopes separated by spaces, openid among them"),
        help="What the page asks for; offline_access brings a refresh token, so a sign-in outlives one access token.",
    )
    api_url: str = environ.var(
        "http://localhost:4566/_aws/execute-api/gatehouse/Prod/api/messages",
        converter=_checked("API_URL", _url, _URL),
        help="Where messages are posted to.",
    )
    widget_engine: str = environ.var(
        "identity",
        converter=_checked("WIDGET_ENGINE", _engine, "identity or classic"),
        help="Which of Okta's engines the widget talks to; ?engine=classic in the page's address tries the other.",
    )
    widget_dir: Path = environ.var(
        ".gatehouse/widget",
        converter=Path,
        help="The widget's files, as python -m frontend.widget --out prepared them.",
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            SettingsError: a value is not what the variable must hold.
        """
        settings: Self = environ.to_config(cls, dict(environment))
        return settings

    @property
    def url(self) -> str:
        """The page's own URL, without a slash at its end."""
        return self.frontend_url or f"http://localhost:{self.frontend_port}"

    @property
    def hosts(self) -> Hosts:
        """The host names that the server answers to."""
        urls = filter(None, (self.url, self.idp_public_url, self.idp_tls_public_url))
        return Hosts({*HOUSE_NAMES, *self.allowed_hosts, *(_host(url) for url in urls)})

    def for_the_page(self) -> dict[str, object]:
        """Everything that the page and its tests are told (`/config.json`); of a console only if there is one."""
        # The testbed's own issuer has one, and people reach it at these addresses.
        addresses = filter(None, (self.idp_public_url, self.idp_tls_public_url))
        has_console = origin(self.okta_issuer) in map(origin, addresses)
        return {
            "issuer": self.okta_issuer,
            "clientId": self.okta_client_id,
            "redirectUri": f"{self.url}/",
            "scopes": list(self.okta_scopes),
            "apiUrl": self.api_url,
            "engine": self.widget_engine,
            **({"consoleUrl": f"{origin(self.okta_issuer)}/"} if has_console else {}),
        }
