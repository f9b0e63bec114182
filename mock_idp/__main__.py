"""`python -m mock_idp`: run the issuer with the settings found in the environment."""

import asyncio
import gc
import logging
import os
import signal
import sys

from mock_idp.config import ConfigError
from mock_idp.issuer import Issuer
from mock_idp.keys import KeyStoreError
from mock_idp.server import IssuerServer
from mock_idp.settings import Settings, SettingsError, load_settings, unknown_settings

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


def main() -> int:
    """Start from the environment; 0 after a clean stop, 2 when the settings or the files are wrong."""
    try:
        settings = load_settings(os.environ)
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
