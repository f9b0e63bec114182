"""Which program runs a Lambda runtime on this machine: interpreters of exactly its version, or ``bootstrap``."""

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
NODE = re.compile(r"nodejs([1-9]\d)\.x")
PROVIDED = ("provided.al2023", "provided.al2")
PROBE = "import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix, sep='\\n')"
PROBE_ANSWER = ("version", "prefix")
PROBE_TIMEOUT_S = 10
NODE_WITHOUT_CALLBACKS = 24
BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
STARTED = Path(__file__).with_name("started.py")
SHOWN_BOOTSTRAP = "/var/bootstrap.py"  # /var/runtime is a folder of the machine's, to which nothing is added
NODE_CLIENT = Path("node_modules/aws-lambda-ric")
NODE_PROGRAM = Path(__file__).parent / "nodejs/index.mjs"
NODE_PLACES = NODE_PROGRAM.with_name("places.cjs")


class UnsupportedRuntime(Exception):
    """This machine cannot run the runtime; the message says what would."""


@dataclass(frozen=True)
class Runtime:
    """How to run a managed or a custom runtime.

    Attributes:
        name: as in ``CreateFunction``.
        python: the interpreter of the nursery, and of Python functions; the base one, not one of a virtual
            environment: its standard library must be below ``prefix``.
        prefix: where that interpreter is installed.
        runtime_dir: the runtime client's folder; None for a custom runtime.
        version: the interpreter's version, ``3.13`` or ``22``; empty for a custom runtime.
        node: the interpreter of JavaScript functions.
    """

    name: str
    python: Path
    prefix: Path
    runtime_dir: Path | None = None
    version: str = ""
    node: Path | None = None

    @property
    def is_python(self) -> bool:
        """Whether functions run in the nursery's own interpreter, rather than in another program."""
        return bool(self.version) and self.node is None

    @property
    def interpreter(self) -> Path | None:
        """What runs functions; None where they bring it themselves."""
        return self.node or (self.python if self.version else None)

    @property
    def lang(self) -> Path | None:
        """Where that is installed; functions see it as ``/var/lang``."""
        return self.node.parents[1] if self.node else self.prefix if self.version else None

    def folders(self) -> dict[str, Path]:
        """What functions find at AWS's places of the runtime: folders and files of this machine by those."""
        if self.runtime_dir is None or self.lang is None:
            return {}
        if self.node is None:
            return {"/var/lang": self.lang, "/var/runtime": self.runtime_dir, SHOWN_BOOTSTRAP: BOOTSTRAP}
        modules = self.runtime_dir / "node_modules"
        return {"/var/lang": self.lang, "/var/runtime/node_modules": modules, "/var/runtime/index.mjs": NODE_PROGRAM}


@cache
def resolve(name: str) -> Runtime:
    """Find what runs ``name``.

    Raises:
        UnsupportedRuntime: nothing on this machine does.
    """
    if name in PROVIDED:
        _, python, prefix = own_python(name)
        return Runtime(name, python, prefix)
    if match := PYTHON.fullmatch(name):
        return find_python(name, match[1])
    if match := NODE.fullmatch(name):
        return find_node(name, match[1])
    raise UnsupportedRuntime(
        f"The runtime {name} needs Docker; the process executor runs python3.9 to python3.14, nodejs20.x and later,"
        f" provided.al2023 and provided.al2. Start LocalStack with LAMBDA_RUNTIME_EXECUTOR=docker to use it."
    )


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
        f" Install Python {version}, or name one with PROCESS_EXECUTOR_INTERPRETERS={name}=/path/to/python{version}."
    )


def find_node(name: str, version: str) -> Runtime:
    """Find the Node.js of exactly this major version, and its runtime folder."""
    runtime_dir = settings().runtimes_dir / name
    # AWS's client from version 4 on takes no handlers with callbacks, as nodejs24.x does.
    client = "aws-lambda-ric@3" if int(version) < NODE_WITHOUT_CALLBACKS else "aws-lambda-ric"
    install = f"npm install --prefix {runtime_dir} --ignore-scripts {client} node-linux-{npm_machine()}@{version}"
    if not (runtime_dir / NODE_CLIENT).is_dir():
        raise UnsupportedRuntime(
            f"The runtime {name} has no runtime client in {runtime_dir}. Install it, and Node.js with it: {install}"
        )
    for candidate in node_candidates(name, version, runtime_dir):
        if probe_node(candidate) == version:
            _, python, prefix = own_python(name)
            return Runtime(name, python, prefix, runtime_dir, version, Path(candidate).resolve())
    raise UnsupportedRuntime(
        f"The runtime {name} needs Node.js {version} and none was found. Install it: {install}"
        f" -- or name one with PROCESS_EXECUTOR_INTERPRETERS={name}=/path/to/bin/node."
    )


def own_python(name: str) -> tuple[str, Path, Path]:
    """LocalStack's own interpreter, whose nursery starts the programs of ``name``."""
    base = probe(sys.executable)
    if base is None:
        raise UnsupportedRuntime(f"The runtime {name} needs LocalStack's own interpreter, and {sys.executable} fails.")
    return base


def npm_machine() -> str:
    """This machine's architecture as npm's packages of Node.js are called."""
    return {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def node_candidates(name: str, version: str, runtime_dir: Path) -> Iterator[str]:
    """Node.js worth asking: the configured one alone, else the runtime folder's, PATH's, nvm's."""
    configured = settings().interpreters.get(name)
    if configured:
        yield configured
        return
    yield from map(str, runtime_dir.glob("node_modules/node-*/bin/node"))
    for folder in os.get_exec_path():
        path = shutil.which("node", path=folder)
        if path:
            yield path
    nvm = Path(os.environ.get("NVM_DIR") or Path.home() / ".nvm") / "versions/node"
    yield from map(str, sorted(nvm.glob(f"v{version}.*/bin/node"), reverse=True))


@cache
def probe_node(program: str) -> str | None:
    """Ask a Node.js for its major version; None if it does not run."""
    answer = ask(program, "--version")
    return answer[0].lstrip("v").partition(".")[0] if answer else None


def candidates(name: str, version: str) -> Iterator[str]:
    """Interpreters worth asking: the configured one alone, else LocalStack's own, PATH, pyenv's."""
    configured = settings().interpreters.get(name)
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
    answer = ask(program, "-I", "-S", "-c", PROBE)
    if len(answer) != len(PROBE_ANSWER):
        return None  # it ran, but it is no Python
    version, prefix = answer[0], Path(answer[1])
    for python in (prefix / "bin" / f"python{version}", prefix / "bin" / "python3"):
        if python.exists():
            return version, python, prefix
    return None


def ask(program: str, *arguments: str) -> list[str]:
    """The lines a program says; none if it does not run."""
    try:
        # S603: the program is an interpreter that the operator configured or has on PATH.
        return subprocess.run(  # noqa: S603
            [program, *arguments],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
            env={},
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []
