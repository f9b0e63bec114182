"""What an environment is made from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from process_executor.answers import Answers
from process_executor.invocations import Failure
from process_executor.logs import JsonLines, TextLines
from process_executor.spawner import Nursery, Order


class CannotStart(Exception):
    """There is nothing to start."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that stays the same while an environment lives, restarts of its process included."""

    id: str
    name: str
    version: str
    answers: Answers
    timeout_s: int
    memory_mb: int
    order: Callable[[str], Order]
    nursery: Nursery
    lines: TextLines | JsonLines
    rewrite: Callable[[bytes], bytes]
    traced: bool
    live: Callable[[str, list[str]], None]
    tmp_dir: Path | None
    enforce_memory: bool
    cpu_share: int
    init_timeout_s: float
    signature: Callable[[], str] | None
    debug_port: int
