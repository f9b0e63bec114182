"""The files the server may serve, looked up by name in a table.

A request names a key of a table and never a path, so there is nothing to traverse. Every address holds a hash of the
whole tree it belongs to, which lets browsers keep the files for good and lets the widget's style sheet refer to
``../font`` and ``../img`` as it does in its package.
"""

import gzip
import hashlib
import json
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

CLIENT_DIR = Path(__file__).with_name("client")
COMPRESSED_TYPES = ("text/", "application/json", "image/svg+xml")
MEDIA_TYPES = {".js": "text/javascript", ".woff": "font/woff", ".woff2": "font/woff2"}


class AssetsError(Exception):
    """The files to serve are not there; its text says which command brings them."""


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file: its bytes as stored, whether they are gzip, and the hash of what they unpack to (hexadecimal)."""

    media_type: str
    stored: bytes
    is_gzip: bool
    sha256: str

    @classmethod
    def of(cls, name: str, content: bytes) -> Self:
        """Make an asset of a file's content, compressed if that is worth it."""
        media_type = media_type_of(name)
        is_gzip = media_type.startswith(COMPRESSED_TYPES)
        return cls(
            media_type=media_type,
            stored=gzip.compress(content, mtime=0) if is_gzip else content,
            is_gzip=is_gzip,
            sha256=hashlib.sha256(content).hexdigest(),
        )

    def plain(self) -> bytes:
        """The content for the rare client that takes no gzip."""
        return gzip.decompress(self.stored) if self.is_gzip else self.stored


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Files that refer to each other, under one hash."""

    digest: str
    files: Mapping[str, Asset]


def media_type_of(name: str) -> str:
    """Say a file's Content-Type by its name, the same on every machine."""
    media_type = MEDIA_TYPES.get(Path(name).suffix) or mimetypes.types_map.get(Path(name).suffix, "text/plain")
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type


class Client:
    """The page's own files, read again when one of them changes, so that editing needs no restart."""

    def __init__(self, folder: Path = CLIENT_DIR) -> None:
        self.folder = folder
        self._stamp: tuple[tuple[str, int], ...] = ()
        self._tree = Tree(digest="", files={})

    def tree(self) -> Tree:
        """The files as they are now."""
        paths = sorted(path for path in self.folder.iterdir() if path.is_file() and not path.name.startswith("."))
        stamp = tuple((path.name, path.stat().st_mtime_ns) for path in paths)
        if stamp != self._stamp:
            files = {path.name: Asset.of(path.name, path.read_bytes()) for path in paths}
            whole = "".join(f"{name}\0{asset.sha256}\n" for name, asset in files.items())
            self._tree = Tree(digest=hashlib.sha256(whole.encode()).hexdigest()[:16], files=files)
            self._stamp = stamp
        return self._tree


def read_widget(folder: Path) -> Tree:
    """Read the files that `frontend.widget` prepared.

    Raises:
        AssetsError: they are not there, or not whole.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        files = {
            name: Asset(
                media_type=media_type_of(name),
                stored=(folder / entry["stored"]).read_bytes(),
                is_gzip=entry["stored"] != name,
                sha256=entry["sha256"],
            )
            for name, entry in manifest["files"].items()
        }
        return Tree(digest=manifest["digest"], files=files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AssetsError(
            f"The sign-in widget is not in {folder} ({error}).\nPrepare it: python -m frontend.widget --out {folder}"
        ) from error
