"""The native supervisor, with programs of one line in place of the real ones."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from testbed.errors import StackError
from testbed.native import NativeStack, Program
from testbed.ports import free_ports
from testbed.progress import DroppedError
from testbed.settings import Settings

SERVES = "import http.server,sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), type('H', (http.server.BaseHTTPRequestHandler,), {'do_GET': lambda self: (self.send_response(200), self.end_headers())})).serve_forever()"  # noqa: E501 -- a program of one line


class SmallStack(NativeStack):
    """A stack of one program."""

    def __init__(self, folder: Path, code: str) -> None:
        self._code = code
        settings = Settings.from_environment({"START_TIMEOUT_S": "10"}, folder / ".env")
        object.__setattr__(settings, "deployment_file", folder / "deployment.json")
        self._port = int(free_ports()["IDP_PORT"])
        self._settings = settings
        self._folder = folder
        self._conf = folder / "supervisord.conf"
        self._logged = {}
        self.programs = {
            "small": Program(
                name="small",
                command=(sys.executable, "-c", code, str(self._port)),
                environment={"ODD": '50% "quoted", and a comma'},
                health_url=f"http://127.0.0.1:{self._port}/",
                sources=(),
            )
        }


@pytest.fixture
def stack_of(tmp_path):
    stacks = []

    def make(code):
        stacks.append(SmallStack(tmp_path, code))
        return stacks[-1]

    yield make
    for stack in stacks:
        stack.stop()


def left_behind(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("GATEHOUSE_STACK") == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def until(true: Callable[[], bool]) -> None:
    """Look until something is so; pytest's own timeout, or its reader's, ends what never is."""
    for _ in range(600):
        if true():
            return
        threading.Event().wait(0.05)
    pytest.fail("it never came to be")


def test_stack_is_up_to_date_once_started(stack_of):
    """What was started from the present settings needs no second start."""
    stack = stack_of(SERVES)
    assert not stack.up_to_date()
    stack.start()
    assert stack.wait_healthy("small") == ""
    pid = stack.pids()["small"]
    stack.start()
    assert stack.pids()["small"] == pid


def test_stack_leaves_nothing_behind_when_stopped(stack_of, tmp_path):
    """After a stop there is no process, no socket and no supervisor."""
    stack = stack_of(SERVES)
    stack.start()
    stack.wait_healthy("small")
    stack.stop()
    assert left_behind(tmp_path) == []
    assert not stack.running()
    assert not (tmp_path / "supervisord.pid").exists()


def test_service_that_dies_is_named_with_its_last_lines(stack_of):
    """A program that ends while starting is said to have, with what it printed."""
    stack = stack_of("print('no key in the lock'); raise SystemExit(3)")
    stack.start()
    with pytest.raises(StackError) as died:
        stack.wait_healthy("small")
    assert died.value.code == "service_died"
    assert "small" in died.value.sentence
    assert "no key in the lock" in died.value.detail
    assert "make logs S=small" in died.value.mend


def test_service_that_dies_is_told_by_what_it_said_this_time(stack_of, tmp_path):
    """Of a log that goes back to earlier runs, only the lines of this one are quoted."""
    stack = stack_of("raise SystemExit('no key in the lock')")
    (tmp_path / "logs").mkdir()
    stack.log_file("small").write_text("a line of yesterday\n")
    stack.start()
    with pytest.raises(StackError) as died:
        stack.wait_healthy("small")
    assert died.value.detail == "no key in the lock"


def test_service_that_dies_in_its_first_second_is_started_again(stack_of, tmp_path):
    """A program that fails at first and then does not is up in the end, by itself."""
    tried = tmp_path / "tried"
    fails_once = f"import pathlib; p = pathlib.Path({str(tried)!r}); p.exists() or (p.touch(), exit(1)); {SERVES}"
    stack = stack_of(fails_once)
    stack.start()
    with pytest.raises(StackError, match="service_died"):
        stack.wait_healthy("small")
    until(lambda: stack.states()["small"] == "RUNNING")
    assert stack.wait_healthy("small") == ""


def test_killed_service_is_started_again(stack_of):
    """Whoever ends a service, and however politely, it comes back."""
    stack = stack_of(SERVES)
    stack.start()
    stack.wait_healthy("small")
    for number in (signal.SIGKILL, signal.SIGTERM):
        until(lambda: stack.states()["small"] == "RUNNING")
        before = stack.pids()["small"]
        os.kill(before, number)
        until(lambda before=before: stack.pids().get("small", before) != before)


def test_waiting_for_a_service_ends_when_another_one_failed(stack_of):
    """Nobody waits for the rest of a stack that cannot come up."""
    stack = stack_of("import time; time.sleep(60)")
    stack.start()
    given_up = threading.Event()
    given_up.set()
    with pytest.raises(DroppedError):
        stack.wait_healthy("small", given_up)


def test_orphans_of_a_killed_supervisor_are_ended_by_the_next_start(stack_of, tmp_path):
    """When the supervisor was killed with -9, the next start still works."""
    stack = stack_of(SERVES)
    stack.start()
    stack.wait_healthy("small")
    orphan = stack.pids()["small"]
    supervisor = psutil.Process(int((tmp_path / "supervisord.pid").read_text()))
    supervisor.kill()
    psutil.wait_procs([supervisor], timeout=5)
    stack.start()
    stack.wait_healthy("small")
    assert stack.pids()["small"] != orphan
    assert orphan not in [process.pid for process in left_behind(tmp_path)]


def test_changed_settings_restart_the_program(stack_of, tmp_path):
    """A running stack takes a changed environment by restarting what it concerns."""
    stack = stack_of(SERVES)
    stack.start()
    stack.wait_healthy("small")
    pid = stack.pids()["small"]
    stack.programs["small"].environment["ODD"] = "changed"
    assert not stack.up_to_date()
    stack.start()
    stack.wait_healthy("small")
    assert stack.pids()["small"] != pid


def test_services_see_nothing_of_the_shell_that_started_them(stack_of, monkeypatch):
    """A variable that only one shell has makes no difference between two starts, or between the modes."""
    monkeypatch.setenv("AWS_PROFILE", "of-this-shell")
    stack = stack_of(SERVES)
    stack.start()
    stack.wait_healthy("small")
    environment = psutil.Process(stack.pids()["small"]).environ()
    assert "AWS_PROFILE" not in environment
    assert environment["PATH"] == os.environ["PATH"]
    assert environment["ODD"] == '50% "quoted", and a comma'
