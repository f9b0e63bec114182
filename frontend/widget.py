"""Prepare the files of Okta's Sign-In Widget: ``python -m frontend.widget --out DIR [--npm NPM]``.

The widget's npm package is 104 MB unpacked, of which a page needs 9. This command fetches the one package (none of its
dependencies: they are inside its bundle), checks it against the hash in package-lock.json, keeps what a page needs,
compresses it, and puts it in DIR with a manifest. It needs Python's standard library and an npm, nothing else, so it
can run before anything is installed. Work that is already done is not done again.
"""

import argparse
import base64
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

PACKAGE = "@okta/okta-signin-widget"
LOCK_FILE = Path(__file__).with_name("package-lock.json")
MANIFEST = "manifest.json"

# What a page needs, under the package's dist/ (the labels are the widget's other languages, which it would
# otherwise ask Okta's CDN for; browsers of today take woff or woff2 and never the older font formats) ...
WANTED = (
    "js/okta-sign-in.min.js",
    "css/okta-sign-in.min.css",
    "font/*.woff",
    "font/*.woff2",
    "img/*",
    "labels/json/*.json",
)
# ... and what the licence asks to travel with it.
LICENCES = ("LICENSE", "THIRD-PARTY-NOTICES")
COMPRESSIBLE = (".css", ".js", ".json", ".svg", "LICENSE", "THIRD-PARTY-NOTICES")


class WidgetError(Exception):
    """The widget's files could not be prepared; its text says why and what mends it."""


@dataclass(frozen=True, kw_only=True)
class Locked:
    """The package as the lock file has it: `integrity` is a Subresource Integrity string (sha512-...)."""

    version: str
    integrity: str


