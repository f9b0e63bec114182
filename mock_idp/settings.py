"""Everything the issuer takes from its environment and its command line, in one class."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mock_idp.hosts import ALLOWED

_DEFAULT_CONFIG = Path(__file__).with_name("personas.yaml")
_MAX_PORT = 65535

Network = IPv4Network | IPv6Network


class SettingsError(Exception):
    """A setting is missing or makes no sense; the text says which one and what would do."""


def _port(name: str, value: str) -> int:
    if not value.isdecimal() or int(value) > _MAX_PORT:
        raise SettingsError(f"{name} must be a port number from 0 to {_MAX_PORT}, not {value!r}.")
    return int(value)


def _port_or_none(name: str, value: str) -> int | None:
    return _port(name, value) if value else None


def _url(name: str, value: str) -> str:
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise SettingsError(f"{name} must be an http or https URL without query, not {value!r}.")
    return value.rstrip("/")


def _hosts(name: str, value: str) -> tuple[str, ...]:
    hosts = [part.strip().lower().removesuffix(".") for part in value.split(",") if part.strip()]
    for host in hosts:
        if not ALLOWED.fullmatch(host):
            raise SettingsError(f"{name} must be host names without ports, like id.test or *.id.test, not {host!r}.")
    return tuple(hosts)


def _networks(name: str, value: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(f"{name} must be networks like 127.0.0.0/8: {error}.") from error


def _level(name: str, value: str) -> str:
    level = value.upper()
    if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise SettingsError(f"{name} must be DEBUG, INFO, WARNING or ERROR, not {value!r}.")
    return level


def _file(name: str, value: str) -> Path:
    path = Path(value)
    if not path.is_file():
        raise SettingsError(f"{name} names {path}, which is not a file.")
    return path


def _address(name: str, value: str) -> str:
    if not value:
        raise SettingsError(f"{name} must be an address of this machine; 0.0.0.0 is all of them.")
    return value


def _as_it_is(_: str, value: str) -> str:
    return value


def _path(_: str, value: str) -> Path:
    return Path(value)


def _variable(name: str, default: str, convert: Callable[[str, str], Any] = _as_it_is, option: str = "") -> Any:
    """Tie a setting to an environment variable, and some to an option; an empty variable counts as not set."""
    return field(metadata={"name": name, "default": default, "convert": convert, "option": option})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The issuer's settings; each is an environment variable.

    Attributes:
        bind: address to listen on.
        port: of the issuer; 0 takes any free one.
        public_url: the issuer's origin as browsers and tokens name it; default `http://localhost:$IDP_PORT`.
        tls_port: for https beside http; None: no https, 0: any free one.
        tls_public_url: the issuer's https origin; default `https://localhost:$IDP_TLS_PORT`.
        state_dir: folder for signing keys and the generated CA; kept across restarts; default: `default_state_dir`.
        config: YAML file with clients, personas, authorization servers and lifetimes.
        frontend_url: the page's origin: redirect URI, post-logout URI and trusted origin of client 0oatestbed.
        api_url: the API that the console's token workbench may try a token against; empty: none.
        control_key: bearer key that opens the control plane to callers elsewhere.
        control_networks: networks whose callers need no key for the control plane.
        allowed_hosts: host names to answer to, beside those of `mock_idp.hosts` and of the URLs above.
        log_level: DEBUG, INFO (one line a request), WARNING or ERROR.
    """

    bind: str = _variable("BIND", "127.0.0.1", _address, "--host")
    port: int = _variable("IDP_PORT", "9400", _port, "--port")
    public_url: str = _variable("IDP_PUBLIC_URL", "", _url)
    tls_port: int | None = _variable("IDP_TLS_PORT", "", _port_or_none)
    tls_public_url: str = _variable("IDP_TLS_PUBLIC_URL", "", _url)
    state_dir: Path = _variable("IDP_STATE_DIR", "", _path)  # noqa: RUF009 - it is a field()
    config: Path = _variable("IDP_CONFIG", str(_DEFAULT_CONFIG), _file, "--config")  # noqa: RUF009 - it is a field()
    frontend_url: str = _variable("FRONTEND_URL", "http://localhost:8080", _url)
    api_url: str = _variable("API_URL", "", _url)
    control_key: str = _variable("IDP_CONTROL_KEY", "")
    control_networks: tuple[Network, ...] = _variable("IDP_CONTROL_NETWORKS", "127.0.0.0/8,::1/128", _networks)
    allowed_hosts: tuple[str, ...] = _variable("ALLOWED_HOSTS", "", _hosts)
    log_level: str = _variable("IDP_LOG_LEVEL", "WARNING", _level)


def default_state_dir(env: Mapping[str, str]) -> Path:
    """Return the folder for keys where IDP_STATE_DIR names none: one a user, wherever the issuer is started.

    Raises:
        SettingsError: the user has no home.
    Source: XDG Base Directory Specification, `XDG_STATE_HOME`; a relative path there counts as not set.
    """
    state_home = Path(env.get("XDG_STATE_HOME", ""))
    if not state_home.is_absolute():
        try:
            state_home = Path.home() / ".local/state"
        except RuntimeError as error:
            raise SettingsError("There is no home folder to keep the keys in: set IDP_STATE_DIR.") from error
    return state_home / "mock-idp"


def load_settings(env: Mapping[str, str], options: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from an environment and from options such as `--port`, which win.

    Raises:
        SettingsError: a value makes no sense; the text names the variable or the option.
    """
    given = options or {}
    if not env.get("IDP_STATE_DIR"):
        env = {**env, "IDP_STATE_DIR": str(default_state_dir(env))}
    values = {}
    for setting in fields(Settings):
        name, option, convert = (setting.metadata[key] for key in ("name", "option", "convert"))
        if option in given:
            values[setting.name] = convert(option, given[option])
        else:
            values[setting.name] = convert(name, env.get(name) or setting.metadata["default"])
    return Settings(**values)


def variables() -> list[str]:
    """Return the name of every setting's environment variable."""
    return [setting.metadata["name"] for setting in fields(Settings)]


def unknown_settings(env: Mapping[str, str]) -> list[str]:
    """Return one sentence for each variable that looks like a misspelt setting of the issuer."""
    known = variables()
    sentences = []
    for name in sorted(env):
        if name.startswith("IDP_") and name not in known:
            close = difflib.get_close_matches(name, known, 1)
            sentences.append(f"{name} is no setting of the issuer" + (f"; {close[0]} is." if close else "."))
    return sentences
