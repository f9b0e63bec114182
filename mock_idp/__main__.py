"""`mock-idp` and `python -m mock_idp`: run the issuer with settings from the environment and the command line."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from mock_idp.config import ConfigError
from mock_idp.issuer import Issuer
from mock_idp.keys import KeyStoreError
from mock_idp.server import IssuerServer
from mock_idp.settings import Settings, SettingsError, load_settings, unknown_settings, variables

log = logging.getLogger("mock_idp")


def _reload(issuer: Issuer) -> None:
    try:
        issuer.reload()
        log.warning("configuration read again from %s", issuer.settings.config)
    except ConfigError as error:
        log.error("configuration kept as it was: %s", error)  # noqa: TRY400 - the sentence says all


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with IssuerServer(settings) as server:
        loop.add_signal_handler(signal.SIGHUP, _reload, server.issuer)
        print(server.describe(), flush=True)
        gc.collect()
        gc.freeze()  # what stands now stays: the collector need not look at it again
        await stop.wait()


def _own_version() -> str:
    """Return the distribution's version: in a checkout what stands there, whatever else is installed."""
    # Imported only where they are asked for: they cost as much start-up time as the certificates.
    import tomllib  # noqa: PLC0415
    from importlib.metadata import version  # noqa: PLC0415

    project = Path(__file__).with_name("pyproject.toml")
    if not project.is_file():
        return version("gatehouse-mock-idp")
    stated: str = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    return stated


def _parser() -> argparse.ArgumentParser:
    others = [name for name in variables() if name not in {"BIND", "IDP_PORT", "IDP_CONFIG", "IDP_STATE_DIR"}]
    parser = argparse.ArgumentParser(
        prog="mock-idp",
        allow_abbrev=False,
        description="A mock OpenID Connect issuer with Okta's surface: strict, and breakable on purpose.",
        epilog="Signing keys are kept in the folder IDP_STATE_DIR (default $XDG_STATE_HOME/mock-idp, or "
        f"~/.local/state/mock-idp). Further settings are environment variables: {', '.join(others)}.",
    )
    parser.add_argument(
        "--port", help="port to listen on; 0 takes a free one, which is printed (variable IDP_PORT; default 9400)"
    )
    parser.add_argument("--host", help="address to listen on (variable BIND; default 127.0.0.1)")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="YAML file with clients, personas, authorization servers and lifetimes (variable IDP_CONFIG; default: "
        "the package's personas.yaml)",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Start; 0 after a clean stop, 2 when an option, a setting or a file is wrong."""
    given = vars(_parser().parse_args(arguments))
    if given.pop("version"):
        print(f"mock-idp {_own_version()}")
        return 0
    options = {f"--{name}": value for name, value in given.items() if value is not None}
    try:
        settings = load_settings(os.environ, options)
        logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        # At lower levels Tornado quotes malformed requests, and a token may stand in one.
        logging.getLogger("tornado").setLevel(logging.WARNING)
        for sentence in unknown_settings(os.environ):
            log.warning("%s", sentence)
        asyncio.run(serve(settings))
    except (SettingsError, ConfigError, KeyStoreError) as error:
        print(f"mock_idp: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
