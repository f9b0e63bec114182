"""Run a command and turn its failure into something a person can act on."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.errors import StackError
from testbed.settings import ROOT

# How long a command may take to end when it is asked to.
END_S = 8
_running: set[subprocess.Popen[str]] = set()


def end_running() -> None:
    """End every command that is still under way, with its children; for the way out after Ctrl-C."""
    for process in list(_running):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)


def _end(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def last_lines(text: str, count: int = 12) -> str:
    """The last non-blank lines of an output."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-count:])


def run(
    command: Sequence[str | Path],
    *,
    code: str,
    sentence: str,
    mend: str,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run to the end in a process group of its own and give back what it printed.

    Args:
        command: program and arguments.
        code: error code if it fails.
        sentence: what it means that it failed.
        mend: the next step then.
        environment: added to this process's own.

    Raises:
        StackError: it exited non-zero or could not be started; `detail` has its last lines.
    """
    words = [str(word) for word in command]
    try:
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            env=os.environ | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise StackError(code=code, sentence=sentence, mend=mend, detail=f"{words[0]}: {error.strerror}") from error
    _running.add(process)
    try:
        output, _ = process.communicate()
    finally:
        _running.discard(process)
        if process.poll() is None:
            _end(process)
    if process.returncode:
        raise StackError(code=code, sentence=sentence, mend=mend, detail=last_lines(output))
    return output
