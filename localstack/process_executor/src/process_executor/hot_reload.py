"""Whether the files of a function have changed since they were last looked at."""

import fnmatch
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path


def signature(folders: Sequence[Path], ignored: Sequence[str]) -> str:
    """A digest of all paths, and of files' sizes and times of change, but for names that match an ignored glob."""
    digest = hashlib.blake2b(digest_size=16)
    for folder in folders:
        for line in sorted(walk(str(folder), ignored)):
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def walk(folder: str, ignored: Sequence[str]) -> Iterator[str]:
    """One line per file and folder below ``folder``, links followed."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if any(fnmatch.fnmatchcase(entry.name, glob) for glob in ignored):
            continue
        if entry.is_dir():
            yield f"{entry.path}/\n"
            yield from walk(entry.path, ignored)
            continue
        try:
            status = entry.stat()
        except OSError:
            continue
        yield f"{entry.path}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}\n"
