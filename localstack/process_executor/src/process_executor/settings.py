"""The plugin's settings: environment variables of LocalStack's process, read once."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from process_executor.answers import ANSWERS, Answers

LEVELS = ("auto", "namespaces", "user-namespaces", "process")
IGNORED = ("__pycache__", "*.pyc", ".git", ".*.sw?", "*~")


class InvalidSetting(ValueError):
    """A setting has a value that cannot be used; the message names it and what would do."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What can be changed, each from ``PROCESS_EXECUTOR_<NAME>`` but for the gateway's.

    Attributes:
        guard: whether the gateway refuses foreign pages and host names: ``GATEWAY_GUARD``.
        awaited_apis: ids of APIs that are about to be deployed: ``GATEWAY_AWAITED_APIS``.
        hosts: names under which this cloud answers beside its own, ``*.example.test`` for all below: ``ALLOWED_HOSTS``,
            and those of ``FRONTEND_URL``, ``IDP_PUBLIC_URL`` and ``IDP_TLS_PUBLIC_URL``.
        runtimes_dir: folder that holds ``python3.13``, ``nodejs22.x`` and so on, each with a runtime client and an SDK.
        interpreters: interpreters by runtime, for those that are not found by themselves.
        answers: AWS's, of one year.
        isolation: ``auto`` takes the best that the kernel allows.
        first_uid: where LocalStack runs as root, environments get user ids from here on, each its own.
        init_timeout_s: how long AWS waits for a function's initialization.
        pool_size: how many environments of a runtime are forked ahead and wait for their function.
        memory_limit: whether the function's memory size is enforced.
        cpu_share: what has AWS's share of a processor: 0 for nothing, 1 for initializations that have failed and are
            repeated in an invocation, 2 for all that happens in invocations.
        url_permissions: which ones function URLs ask for: 0 for none, 1 to be called, 2 to invoke the function, too.
        log_file: where function output is written live, for ``make logs S=lambda``; empty for nowhere.
        debug_port: where the first function's ``debugpy`` listens, the next one's at the next port; 0 for off.
        hot_reload_ignore: names (globs) whose change does not restart a hot-reloaded function.
    """

    runtimes_dir: Path
    guard: bool = True
    awaited_apis: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    interpreters: Mapping[str, str] = field(default_factory=dict)
    answers: Answers = ANSWERS[2024]
    isolation: str = "auto"
    first_uid: int = 60000
    init_timeout_s: float = 10.0
    pool_size: int = 2
    memory_limit: bool = True
    cpu_share: int = 1
    url_permissions: int = 1
    log_file: Path | None = None
    debug_port: int = 0
    hot_reload_ignore: tuple[str, ...] = IGNORED

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read and check every setting.

        Raises:
            InvalidSetting: a value cannot be used.
        """
        default_runtimes = Path(environment.get("FILESYSTEM_ROOT", ".")) / "runtimes"
        log_file = environment.get("PROCESS_EXECUTOR_LOG_FILE", "")
        year = number("PROCESS_EXECUTOR_ANSWERS", environment, 2024)
        if year not in ANSWERS:
            raise InvalidSetting(f"PROCESS_EXECUTOR_ANSWERS={year}: use one of {', '.join(map(str, ANSWERS))}.")
        settings = cls(
            runtimes_dir=Path(environment.get("PROCESS_EXECUTOR_RUNTIMES_DIR") or default_runtimes).absolute(),
            guard=environment.get("GATEWAY_GUARD", "1") != "0",
            awaited_apis=listed(environment.get("GATEWAY_AWAITED_APIS", "").lower()),
            hosts=hosts(environment),
            interpreters=pairs("PROCESS_EXECUTOR_INTERPRETERS", environment),
            answers=ANSWERS[year],
            isolation=environment.get("PROCESS_EXECUTOR_ISOLATION") or "auto",
            first_uid=number("PROCESS_EXECUTOR_FIRST_UID", environment, 60000),
            init_timeout_s=number("PROCESS_EXECUTOR_INIT_TIMEOUT_S", environment, 10),
            pool_size=number("PROCESS_EXECUTOR_POOL_SIZE", environment, 2),
            memory_limit=environment.get("PROCESS_EXECUTOR_MEMORY_LIMIT", "1") != "0",
            cpu_share=number("PROCESS_EXECUTOR_CPU_SHARE", environment, 1),
            url_permissions=number("PROCESS_EXECUTOR_URL_PERMISSIONS", environment, 1),
            log_file=Path(log_file).absolute() if log_file else None,
            debug_port=number("PROCESS_EXECUTOR_DEBUG_PORT", environment, 0),
            hot_reload_ignore=globs(environment.get("PROCESS_EXECUTOR_HOT_RELOAD_IGNORE")),
        )
        if settings.isolation not in LEVELS:
            raise InvalidSetting(f"PROCESS_EXECUTOR_ISOLATION={settings.isolation}: use one of {', '.join(LEVELS)}.")
        return settings


def number(name: str, environment: Mapping[str, str], default: int) -> int:
    """Read a whole number of zero or more."""
    text = environment.get(name) or str(default)
    if not text.isdecimal():
        raise InvalidSetting(f"{name}={text}: use a whole number.")
    return int(text)


def listed(text: str) -> tuple[str, ...]:
    """Read what stands between commas."""
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def hosts(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Read the names of ``ALLOWED_HOSTS``, and those of the page's and the issuer's addresses."""
    names = listed(environment.get("ALLOWED_HOSTS", ""))
    for name in names:
        if not re.fullmatch(r"(\*\.)?[A-Za-z0-9._-]+", name):
            raise InvalidSetting(f"ALLOWED_HOSTS: '{name}' is no host name, such as app.test or *.app.test (no port).")
    urls = (environment.get(name, "") for name in ("FRONTEND_URL", "IDP_PUBLIC_URL", "IDP_TLS_PUBLIC_URL"))
    return (*names, *filter(None, (urlsplit(url).hostname for url in urls)))


def globs(text: str | None) -> tuple[str, ...]:
    """Read ``*.pyc,.git``; not set is the default, empty ignores nothing."""
    return IGNORED if text is None else listed(text)


def pairs(name: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Read ``python3.12=/path/to/python3.12,nodejs22.x=...``."""
    found = {}
    for part in listed(environment.get(name, "")):
        runtime, separator, path = part.partition("=")
        if not separator or not path:
            raise InvalidSetting(f"{name}: '{part}' is not runtime=path, such as python3.12=/usr/bin/python3.12.")
        found[runtime] = path
    return found


@cache
def settings() -> Settings:
    """The settings of this process."""
    return Settings.from_environment(os.environ)
