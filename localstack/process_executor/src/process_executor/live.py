"""Function output as it is written, for people who watch: one file that ``tail -F`` follows."""

import os
import threading
from typing import TextIO

from process_executor.settings import settings


class Live:
    """Appends events to the configured file, each line with the function's name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: TextIO | None = None

    def write(self, function: str, events: list[str]) -> None:
        """Append events; without a configured file, nothing."""
        path = settings().log_file
        if path is None:
            return
        with self._lock:
            if self._file is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                # Its owner's alone: functions print what they like.
                self._file = os.fdopen(
                    os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8"
                )
            self._file.writelines(f"{function} | {line}\n" for event in events for line in event.splitlines())
            self._file.flush()


LIVE = Live()
