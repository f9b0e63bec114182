"""How much memory an environment uses, and when to look again."""

import math
import os
import time
from collections.abc import Callable
from typing import Self

# Plain calls: these run at the end of every invocation, and pathlib would take longer than the kernel.
# ruff: noqa: PTH123, PTH208

# A process cannot touch new memory faster than this, so there is no need to look more often.
FILL_MB_PER_S = 2000
SHORTEST_S = 0.02
# What a child used that has ended is only known from looking while it ran.
LONGEST_S = 0.1
# Of all environments together: looking takes time from those that run.
CHECKS_PER_S = 200


def descendants(keeper: int) -> list[int]:
    """The processes below a keeper."""
    found: list[int] = []
    waiting = [keeper] if keeper else []
    while waiting:
        folder = f"/proc/{waiting.pop()}/task"
        try:
            for task in os.listdir(folder):
                children = [int(text) for text in read(f"{folder}/{task}/children").split()]
                waiting += children
                found += children
        except OSError:
            continue
    return found


def read(path: str) -> bytes:
    """A small file of the kernel's."""
    with open(path, "rb", buffering=0) as file:
        return file.read()


def status_mb(pid: int, field: bytes) -> int:
    """A field of ``/proc/PID/status`` that is in kB, in MB rounded up; 0 for a process that is gone."""
    try:
        text = read(f"/proc/{pid}/status")
    except OSError:
        return 0
    _, found, rest = text.partition(field)
    return (int(rest.split(maxsplit=1)[0]) + 1023) // 1024 if found else 0


def peak_mb(pids: list[int]) -> int:
    """The highest resident memory of a single one so far."""
    return max((status_mb(pid, b"VmHWM:") for pid in pids), default=0)


def resident_mb(pids: list[int]) -> int:
    """The resident memory now, summed; what several processes share counts once."""
    if len(pids) == 1:
        return status_mb(pids[0], b"VmRSS:")
    total_kb = 0
    for pid in pids:
        try:
            text = read(f"/proc/{pid}/smaps_rollup")
        except PermissionError:
            total_kb += status_mb(pid, b"VmRSS:") * 1024
        except OSError:
            continue
        else:
            total_kb += int(text.partition(b"\nPss:")[2].split(maxsplit=1)[0])
    return total_kb // 1024


class Checks:
    """When to look at the memory next: the less is left, the sooner; the more environments there are, the later.

    Use as a context manager while an environment is driven.
    """

    _driven = 0

    def __init__(self, limit_mb: int | None) -> None:
        self._limit_mb = limit_mb
        self.due = time.monotonic() + SHORTEST_S

    def __enter__(self) -> Self:
        Checks._driven += 1
        return self

    def __exit__(self, *_: object) -> None:
        Checks._driven -= 1

    @classmethod
    def pause_s(cls) -> float:
        """How long to wait at least, so that all who are looked after together are not looked at too often."""
        return cls._driven / CHECKS_PER_S

    def exceeded(self, resident_mb: Callable[[], int]) -> bool:
        """Look, if it is time: whether more memory is in use than the limit."""
        now = time.monotonic()
        if now < self.due:
            return False
        used_mb = resident_mb()
        left_mb = math.inf if self._limit_mb is None else self._limit_mb - used_mb
        self.due = now + max(SHORTEST_S, min(left_mb / FILL_MB_PER_S, LONGEST_S), self.pause_s())
        return left_mb < 0
