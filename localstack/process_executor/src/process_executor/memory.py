"""How much memory an environment uses, and when to look again."""

import os
import time
from collections.abc import Callable
from typing import Self

# Plain calls: these run at the end of every invocation, and pathlib would take longer than the kernel.
# ruff: noqa: PTH123, PTH208

# A process cannot touch new memory faster than this, so there is no need to look more often.
FILL_MB_PER_S = 2000
SHORTEST_S = 0.02
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
    """The highest resident memory so far, summed."""
    return sum(status_mb(pid, b"VmHWM:") for pid in pids)


def resident_mb(pids: list[int]) -> int:
    """The resident memory now, summed; what forks share counts for each of them."""
    return sum(status_mb(pid, b"VmRSS:") for pid in pids)


def proportional_mb(pids: list[int]) -> int:
    """The resident memory now, what is shared counted once; slow."""
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
    """When to check a memory limit next: the less is left, the sooner; the more environments are checked, the later.

    Use as a context manager while an environment is driven.
    """

    _driven = 0

    def __init__(self, limit_mb: int | None) -> None:
        self._limit_mb = limit_mb
        self.due = float("inf") if limit_mb is None else time.monotonic() + SHORTEST_S

    def __enter__(self) -> Self:
        Checks._driven += 1
        return self

    def __exit__(self, *_: object) -> None:
        Checks._driven -= 1

    @classmethod
    def pause_s(cls) -> float:
        """How long to wait at least, so that all who are looked after together are not looked at too often."""
        return cls._driven / CHECKS_PER_S

    def exceeded(self, resident: Callable[[int], int]) -> bool:
        """Look, if it is time.

        Args:
            resident: the memory in use now, in MB; told the limit, because exactness is only needed near it.
        """
        now = time.monotonic()
        if self._limit_mb is None or now < self.due:
            return False
        left_mb = self._limit_mb - resident(self._limit_mb)
        pause_s = max(SHORTEST_S, left_mb / FILL_MB_PER_S, self.pause_s())
        self.due = now + pause_s if left_mb >= 0 else float("inf")
        return left_mb < 0
