"""Which program runs a Lambda runtime on this machine: interpreters by exact minor version, or ``bootstrap``."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from process_executor.settings import settings

PYTHON = re.compile(r"python(3\.(?:9|1[0-4]))")
PROVIDED = ("provided.al2023", "provided.al2")
PROBE = "import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix, sep='\\n')"
PROBE_ANSWER = ("version", "prefix")
PROBE_TIMEOUT_S = 10


class UnsupportedRuntime(Exception):
    """This machine cannot run the runtime; the message says what would."""


@dataclass(frozen=True)
class Runtime:
    """How to run a managed or a custom runtime.

    Attributes:
        name: as in ``CreateFunction``.
        python: the base interpreter, not one of a virtual environment: its standard library must be below ``prefix``.
        prefix: where that interpreter is installed; functions see it as ``/var/lang``.
        runtime_dir: the runtime client's folder; functions see it as ``/var/runtime``.
        version: the interpreter's minor version; empty for a custom runtime.
    """

    name: str
    python: Path
    prefix: Path
    runtime_dir: Path | None
    version: str = ""

    @property
    def is_python(self) -> bool:
        """Whether functions are Python, rather than a ``bootstrap`` program."""
        return bool(self.version)


@cache
def resolve(name: str) -> Runtime:
    """Find what runs ``name``.

    Raises:
        UnsupportedRuntime: nothing on this machine does.
    """
    if name in PROVIDED:
        base = probe(sys.executable)
        if base is None:
            raise UnsupportedRuntime(
                f"The runtime {name} needs LocalStack's own interpreter, and {sys.executable} fails."
            )
        return Runtime(name, base[1], base[2], None)
    match = PYTHON.fullmatch(name)
    if not match:
        raise UnsupportedRuntime(
            f"The runtime {name} needs Docker; the process executor runs python3.9 to python3.14,"
            f" provided.al2023 and provided.al2. Start LocalStack with LAMBDA_RUNTIME_EXECUTOR=docker to use it."
        )
    return find_python(name, match[1])


def find_python(name: str, version: str) -> Runtime:
    """Find the interpreter of exactly this minor version, and its runtime folder."""
    runtime_dir = settings().runtimes_dir / name
    if not (runtime_dir / "awslambdaric").is_dir():
        raise UnsupportedRuntime(
            f"The runtime {name} has no runtime client in {runtime_dir}. Install it with:"
            f" pip install --target {runtime_dir} --python-version {version} --only-binary=:all: awslambdaric boto3"
        )
    for candidate in candidates(name, version):
        found = probe(candidate)
        if found and found[0] == version:
            return Runtime(name, found[1], found[2], runtime_dir, version)
    raise UnsupportedRuntime(
        f"The runtime {name} needs a Python {version} interpreter and none was found."
        f" Install Python {version}, or name one with PROCESS_EXECUTOR_PYTHONS={name}=/path/to/python{version}."
    )


def candidates(name: str, version: str) -> Iterator[str]:
    """Interpreters worth asking: the configured one alone, else LocalStack's own, PATH, pyenv's."""
    configured = settings().pythons.get(name)
    if configured:
        yield configured
        return
    yield sys.executable
    for folder in os.get_exec_path():
        path = shutil.which(f"python{version}", path=folder)
        if path:
            yield path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from map(str, sorted(pyenv.glob(f"{version}.*/bin/python{version}"), reverse=True))


@cache
def probe(program: str) -> tuple[str, Path, Path] | None:
    """Ask an interpreter for its minor version and base installation; None if it does not run (a pyenv shim)."""
    try:
        # S603: the program is an interpreter that the operator configured or has on PATH.
        answer = subprocess.run(  # noqa: S603
            [program, "-I", "-S", "-c", PROBE],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
            env={},
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    if len(answer) != len(PROBE_ANSWER):
        return None  # it ran, but it is no Python
    version, prefix = answer[0], Path(answer[1])
    for python in (prefix / "bin" / f"python{version}", prefix / "bin" / "python3"):
        if python.exists():
            return version, python, prefix
    return None
