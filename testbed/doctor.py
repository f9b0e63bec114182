"""Look for what could keep the stack from starting, and say how to mend it."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testbed.compose import compose_version, engine_version
from testbed.http import fetch
from testbed.lifecycle import NATIVE_PIECES, runs_natively
from testbed.ports import port_holder, port_is_free
from testbed.progress import Progress
from testbed.settings import Settings
from testbed.setup import Setup

NEEDED_GIB = 3


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    ok: bool
    text: str
    mend: str = ""


def examine(settings: Settings, progress: Progress) -> int:
    """Print every finding; 1 if one of them keeps the stack from starting."""
    findings = list(_findings(settings, progress))
    for finding in findings:
        progress.say(f"  {'ok  ' if finding.ok else 'FAIL'} {finding.subject:<16} {finding.text}")
        if finding.mend:
            progress.say(f"       {'':<16} mend it: {finding.mend}")
    return 0 if all(finding.ok for finding in findings) else 1


def _findings(settings: Settings, progress: Progress) -> Iterator[Finding]:
    yield Finding("Python", True, f"{sys.version.split()[0]} at {sys.executable}")
    engine, compose = engine_version(), compose_version() if shutil.which("docker") else None
    if engine and compose:
        yield Finding("Docker", True, f"engine {engine}, Compose {compose}: make up runs in compose mode")
    else:
        lack = "no engine answers" if not engine else "Compose v2 is missing"
        wanted = settings.mode == "compose"
        yield Finding("Docker", not wanted, f"{lack}: make up runs in native mode", "start Docker" if wanted else "")
    missing = [piece.name for piece in Setup(settings, progress).missing(*NATIVE_PIECES)]
    yield Finding("Set-up", True, f"make up will still make: {', '.join(missing)}" if missing else "complete")
    yield Finding("npm", True, shutil.which("npm") or "absent: set-up installs one for itself")
    free_gib = shutil.disk_usage(settings.home if settings.home.exists() else settings.home.parent).free / 2**30
    yield Finding(
        "Disk",
        free_gib > NEEDED_GIB,
        f"{free_gib:.0f} GiB free",
        "" if free_gib > NEEDED_GIB else f"make room: set-up needs about {NEEDED_GIB} GiB",
    )
    browsers = ("chromium", "chromium-browser", "google-chrome")
    playwrights = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache/ms-playwright")
    browser = next(filter(None, map(shutil.which, browsers)), None) or next(
        map(str, playwrights.glob("chromium-*")), None
    )
    yield Finding("Browser", True, browser or "none: make test installs one, as root or through Playwright")
    running = runs_natively(settings) or fetch(settings.frontend_url + "/healthz", timeout_s=1).status == 200
    for name, port in settings.ports.items():
        if running or port_is_free(settings.bind, port):
            yield Finding(f"Port {port}", True, "ours" if running else "free")
        else:
            yield Finding(f"Port {port}", False, f"taken by {port_holder(port)}", f"stop it, or set {name}")
