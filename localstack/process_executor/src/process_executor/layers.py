"""A function's layers as one folder for ``/opt``."""

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_LOCK = threading.Lock()


def opt_folder(layers: Sequence[Any]) -> Path | None:
    """The layers' content merged in their order (a later one wins); None without layers.

    Args:
        layers: LocalStack's ``LayerVersion`` objects.
    """
    codes = [layer.code for layer in layers if layer.code is not None]
    for code in codes:
        code.prepare_for_execution()
    folders = [Path(code.get_unzipped_code_location()).absolute() for code in codes]
    if len(folders) <= 1:
        return folders[0] if folders else None
    name = hashlib.sha256("\n".join(map(str, folders)).encode()).hexdigest()[:16]
    merged = Path(tempfile.gettempdir()) / "lambda" / "opt" / name
    with _LOCK:
        if not merged.exists() or any(code.is_hot_reloading() for code in codes):
            merge(folders, merged)
    return merged


def merge(folders: Sequence[Path], target: Path) -> None:
    """Lay the folders over one another at ``target``, all at once for whoever looks."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        built = Path(scratch) / "opt"
        for folder in folders:
            lay_over(folder, built)
        if target.exists():
            target.rename(Path(scratch) / "old")
        built.rename(target)


def lay_over(folder: Path, target: Path) -> None:
    """Put what is in a folder over what is in another: not through a link, and in place of what is of another kind."""
    target.mkdir(mode=0o755, exist_ok=True)
    for source in folder.iterdir():
        laid = target / source.name
        if source.is_dir() and not source.is_symlink():
            if laid.is_symlink() or laid.is_file():
                laid.unlink()
            lay_over(source, laid)
            continue
        if laid.is_dir() and not laid.is_symlink():
            shutil.rmtree(laid)
        laid.unlink(missing_ok=True)
        link_or_copy(source, laid)


def link_or_copy(source: Path, target: Path) -> None:
    """A hard link where that is possible; layers are never written to."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
