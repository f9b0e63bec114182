"""The unpacked code of functions, which environments go on using when LocalStack is done with it.

LocalStack deletes a version's code as soon as the function is deleted or updated. On AWS an invocation that runs then
is finished with the code it began with, and one that comes at that moment is served by the old code or the new.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localstack.services.lambda_.invocation import lambda_models
from localstack.services.lambda_.invocation.executor_endpoint import ShutdownDuringStartup
from localstack.services.lambda_.invocation.lambda_models import S3Code
from localstack.services.lambda_.invocation.lambda_service import LambdaService
from localstack.utils.patch import patch

READABLE = 0o755  # as AWS has it, whatever the archive says
# Of an invocation, where one update of its function follows another.
TRIES = 5


class VersionIsGone(ShutdownDuringStartup):  # type: ignore[misc]  # LocalStack publishes no types
    """The version was replaced or deleted before the invocation began."""


class Code:
    """Who uses which folder, and which are to be deleted once nobody does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[str, Path] = {}
        self._doomed: dict[Path, Callable[[], None]] = {}

    def hold(self, user: str, code: Any) -> None:
        """Keep a version's code until it is let go.

        Raises:
            VersionIsGone: too late.
        """
        if code.is_hot_reloading():
            return  # the user's own folder
        folder = Path(code.get_unzipped_code_location())
        with self._lock:
            if not folder.is_dir() or folder in self._doomed:
                raise VersionIsGone(f"{folder} is no more")
            self._users[user] = folder

    def let_go(self, user: str) -> None:
        """Delete what this user was the last to hold, if it is doomed."""
        with self._lock:
            folder = self._users.pop(user, None)
            delete = None
            if folder is not None and folder not in self._users.values():
                delete = self._doomed.get(folder)
        if folder is not None and delete is not None:
            self._delete(folder, delete)

    def doom(self, folder: Path, delete: Callable[[], None]) -> None:
        """Delete a folder now, or when nobody holds it any more."""
        with self._lock:
            self._doomed[folder] = delete  # until it is deleted: nobody may begin to hold it meanwhile
            held = folder in self._users.values()
        if not held:
            self._delete(folder, delete)

    def _delete(self, folder: Path, delete: Callable[[], None]) -> None:
        try:
            delete()
        finally:
            with self._lock:
                self._doomed.pop(folder, None)


CODE = Code()


def keep_while_used() -> None:
    """Let LocalStack delete code when no environment uses it, and the new version serve what came in between."""

    @patch(S3Code.destroy_cached)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _destroy_cached(call: Callable[..., None], self: Any) -> None:
        CODE.doom(self.get_unzipped_code_location(), lambda: call(self))

    @patch(LambdaService.invoke)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _invoke(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        for _ in range(TRIES - 1):
            try:
                return call(*arguments, **named)
            except Exception as problem:
                if not was_replaced(problem):
                    raise
        return call(*arguments, **named)


def open_to_functions() -> None:
    """Let functions read all of their code; LocalStack does, from 4.12 on, but changes what links lead to as well."""
    if hasattr(lambda_models, "chmod_r"):
        lambda_models.chmod_r = chmod_below
        return

    @patch(S3Code.prepare_for_execution)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _prepare(call: Callable[..., None], self: Any) -> None:
        with self._disk_lock:
            folder = self.get_unzipped_code_location()
            unpacked = folder.exists()
            call(self)
            if not unpacked:
                chmod_below(folder, READABLE)


def chmod_below(top: str | Path, mode: int) -> None:
    """Set the mode of a folder and all that is in it, but of nothing that a link in it leads to."""
    for folder, folders, files in os.walk(top):
        for path in (Path(folder), *(Path(folder, name) for name in folders + files)):
            if not path.is_symlink():
                path.chmod(mode)


def was_replaced(problem: BaseException | None) -> bool:
    """Whether an invocation failed because its version was replaced before it began."""
    while problem is not None:
        if isinstance(problem, VersionIsGone) or "for a version shutting down" in str(problem):
            return True
        problem = problem.__cause__
    return False
