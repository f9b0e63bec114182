"""What can go wrong, each with a stable code, a plain sentence and the command that mends it."""

import errno
from dataclasses import dataclass


@dataclass(kw_only=True, eq=False)
class StackError(Exception):
    """A failure that a person can act on.

    Args:
        code: stable, lower case with underscores; scripts may rely on it.
        sentence: what happened, in words.
        mend: the next step, a command where there is one.
        detail: the last lines of whatever failed; may be empty.
    """

    code: str
    sentence: str
    mend: str
    detail: str = ""

    def __str__(self) -> str:
        """One paragraph: the sentence, the code, the detail, the way out."""
        detail = "".join(f"\n  | {line}" for line in self.detail.splitlines())
        return f"{self.sentence}  [{self.code}]{detail}\n  Mend it: {self.mend}"


def disk_trouble(error: OSError) -> StackError:
    """Say which file could not be written or read, and what to do about it."""
    mends = {
        errno.ENOSPC: "make room on that disk, then run the same command again; make doctor shows how much is free",
        errno.EDQUOT: "make room within your quota, then run the same command again",
        errno.EROFS: "put the checkout on a disk that can be written to",
        errno.EACCES: "make it yours (chown, chmod), or run as the one whose it is",
        errno.EPERM: "make it yours (chown, chmod), or run as the one whose it is",
        errno.EEXIST: "move that file out of the way: a folder belongs there",
        errno.ENOTDIR: "move the file that stands in its path out of the way: a folder belongs there",
    }
    where = f"{error.filename}: " if error.filename else ""
    return StackError(
        code="disk",
        sentence=f"{where}{error.strerror or error}.",
        mend=mends.get(error.errno or 0, "make doctor looks for causes"),
    )
