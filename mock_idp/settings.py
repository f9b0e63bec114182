"""Everything the issuer takes from its environment, in one class."""

import difflib
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import environ

_DEFAULT_CONFIG = Path(__file__).with_name("personas.yaml")
_MAX_PORT = 65535

Network = IPv4Network | IPv6Network


class SettingsError(Exception):
    """A setting is missing or makes no sense; the text says which one and what would do."""


def _port(name: str) -> Callable[[str], int]:
    def convert(value: str) -> int:
        if not value.isdecimal() or int(value) > _MAX_PORT:
            raise SettingsError(f"{name} must be a port number from 0 to {_MAX_PORT}, not {value!r}.")
        return int(value)

    return convert


def _url(name: str) -> Callable[[str], str]:
    def convert(value: str) -> str:
        if not value:
            return ""
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise SettingsError(f"{name} must be an http or https URL without query, not {value!r}.")
        return value.rstrip("/")

    return convert


def _networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(f"IDP_CONTROL_NETWORKS must be networks like 127.0.0.0/8: {error}.") from error


def _level(value: str) -> str:
    level = value.upper()
    if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise SettingsError(f"IDP_LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR, not {value!r}.")
    return level


@environ.config(prefix="", frozen=True)
class Settings:
    """The issuer's settings; each is an environment variable."""

    bind: str = environ.var("127.0.0.1", name="BIND", help="Address to listen on.")
    port: int = environ.var(
        "9400",
        name="IDP_PORT",
        converter=_port("IDP_PORT"),
        help="Port of the issuer; 0 takes any free one.",
    )
    public_url: str = environ.var(
        "",
        name="IDP_PUBLIC_URL",
        converter=_url("IDP_PUBLIC_URL"),
        help="The issuer's origin as browsers and tokens name it; default http://localhost:$IDP_PORT.",
    )
    tls_port: str = environ.var(
        "", name="IDP_TLS_PORT", help="Port for https beside http; empty: no https, 0: any free one."
    )
    tls_public_url: str = environ.var(
        "",
        name="IDP_TLS_PUBLIC_URL",
        converter=_url("IDP_TLS_PUBLIC_URL"),
        help="The issuer's https origin; default https://localhost:$IDP_TLS_PORT.",
    )
    state_dir: Path = environ.var(
        ".gatehouse/state/mock_idp",
        name="IDP_STATE_DIR",
        converter=Path,
        help="Folder for signing keys and the generated CA; kept across restarts.",
    )
    config: Path = environ.var(
        str(_DEFAULT_CONFIG),
        name="IDP_CONFIG",
        converter=Path,
        help="YAML file with clients, personas, authorization servers and lifetimes.",
    )
    frontend_url: str = environ.var(
        "http://localhost:8080",
        name="FRONTEND_URL",
        converter=_url("FRONTEND_URL"),
        help="The page's origin: redirect URI, post-logout URI and trusted origin of client 0oatestbed.",
    )
    api_url: str = environ.var(
        "",
        name="API_URL",
        converter=_url("API_URL"),
        help="The API that the console's token workbench may try a token against; empty: none.",
    )
    control_key: str = environ.var(
        "", name="IDP_CONTROL_KEY", help="Bearer key that opens the control plane to callers elsewhere."
    )
    control_networks: tuple[Network, ...] = environ.var(
        "127.0.0.0/8,::1/128",
        name="IDP_CONTROL_NETWORKS",
        converter=_networks,
        help="Networks whose callers need no key for the control plane.",
    )
    log_level: str = environ.var(
        "WARNING",
        name="IDP_LOG_LEVEL",
        converter=_level,
        help="DEBUG, INFO (one line a request), WARNING or ERROR.",
    )


def load_settings(env: Mapping[str, str]) -> Settings:
    """Read the settings from an environment.

    Raises:
        SettingsError: a value makes no sense; the text names the variable.
    """
    given = {name: value for name, value in env.items() if value != "" or name == "IDP_TLS_PORT"}
    settings: Settings = environ.to_config(Settings, environ=given)
    if settings.tls_port and (not settings.tls_port.isdecimal() or int(settings.tls_port) > _MAX_PORT):
        raise SettingsError(f"IDP_TLS_PORT must be a port number or empty, not {settings.tls_port!r}.")
    if not settings.config.is_file():
        raise SettingsError(f"IDP_CONFIG names {settings.config}, which is not a file.")
    return settings


def unknown_settings(env: Mapping[str, str]) -> list[str]:
    """Return one sentence for each variable that looks like a misspelt setting of the issuer."""
    known = [line.split(" ", 1)[0] for line in environ.generate_help(Settings).splitlines()]
    sentences = []
    for name in sorted(env):
        if name.startswith("IDP_") and name not in known:
            close = difflib.get_close_matches(name, known, 1)
            sentences.append(f"{name} is no setting of the issuer" + (f"; {close[0]} is." if close else "."))
    return sentences