def locked(lock_file: Path = LOCK_FILE) -> Locked:
    """Read which package, and which bytes of it, the lock file asks for."""
    try:
        entry = json.loads(lock_file.read_text())["packages"][f"node_modules/{PACKAGE}"]
        return Locked(version=entry["version"], integrity=entry["integrity"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WidgetError(f"{lock_file} does not lock {PACKAGE}: {error!r}. Restore it from git.") from error


def recipe() -> str:
    """Name this way of preparing the files, so that a change of it prepares them anew."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


def is_prepared(out: Path, package: Locked) -> bool:
    """Say whether `out` already holds what this command would put there."""
    try:
        manifest = json.loads((out / MANIFEST).read_text())
        return (
            manifest["integrity"] == package.integrity
            and manifest["recipe"] == recipe()
            and all((out / entry["stored"]).stat().st_size == entry["bytes"] for entry in manifest["files"].values())
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def fetch(package: Locked, *, npm: str, into: Path) -> Path:
    """Have npm download the package's archive.

    Raises:
        WidgetError: there is no such npm, or it failed; the text ends with what npm said.
    """
    command = [npm, "pack", f"{PACKAGE}@{package.version}", "--ignore-scripts", "--prefer-offline"]
    command += ["--loglevel=error", "--no-update-notifier", f"--pack-destination={into}"]
    try:
        # From a folder of its own, so that npm takes no project's settings.
        done = subprocess.run(command, cwd=into, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    except OSError as error:
        raise WidgetError(
            f"{npm!r} does not run ({error.strerror}). Install Node.js, or name an npm by --npm."
        ) from error
    archives = list(into.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-8:]
        raise WidgetError(
            f"npm could not fetch {PACKAGE} {package.version} (exit status {done.returncode}). It said:\n  "
            + "\n  ".join(said)
            + "\nCheck the network and npm's registry setting, then run the same command again."
        )
    return archives[0]


def check(archive: Path, package: Locked) -> None:
    """Compare the archive's hash with the lock file's.

    Raises:
        WidgetError: they differ.
    Source: Subresource Integrity, section 3.1.
    """
    algorithm, _, expected = package.integrity.partition("-")
    if algorithm != "sha512":
        raise WidgetError(f"The lock file's integrity of {PACKAGE} is {algorithm}, not sha512. Restore it from git.")
    actual = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if actual != expected:
        raise WidgetError(
            f"What npm fetched is not the {PACKAGE} {package.version} of package-lock.json:\n"
            f"  locked  sha512-{expected}\n  fetched sha512-{actual}\n"
            "Nothing was kept. Find out where npm gets its packages from before you try again."
        )


def wanted_files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Read the files a page needs from the archive, as their names (below dist/) and contents."""
    with tarfile.open(archive) as package:
        for member in package:
            parts = PurePosixPath(member.name).parts[1:]  # the first is "package"
            if not member.isfile() or not parts or ".." in parts:
                continue
            name = "/".join(parts[1:] if parts[0] == "dist" else parts)
            patterns = WANTED if parts[0] == "dist" else LICENCES
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                content = package.extractfile(member)
                if content is None:  # not for a regular file; tells the type checker
                    continue
                yield name, content.read()


def unpack(archive: Path, package: Locked, out: Path) -> int:
    """Write the wanted files and the manifest to `out`, and say how many bytes they take.

    Texts are stored compressed only: nearly every browser takes them so, and the server unpacks them for the rest.
    """
    files: dict[str, dict[str, object]] = {}
    for name, content in sorted(wanted_files(archive)):
        compressed = name.endswith(COMPRESSIBLE)
        stored = f"{name}.gz" if compressed else name
        body = gzip.compress(content, compresslevel=9, mtime=0) if compressed else content
        target = out / stored
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(body)
        files[name] = {"stored": stored, "bytes": len(body), "sha256": hashlib.sha256(content).hexdigest()}
    missing = [pattern for pattern in (*WANTED, *LICENCES) if not any(fnmatchcase(name, pattern) for name in files)]
    if missing:
        raise WidgetError(f"{PACKAGE} {package.version} has no {', '.join(missing)}. Pin a version of it that has.")
    digest = hashlib.sha256(json.dumps([[name, files[name]["sha256"]] for name in files]).encode()).hexdigest()
    manifest = {
        "package": PACKAGE,
        "version": package.version,
        "integrity": package.integrity,
        "recipe": recipe(),
        "digest": digest[:16],
        "files": files,
    }
    (out / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def put_in_place(prepared: Path, out: Path) -> None:
    """Move the finished folder to where the server looks for it; what was there before goes last."""
    prepared.chmod(0o755)
    former = prepared.with_name(f"{prepared.name}.former")
    if out.exists():
        out.rename(former)
    prepared.rename(out)
    shutil.rmtree(former, ignore_errors=True)


def prepare(out: Path, *, npm: str = "npm", force: bool = False) -> str:
    """Bring the widget's files to `out` unless they are there, and say in a sentence what was done.

    Raises:
        WidgetError: they could not be fetched, are not what is locked, or could not be written.
    """
    began = time.monotonic()
    package = locked()
    out = out.absolute()
    if not force and is_prepared(out, package):
        return f"{PACKAGE} {package.version} is already in {out}."
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target, so that the last step is a rename within one file system.
        with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent, ignore_cleanup_errors=True) as folder:
            download, prepared = Path(folder, "download"), Path(folder, "prepared")
            download.mkdir()
            prepared.mkdir()
            archive = fetch(package, npm=npm, into=download)
            check(archive, package)
            size = unpack(archive, package, prepared)
            put_in_place(prepared, out)
    except (OSError, tarfile.TarError) as error:
        raise WidgetError(f"The widget's files could not be written to {out}: {error}.") from error
    seconds = time.monotonic() - began
    return f"{PACKAGE} {package.version} is in {out}: {size / 1e6:.1f} MB, checked and compressed in {seconds:.1f} s."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0 when the files are there, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m frontend.widget",
        description="Fetch Okta's Sign-In Widget, check it against package-lock.json, and keep what the page needs.",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(os.environ.get("WIDGET_DIR", ".gatehouse/widget")),
        help="where to put the files (default: WIDGET_DIR, else %(default)s)",
    )
    parser.add_argument("--npm", default="npm", help="the npm to fetch with (default: the one on PATH)")
    parser.add_argument("--force", action="store_true", help="prepare the files even if they are there")
    given = parser.parse_args(arguments)
    try:
        sys.stdout.write(prepare(given.out, npm=given.npm, force=given.force) + "\n")
    except WidgetError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
