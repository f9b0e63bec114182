"""Build the function's zip: the same bytes from the same commit, for either architecture.

    python lambda/build.py --dependencies DIR --out FILE
    python lambda/build.py --architecture arm64 --out FILE --template FILE

`--dependencies` names a folder that holds the packages of messages/requirements.txt, unpacked. Without it they are
installed into a temporary folder for `--architecture`, with `uv` or, where that is not to be had, `pip`; only
wheels, only with their hashes. `--template` also writes a copy of template.yaml that points at the zip, which is
what `sam build` would leave for `sam deploy`.

Entries are sorted and carry no time and no owner. Modules are shipped compiled, bound to no time and no check of their
source ("unchecked-hash"), because a function's files never change; so a cold start compiles nothing.
"""

import argparse
import importlib.util
import marshal
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.machinery import SOURCE_SUFFIXES
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "messages" / "messages"
REQUIREMENTS = HERE / "messages" / "requirements.txt"
TEMPLATE = HERE / "template.yaml"

PYTHON_VERSION = "3.13"
CACHE_TAG = "cpython-313"
# What uv and pip call the platform of each architecture: Lambda's python3.13 runs on Amazon Linux 2023 (glibc 2.34).
PLATFORMS = {"x86_64": "x86_64-manylinux_2_28", "arm64": "aarch64-manylinux_2_28"}
PIP_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")  # pip does not take the older ones along
PIP_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}

TASK_ROOT = "/var/task"
UNCHECKED_HASH = 0b01
COMPRESSION = 4  # level 6 takes twice as long and saves 3 %
TIME = (1980, 1, 1, 0, 0, 0)
READABLE = 0o100644 << 16
SKIPPED_FOLDERS = frozenset({"__pycache__", "bin", "tests", "include"})
SKIPPED_SUFFIXES = frozenset({".pyi", ".pyc", ".h", ".lock"})
# What names the installer, its caches or this machine, and jwcrypto's own tests. The rest of a package's metadata is
# kept, its licences above all.
SKIPPED_FILES = frozenset(
    {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json", "tests.py"}
)


class BuildError(Exception):
    """The zip cannot be built; the message is a sentence with the next step."""


def install(architecture: str, folder: Path) -> None:
    """Install the function's packages for an architecture, whatever this machine is.

    Raises:
        BuildError: the installer failed; its last lines are in the message.
    """
    uv = os.environ.get("UV") or shutil.which("uv")
    common = ["--quiet", "--require-hashes", "--only-binary", ":all:", "--target", str(folder)]
    if uv:
        command = [uv, "pip", "install", *common, "--python-version", PYTHON_VERSION]
        command += ["--python-platform", PLATFORMS[architecture], "--no-config"]
    else:
        command = [sys.executable, "-m", "pip", "install", *common, "--no-compile", "--no-deps"]
        command += ["--python-version", PYTHON_VERSION]
        for platform in PIP_PLATFORMS:
            command += ["--platform", f"{platform}_{PIP_MACHINES[architecture]}"]
        command += ["--implementation", "cp", "--disable-pip-version-check"]
    done = subprocess.run(  # noqa: S603 - nothing in the command comes from outside
        [*command, "--requirement", str(REQUIREMENTS)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise BuildError(f"The function's packages could not be installed.\n{done.stderr.strip()}")


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder that belong in the zip, with their names in it."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if (
            path.is_file()
            and SKIPPED_FOLDERS.isdisjoint(name.parts[:-1])
            and path.suffix not in SKIPPED_SUFFIXES
            and path.name not in SKIPPED_FILES
            and not path.name.startswith(".")
        ):
            yield name.as_posix(), path


def compiled(name: str, source: bytes, kept: Path | None) -> bytes:
    """The module compiled, as a file of bytecode that is loaded without looking at its source.

    Args:
        name: of the module's file in the zip.
        source: of the module.
        kept: where an earlier build may have left the same, and where this one leaves it; None for nowhere.
    """
    head = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH.to_bytes(4, "little") + importlib.util.source_hash(source)
    if kept and kept.is_file():
        earlier = kept.read_bytes()
        if earlier.startswith(head):
            return earlier
    code = compile(source, f"{TASK_ROOT}/{name}", "exec", dont_inherit=True, optimize=0)
    content = head + marshal.dumps(code)
    if kept:
        keep(kept, content)
    return content


def keep(path: Path, content: bytes) -> None:
    """Leave a file for the next build, whole or not at all; a folder that cannot be written to is left alone."""
    if not os.access(path.parent.parent, os.W_OK):
        return
    path.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).replace(path)


def entries(dependencies: Path) -> dict[str, bytes]:
    """Every file of the zip by its name, sorted."""
    found: dict[str, bytes] = {}
    for prefix, folder in (("", dependencies), ("messages/", SOURCE)):
        for relative, path in files_of(folder):
            name = prefix + relative
            content = found[name] = path.read_bytes()
            if path.suffix in SOURCE_SUFFIXES:
                # Only packages are worth keeping compiled: the function's own modules are few, and often edited.
                kept = path.parent / "__pycache__" / f"{path.stem}.kept.pyc" if folder is dependencies else None
                parent, _, _ = name.rpartition("/")
                found[f"{parent}/__pycache__/{path.stem}.{CACHE_TAG}.pyc".lstrip("/")] = compiled(name, content, kept)
    return dict(sorted(found.items()))


def write_zip(out: Path, dependencies: Path) -> None:
    """Write the zip, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION) as archive:
        for name, content in entries(dependencies).items():
            entry = zipfile.ZipInfo(name, TIME)
            entry.create_system = 3
            entry.external_attr = READABLE
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    part.replace(out)


def write_template(out: Path, archive: Path) -> None:
    """Write template.yaml with its CodeUri pointing at the zip."""
    text, replaced = re.subn(r"CodeUri: .+", f"CodeUri: {os.path.relpath(archive, out.parent)}", TEMPLATE.read_text())
    if replaced != 1:
        raise BuildError(f"{TEMPLATE.name} has {replaced} lines with CodeUri where it should have one.")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)


def build(arguments: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    if ".".join(map(str, sys.version_info[:2])) != PYTHON_VERSION:
        raise BuildError(f"Bytecode for Python {PYTHON_VERSION} needs Python {PYTHON_VERSION}; this is {sys.version}.")
    if arguments.dependencies:
        if not (arguments.dependencies / "jwcrypto").is_dir():
            raise BuildError(
                f"{arguments.dependencies} does not hold the packages of {REQUIREMENTS.name}. "
                "Install them there, or leave --dependencies out."
            )
        write_zip(arguments.out, arguments.dependencies)
    else:
        with tempfile.TemporaryDirectory() as folder:
            install(arguments.architecture, Path(folder))
            write_zip(arguments.out, Path(folder))
    if arguments.template:
        write_template(arguments.template, arguments.out)


def main() -> int:
    """Build, or say in one sentence why not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the zip to write")
    parser.add_argument("--dependencies", type=Path, help="a folder with the function's packages, unpacked")
    parser.add_argument("--architecture", choices=PLATFORMS, default="x86_64", help="where the function will run")
    parser.add_argument("--template", type=Path, help="also write template.yaml, pointing at the zip")
    try:
        build(parser.parse_args())
    except BuildError as error:
        print(f"lambda/build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
