"""Progress as typed events, and their three renderings: plain, terminal, JSON lines."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Protocol, TextIO


@dataclass(frozen=True)
class StepStarted:
    """A step has begun."""

    title: str


@dataclass(frozen=True)
class StepNoted:
    """Where a running step is just now."""

    title: str
    note: str


@dataclass(frozen=True)
class StepFinished:
    """A step came to its end; `seconds` is what it took."""

    title: str
    seconds: float
    ok: bool
    note: str = ""


@dataclass(frozen=True)
class StepDropped:
    """A step is not gone on with, because another one failed; there is nothing to say of it."""

    title: str


@dataclass(frozen=True)
class Said:
    """A line for the person, outside of any step."""

    text: str


type Event = StepStarted | StepNoted | StepFinished | StepDropped | Said


class DroppedError(Exception):
    """Raised in a step that is not gone on with."""


class Renderer(Protocol):
    """Shows events; called under a lock, from any thread."""

    def show(self, event: Event) -> None:
        """Render one event."""

    def close(self) -> None:
        """Leave the output clean."""


class PlainRenderer:
    """One line for each finished step: calm in a log file."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, event: Event) -> None:
        """Print finished steps and what is said; nothing moves."""
        match event:
            case StepFinished(title, seconds, ok, note):
                mark = "ok  " if ok else "FAIL"
                print(
                    f"{mark} {title:<44} {seconds:6.1f} s{f'  {note}' if note else ''}",
                    file=self._out,
                    flush=True,
                )
            case Said(text):
                print(text, file=self._out, flush=True)
            case _:
                pass

    def close(self) -> None:
        """Nothing to tidy."""


class JsonRenderer:
    """One JSON object a line: `{"event": "StepFinished", "title": …, "seconds": …}`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, event: Event) -> None:
        """Print the event's fields and its name."""
        print(json.dumps({"event": type(event).__name__} | asdict(event)), file=self._out, flush=True)

    def close(self) -> None:
        """Nothing to tidy."""


class TerminalRenderer:
    """Finished steps scroll up; below them one live line shows what runs and for how long."""

    FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        self._out = out
        self._colour = colour
        self._running: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()

    def show(self, event: Event) -> None:
        """Scroll a finished step up, or change the live line."""
        with self._lock:
            match event:
                case StepStarted(title):
                    self._running[title] = (time.monotonic(), "")
                case StepNoted(title, note):
                    began, _ = self._running.get(title, (time.monotonic(), ""))
                    self._running[title] = (began, note)
                case StepFinished(title, seconds, ok, note):
                    self._running.pop(title, None)
                    mark = self._paint("32", "✔") if ok else self._paint("31", "✘")
                    tail = self._paint("2", f"{seconds:6.1f} s{f'  {note}' if note else ''}")
                    self._out.write(f"\r\x1b[K {mark} {title:<44}{tail}\n")
                case StepDropped(title):
                    self._running.pop(title, None)
                case Said(text):
                    self._out.write(f"\r\x1b[K{text}\n")
            self._draw(0)

    def close(self) -> None:
        """Stop the live line and give the cursor back."""
        self._closed.set()
        self._ticker.join()
        self._out.write("\r\x1b[K\x1b[?25h")
        self._out.flush()

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _tick(self) -> None:
        turn = 0
        while not self._closed.wait(0.1):
            turn += 1
            with self._lock:
                self._draw(turn)

    def _draw(self, turn: int) -> None:
        line = "\r\x1b[K"
        if self._running:
            now = time.monotonic()
            parts = [
                f"{title}{f' ({note})' if note else ''} {now - began:.0f} s"
                for title, (began, note) in self._running.items()
            ]
            text = " · ".join(parts)[: max(20, _width() - 4)]
            line += f" {self._paint('36', self.FRAMES[turn % len(self.FRAMES)])} {text}\x1b[?25l"
        self._out.write(line)
        self._out.flush()


def _width() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        return 80


class Silence:
    """What is left when nobody reads any more: the work goes on."""

    def show(self, event: Event) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing to tidy."""


class Progress:
    """What commands report to."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self._lock = threading.Lock()

    def show(self, event: Event) -> None:
        """Render an event; a reader that went away (`make up | head`) does not stop the work."""
        with self._lock:
            try:
                self._renderer.show(event)
            except BrokenPipeError:
                self._renderer = Silence()
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    @contextmanager
    def step(self, title: str) -> Iterator["Step"]:
        """Show a step from its start to its end, with its seconds; an exception marks it as failed."""
        began = time.monotonic()
        self.show(StepStarted(title))
        step = Step(title, self.show)
        ok = dropped = False
        try:
            yield step
            ok = True
        except DroppedError:
            dropped = True
            raise
        finally:
            seconds = round(time.monotonic() - began, 2)
            self.show(StepDropped(title) if dropped else StepFinished(title, seconds, ok, step.result))

    def say(self, text: str) -> None:
        """Show a line outside of any step."""
        self.show(Said(text))

    def close(self) -> None:
        """Leave the output clean."""
        self._renderer.close()


class Step:
    """A running step."""

    def __init__(self, title: str, show: Callable[[Event], None]) -> None:
        self._title = title
        self._show = show
        self.result = ""

    def note(self, text: str) -> None:
        """Say where the step is; shown on a terminal only."""
        self._show(StepNoted(self._title, text))


def progress_for(out: TextIO, environment: dict[str, str]) -> Progress:
    """Choose the rendering: JSON=1 asks for JSON lines, a terminal gets the live one, all else plain lines."""
    if environment.get("JSON") == "1":
        return Progress(JsonRenderer(out))
    if out.isatty() and environment.get("TERM", "dumb") != "dumb":
        return Progress(TerminalRenderer(out, colour="NO_COLOR" not in environment))
    return Progress(PlainRenderer(out))
