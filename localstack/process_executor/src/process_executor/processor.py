"""The share of a processor that AWS gives a function, and how an environment is kept to it.

AWS gives it in proportion to the memory; initializations have all there is.
Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""

import os
import signal
import time
from dataclasses import dataclass
from typing import Self

from process_executor import memory

MB_PER_PROCESSOR = 1769
PROCESSORS = os.cpu_count() or 1
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Of processor time: how long the function runs at least before it is halted again, and what it can save up.
SLICE_S = 0.01
# The fields of /proc/PID/stat behind the name: the state, the parent, user and system time of children that have ended.
STATE, PARENT, ENDED = 0, 1, slice(13, 15)


@dataclass(frozen=True)
class Share:
    """How much of a processor may be used.

    Attributes:
        processors: seconds of processor time in a second.
        free_s: seconds of processor time that may be used up before.
    """

    processors: float
    free_s: float = 0.0


def share_of(memory_mb: int) -> float:
    """The processors of a function with this much memory."""
    return memory_mb / MB_PER_PROCESSOR


def used_s(pids: list[int]) -> float:
    """The processor time so far, in seconds, summed, with that of children that have ended; 0 for who is gone."""
    total_s = 0.0
    for pid in pids:
        try:
            total_s += time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3) as Linux has it
            total_s += sum(map(int, fields_of(pid)[ENDED])) / TICKS_PER_S
        except OSError:
            continue
    return total_s


def fields_of(pid: int) -> list[bytes]:
    """The fields of a process's ``stat`` from the state on."""
    return memory.read(f"/proc/{pid}/stat").rpartition(b") ")[2].split()


def halt(pids: list[int], keeper: int) -> list[int]:
    """Halt those that run, all that is below a keeper, and tell which.

    What the function has halted itself is its own to continue; what has ended since, and has left its number to another
    process, has left that a parent that is not among them.
    """
    parents = {keeper, *pids}
    found = []
    for pid in pids:
        try:
            fields = fields_of(pid)
            if fields[STATE] != b"T" and int(fields[PARENT]) in parents:
                os.kill(pid, signal.SIGSTOP)
                found.append(pid)
        except OSError:
            continue
    return found


def send_signal(pids: list[int], number: int) -> None:
    """Send it to all that are still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except OSError:
            continue


class Brake:
    """Halts an environment's processes as often as they have used up their share.

    Use as a context manager while an environment is driven: it never ends halted.
    """

    def __init__(self, share: Share | None, keeper: int) -> None:
        if share and share.processors >= PROCESSORS:
            share = None
        self._share = share
        self._balance_s = share.free_s if share else 0.0
        self._used_s = used_s(processes(keeper)) if share else 0.0
        self._halted: list[int] = []
        self._looked = time.monotonic()
        self.due = self._looked + SLICE_S if share else float("inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def apply(self, keeper: int) -> None:
        """Look, if it is time, and halt the processes below the keeper or let them run."""
        now = time.monotonic()
        if self._share is None or now < self.due:
            return
        self._release()
        found = processes(keeper)
        earned_s = self._share.processors * (now - self._looked)
        used = used_s(found)  # less than before, if the kernel forgot a child that nobody waited for
        self._balance_s = min(self._balance_s + earned_s, max(self._balance_s, SLICE_S)) - max(0.0, used - self._used_s)
        self._looked, self._used_s = now, used
        if self._balance_s < 0:
            self._halted = halt([pid for pid in found if pid != keeper], keeper)
            self.due = now + (SLICE_S - self._balance_s) / self._share.processors
        else:
            self.due = now + max(SLICE_S, self._balance_s / PROCESSORS, memory.Checks.pause_s())

    def _release(self) -> None:
        send_signal(self._halted, signal.SIGCONT)
        self._halted = []


def processes(keeper: int) -> list[int]:
    """A keeper, which has the time of orphans that have ended, and all below it."""
    return [keeper, *memory.descendants(keeper)] if keeper else []
