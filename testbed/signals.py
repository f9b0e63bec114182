"""Ctrl-C, SIGTERM and a terminal that goes away: the first of them interrupts, what tidies up then is left in peace."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_once() -> None:
    """Have the first signal raise KeyboardInterrupt; what was started to ignore one (nohup, a job with `&`) does."""
    for number in NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)


def hold() -> None:
    """Keep signals for the program that this process becomes, until it is ready for them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)


def _interrupt(_: int, __: FrameType | None) -> None:
    for number in NUMBERS:
        signal.signal(number, _pass)
    raise KeyboardInterrupt


def _pass(_: int, __: FrameType | None) -> None:
    """Do nothing: Python complains of SIG_IGN when a second signal is waiting already."""


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Tidy up to the end, whatever signals come meanwhile; for what ends by itself within seconds."""
    before = {number: signal.signal(number, _pass) for number in NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
