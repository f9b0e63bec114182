"""Which browser the tests drive: Playwright's own where it is installed, else the system's Chromium."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # the executor's tests run in an environment without Playwright
    from playwright.sync_api import BrowserType

SYSTEM_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

# A distribution's Chromium looks up its maker's servers at every start: seconds, on a closed network.
QUIET_FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], browser_type: "BrowserType") -> dict[str, Any]:
    """Name the system's Chromium where Playwright has none; a browser chosen by option stays chosen."""
    chosen = {"channel", "executable_path"} & set(browser_type_launch_args)
    if chosen or browser_type.name != "chromium" or Path(browser_type.executable_path).exists():
        return browser_type_launch_args
    found = next(filter(None, map(shutil.which, SYSTEM_CHROMIUMS)), None)
    if found is None:
        pytest.fail(
            "No browser: neither Playwright's Chromium nor the system's is installed. Run: .ci/browser",
            pytrace=False,
        )
    # Chromium refuses to run its sandbox as root, as which CI containers run.
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    return {
        **browser_type_launch_args,
        "executable_path": found,
        "args": [*browser_type_launch_args.get("args", ()), *QUIET_FLAGS, *sandbox],
    }
