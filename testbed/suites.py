"""Run the test suites: the rooms' own tests, and the end-to-end tests against a stack."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.commands import run
from testbed.errors import StackError
from testbed.http import fetch
from testbed.lifecycle import NATIVE_PIECES, choose_mode
from testbed.ports import free_ports
from testbed.progress import Progress
from testbed.settings import ROOT, Settings
from testbed.setup import FUNCTION_NODES, Setup

ROOMS = ("lambda/tests", "mock_idp/tests", "frontend/tests", "testbed/tests")
EXECUTOR = "localstack/process_executor/tests"
RESULTS = ROOT / "test-results"
BY_TWO = ("-n", "2")
# What a file starts once, such as a stack, is started once: not by each of the two.
BY_FILE = ("--dist", "loadfile")
KEEP_WHAT_FAILS = (f"--output={RESULTS}", "--tracing=retain-on-failure", "--screenshot=only-on-failure")


def run_all(settings: Settings, progress: Progress, arguments: list[str]) -> int:
    """Every test there is; the end-to-end tests against a stack of their own."""
    rooms = run_rooms(settings, progress, arguments)
    end_to_end = run_end_to_end(settings, progress, arguments, own=True)
    return rooms or end_to_end


def run_rooms(settings: Settings, progress: Progress, arguments: list[str]) -> int:
    """The rooms' own tests: none needs the whole stack."""
    prepare(settings, progress, "dev", *NATIVE_PIECES, *FUNCTION_NODES)
    shutil.rmtree(RESULTS, ignore_errors=True)
    rooms = _pytest(settings, "rooms", [*ROOMS, "-m", "not stack", *BY_TWO, *BY_FILE, *arguments])
    executor = _pytest(settings, "executor", [EXECUTOR, *BY_TWO, *arguments])
    return rooms or executor


def run_end_to_end(settings: Settings, progress: Progress, arguments: list[str], *, own: bool) -> int:
    """The browser tests: against BASE_URL, else the running stack, else (or with `own`) one of their own."""
    prepare(settings, progress, "dev")
    words = ["e2e", "lambda/tests", "-m", "stack", *BY_TWO, *arguments]
    base_url = os.environ.get("BASE_URL", "")
    if base_url and not own:
        return _pytest(settings, "e2e", words, {"BASE_URL": base_url})
    if not own and fetch(settings.frontend_url + "/healthz", timeout_s=1).status == 200:
        progress.say(f"End-to-end tests against the running stack at {settings.frontend_url}")
        return _pytest(settings, "e2e", words, {"BASE_URL": settings.frontend_url})
    with own_stack(settings, progress) as environment:
        return _pytest(settings, "e2e", words, environment)


def prepare(settings: Settings, progress: Progress, *pieces: str) -> None:
    """Install what the tests need, a browser included."""
    Setup(settings, progress).ensure(*pieces)
    with progress.step("A browser for the tests") as step:
        step.result = run(
            [ROOT / ".ci/browser"],
            environment={"PATH": f"{settings.home / 'env/dev/bin'}{os.pathsep}{os.environ['PATH']}"},
            code="no_browser",
            sentence="There is no browser for the tests, and none could be installed.",
            mend="sudo apt-get install -y chromium, or .gatehouse/env/dev/bin/playwright install --with-deps chromium",
        ).strip()


@contextmanager
def own_stack(settings: Settings, progress: Progress) -> Iterator[dict[str, str]]:
    """A stack on free ports beside whatever else runs; gone afterwards, its logs kept among the results.

    Yields:
        The environment that points tests at it.
    """
    mode, why = choose_mode(settings)
    stack = f"test-{secrets.token_hex(3)}"
    environment = {"MODE": mode, "STACK": stack, **free_ports()}
    progress.say(f"End-to-end tests against a stack of their own in {mode} mode: {why}")
    try:
        _testbed("up", environment)
        yield {"BASE_URL": f"http://localhost:{environment['FRONTEND_PORT']}", **environment}
    finally:
        logs = settings.home / "stacks" / stack / "logs"
        if logs.exists():
            shutil.copytree(logs, RESULTS / "logs", dirs_exist_ok=True)
        _testbed("reset", environment)


def _testbed(command: str, environment: dict[str, str]) -> None:
    words = [str(ROOT / "testbed/launch"), command]
    if subprocess.run(words, env=os.environ | environment, check=False).returncode:
        raise StackError(
            code="no_test_stack",
            sentence=f"The stack for the tests failed at {command}; the reason stands above.",
            mend="mend that reason, then run the tests again",
        )


def _pytest(settings: Settings, name: str, words: list[str], environment: dict[str, str] | None = None) -> int:
    """Run pytest in the tests' environment; its exit status is the answer."""
    python = str(settings.home / "env/dev/bin/python")
    local = {
        # Where the machine has no Node.js, set-up has made one, for npm; the JavaScript clients run with it too.
        "PATH": f"{os.environ['PATH']}{os.pathsep}{settings.home / 'env/node/bin'}",
        "WIDGET_DIR": str(settings.home / "widget"),
        "LOCALSTACK_PYTHON": str(settings.home / "env/localstack/bin/python"),
        "PROCESS_EXECUTOR_RUNTIMES_DIR": str(settings.home / "runtimes"),
    }
    command = [python, "-m", "pytest", f"--junitxml={RESULTS / name}.xml", *KEEP_WHAT_FAILS, *words]
    return subprocess.run(command, cwd=ROOT, env=os.environ | local | (environment or {}), check=False).returncode
