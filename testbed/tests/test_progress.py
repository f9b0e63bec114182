"""What a person, a log file and a script see of a command."""

import io
import json
import re

import pytest

from testbed.progress import JsonRenderer, PlainRenderer, Progress, TerminalRenderer, progress_for


def test_plain_progress_prints_one_line_a_step_with_its_seconds():
    """Piped output is calm: a line when a step is done, nothing that moves."""
    out = io.StringIO()
    progress = Progress(PlainRenderer(out))
    with progress.step("Deployed") as step:
        step.note("not shown")
        step.result = "in 1.2 s"
    progress.say("Up.")
    assert re.fullmatch(r"ok   Deployed +\d+\.\d s  in 1\.2 s\nUp\.\n", out.getvalue())


def test_plain_progress_marks_a_failed_step():
    """A step that raises is marked, and the exception goes on."""
    out = io.StringIO()
    with pytest.raises(OSError, match="gone"), Progress(PlainRenderer(out)).step("Deployed"):
        raise OSError("gone")
    assert out.getvalue().startswith("FAIL Deployed")


def test_json_progress_prints_one_object_a_line():
    """Scripts read events, not prose."""
    out = io.StringIO()
    with Progress(JsonRenderer(out)).step("Deployed"):
        pass
    started, finished = map(json.loads, out.getvalue().splitlines())
    assert started == {"event": "StepStarted", "title": "Deployed"}
    assert finished["ok"] is True
    assert finished["seconds"] >= 0


def test_terminal_progress_leaves_the_cursor_visible():
    """Whatever happens in between, the terminal is given back as it was."""
    out = io.StringIO()
    progress = Progress(TerminalRenderer(out, colour=False))
    with progress.step("Deployed"):
        pass
    progress.close()
    assert "✔ Deployed" in out.getvalue()
    assert out.getvalue().endswith("\x1b[?25h")


@pytest.mark.parametrize(
    ("environment", "start"), [({"JSON": "1"}, '{"event"'), ({}, "Up."), ({"TERM": "xterm"}, "Up.")]
)
def test_rendering_is_chosen_by_request_and_by_what_the_output_is(environment, start):
    """JSON=1 asks for JSON; what is not a terminal gets plain lines."""
    out = io.StringIO()
    progress_for(out, environment).say("Up.")
    assert out.getvalue().startswith(start)
