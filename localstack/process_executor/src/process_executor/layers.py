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
        built.mkdir(mode=0o755)
        for folder in folders:
            shutil.copytree(folder, built, symlinks=True, dirs_exist_ok=True, copy_function=link_or_copy)
        if target.exists():
            target.rename(Path(scratch) / "old")
        built.rename(target)


def link_or_copy(source: str, target: str, **_: Any) -> str:
    """A hard link where that is possible; layers are never written to."""
    if os.path.lexists(target):
        Path(target).unlink()
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
    return target
