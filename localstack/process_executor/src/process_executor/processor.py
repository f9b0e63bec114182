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
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Of processor time: how long the function runs at least before it is halted again.
SLICE_S = 0.01
# The fields of /proc/PID/stat behind the name: user and system time of children that have ended.
ENDED = slice(13, 15)


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
            stat = memory.read(f"/proc/{pid}/stat")
        except OSError:
            continue
        total_s += sum(map(int, stat.rpartition(b") ")[2].split()[ENDED])) / TICKS_PER_S
    return total_s


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
        self._share = share
        self._begin = time.monotonic()
        self._before_s = used_s(processes(keeper)) if share else 0.0
        self._used_s = 0.0
        self._halted: list[int] = []
        self.due = self._begin + SLICE_S if share else float("inf")

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
        self._used_s = max(self._used_s, used_s(found) - self._before_s)
        owed_s = self._used_s - self._share.free_s - self._share.processors * (now - self._begin)
        if owed_s > 0:
            self._halted = [pid for pid in found if pid != keeper]
            send_signal(self._halted, signal.SIGSTOP)
            self.due = now + (owed_s + SLICE_S) / self._share.processors
        else:
            self.due = now + max(SLICE_S, -owed_s / (os.cpu_count() or 1))

    def _release(self) -> None:
        send_signal(self._halted, signal.SIGCONT)
        self._halted = []


def processes(keeper: int) -> list[int]:
    """A keeper, which has the time of orphans that have ended, and all below it."""
    return [keeper, *memory.descendants(keeper)] if keeper else []
