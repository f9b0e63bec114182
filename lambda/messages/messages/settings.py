"""The function's settings: its environment variables, checked once, refused whole when one is wrong."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

from messages.keys import ALGORITHMS
from messages.tokens import TokenPolicy

DEFAULT_LEEWAY_S = 30
MAX_LEEWAY_S = 300
MAX_AGE_LIMIT_S = 30 * 24 * 3600

Network = IPv4Network | IPv6Network

_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SEPARATORS = re.compile(r"[\s,]+")


class ConfigurationError(Exception):
    """A setting is missing or unusable: answered as 503 `not_configured`, explained in the log only.

    Args:
        setting: the environment variable.
        fault: what is wrong with it.
        remedy: what to do about it.
    """

    def __init__(self, setting: str, fault: str, remedy: str) -> None:
        super().__init__(f"{setting}: {fault}. {remedy}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the template hands to the function."""

    policy: TokenPolicy
    keys: str
    keys_url: str
    allowed_origins: tuple[str, ...]
    table: str
    region: str
    explain_refusals_to: tuple[Network, ...]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read and check the settings.

        Raises:
            ConfigurationError: the first setting found wrong.
        """
        keys = environment.get("OKTA_KEYS", "")
        keys_url = environment.get("OKTA_KEYS_URL", "").strip()
        if keys_url:
            _check_keys_url(keys_url)
        return cls(
            policy=TokenPolicy(
                issuer=_required(environment, "OKTA_ISSUER", "the exact `iss` of the issuer's tokens"),
                audience=_required(environment, "OKTA_AUDIENCE", "the `aud` of the tokens for this API"),
                client_ids=frozenset(
                    _words(_required(environment, "OKTA_CLIENT_ID", "the client whose tokens are taken"))
                ),
                scopes=frozenset(_words(environment.get("OKTA_SCOPE", ""))),
                algorithms=_algorithms(environment.get("OKTA_ALGORITHMS", "")),
                token_types=_token_types(environment.get("OKTA_TOKEN_TYPES", "")),
                leeway_s=_seconds(environment, "OKTA_LEEWAY_S", MAX_LEEWAY_S) or 0,
                max_age_s=_seconds(environment, "OKTA_MAX_AGE_S", MAX_AGE_LIMIT_S),
            ),
            keys=keys,
            keys_url=keys_url,
            allowed_origins=_origins(environment.get("ALLOWED_ORIGINS", "")),
            table=_required(environment, "MESSAGES_TABLE", "the name of the DynamoDB table"),
            region=environment.get("AWS_REGION", ""),
            explain_refusals_to=_networks(environment.get("EXPLAIN_REFUSALS_TO", "")),
        )


def _words(text: str) -> list[str]:
    return [word for word in _SEPARATORS.split(text) if word]


def _required(environment: Mapping[str, str], name: str, meaning: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigurationError(name, "it is missing or empty", f"Set it to {meaning}.")
    return value


def _check_keys_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)):
        raise ConfigurationError(
            "OKTA_KEYS_URL",
            "it is not an https URL (http is taken for this machine only)",
            "Set it to the issuer's jwks_uri, or leave it empty and set OKTA_KEYS.",
        )


def _algorithms(text: str) -> frozenset[str]:
    wanted = _words(text) or list(ALGORITHMS)
    unknown = sorted(set(wanted).difference(ALGORITHMS))
    if unknown:
        raise ConfigurationError(
            "OKTA_ALGORITHMS", f"it names {', '.join(unknown)}", f"Choose from {', '.join(ALGORITHMS)}."
        )
    return frozenset(wanted)


def _token_types(text: str) -> frozenset[str]:
    # "none" stands for a header without `typ`, which is what Okta sends.
    wanted = _words(text.lower()) or ["none", "jwt", "at+jwt"]
    return frozenset("" if word == "none" else word.removeprefix("application/") for word in wanted)


_SECONDS_DEFAULTS = {"OKTA_LEEWAY_S": float(DEFAULT_LEEWAY_S), "OKTA_MAX_AGE_S": None}


def _seconds(environment: Mapping[str, str], name: str, limit: float) -> float | None:
    text = environment.get(name, "").strip()
    if not text:
        return _SECONDS_DEFAULTS[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= limit:
        raise ConfigurationError(name, f"{text!r} is not a number of seconds", f"Choose 0 to {limit}.")
    return value


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(word) for word in _words(text))
    except ValueError as fault:
        raise ConfigurationError(
            "EXPLAIN_REFUSALS_TO", str(fault), "Name networks such as 127.0.0.0/8, with commas between, or none."
        ) from None


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(_words(text))
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ConfigurationError(
                "ALLOWED_ORIGINS",
                f"{origin!r} is not an origin",
                "Name each page's origin exactly, without a path: https://app.example, http://localhost:8080.",
            )
    return origins
