"""Set-up: the environments, the function's dependencies and the widget's files under `.gatehouse/`.

Needs nothing but Python 3.13's standard library. Each piece is made once and again when what it is made from changes;
a piece that was interrupted carries no stamp and is made anew.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.commands import end_running, run
from testbed.errors import StackError
from testbed.progress import Progress
from testbed.settings import ROOT, Settings

FUNCTION_PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
FUNCTION_NODES = ("nodejs20.x", "nodejs22.x", "nodejs24.x")
REGISTRY_MEND = "check the network and the package registry, then run the same command again"


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One thing that set-up makes.

    Attributes:
        name: also the name of its stamp.
        target: what it makes, under `.gatehouse/`.
        inputs: files, or folders of files, it is made from.
        make: makes it, from nothing.
        after: pieces that must be there first.
        text: what else it is made from.
    """

    name: str
    title: str
    target: Path
    inputs: tuple[Path, ...]
    make: Callable[[], None]
    after: tuple[str, ...] = ()
    text: str = ""

    def digest(self) -> str:
        """Changes when an input or this interpreter changes."""
        return digest(*self.inputs, text=f"{sys.version} {platform.machine()}{self.text}")


def digest(*paths: Path, text: str = "") -> str:
    """SHA-256 over files (and the files in folders) by name and content; bytecode and tests do not count."""
    found = hashlib.sha256(text.encode())
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and not {"__pycache__", "tests", "node_modules"} & set(file.relative_to(path).parts):
                found.update(f"\0{os.path.relpath(file, ROOT)}\0".encode())
                found.update(file.read_bytes())
    return found.hexdigest()


class Setup:
    """Knows every piece and how to make it."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._home = settings.home
        self._progress = progress
        self._temporary = self._home / "tmp"
        self._pieces = {piece.name: piece for piece in self._all()}

    @property
    def stack_python(self) -> Path:
        """The interpreter that has the testbed's, the issuer's and the page server's dependencies."""
        return self._home / "env/stack/bin/python"

    def missing(self, *names: str) -> list[Piece]:
        """Pieces that are absent or out of date, those they need included, in order."""
        wanted: list[Piece] = []
        for name in names:
            piece = self._pieces[name]
            wanted += [needed for needed in self.missing(*piece.after) if needed not in wanted]
            stamp = self._stamp(piece)
            done = piece.target.exists() and stamp.exists() and stamp.read_text() == piece.digest()
            if not done and piece not in wanted:
                wanted.append(piece)
        return wanted

    def ensure(self, *names: str) -> None:
        """Make what is missing, two pieces at a time.

        Raises:
            StackError: a piece could not be made; the others keep what they have.
        """
        if not self.missing(*names):
            return
        with self._alone(), tempfile.TemporaryDirectory(dir=self._home, prefix="tmp.") as temporary:
            self._temporary = Path(temporary)
            self._make(self.missing(*names))

    def _make(self, pieces: list[Piece]) -> None:
        waiting = list(pieces)
        running: dict[Future[None], Piece] = {}
        with ThreadPoolExecutor(2) as pool:
            try:
                while waiting or running:
                    unmade = {piece.name for piece in [*waiting, *running.values()]}
                    for piece in [p for p in waiting if not unmade & set(p.after)]:
                        waiting.remove(piece)
                        running[pool.submit(self._make_one, piece)] = piece
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        running.pop(future)
                        future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                end_running()
                raise

    def _make_one(self, piece: Piece) -> None:
        stamp = self._stamp(piece)
        stamp.unlink(missing_ok=True)
        with self._progress.step(piece.title):
            wanted = piece.digest()
            piece.target.parent.mkdir(parents=True, exist_ok=True)
            piece.make()
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.write_text(wanted)

    def _stamp(self, piece: Piece) -> Path:
        return self._home / "stamps" / piece.name

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the set-up's lock: two commands at once must not make the same piece."""
        self._home.mkdir(parents=True, exist_ok=True)
        with (self._home / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._progress.say("Another command is setting up here: waiting for it.")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _all(self) -> list[Piece]:
        home = self._home
        return [
            Piece(
                name="uv",
                title="uv, the package installer",
                target=home / "env/uv",
                inputs=(ROOT / "testbed/requirements-uv.txt",),
                make=self._make_uv,
            ),
            self._environment(
                "stack",
                "Issuer, page server and deployer",
                *(ROOT / room / "requirements.txt" for room in ("mock_idp", "frontend", "testbed")),
            ),
            self._localstack("localstack", "LocalStack with the process executor", "localstack"),
            self._localstack("oldest", "The oldest LocalStack, for tests", "localstack/oldest"),
            Piece(
                name="runtime",
                title="The functions' Python runtimes",
                target=home / "runtimes",
                inputs=(ROOT / "localstack/runtime/requirements.txt",),
                make=self._make_runtimes,
                after=("uv",),
                text=" ".join(other_pythons()),
            ),
            Piece(
                name="function",
                title="The function's dependencies",
                target=home / "function",
                inputs=(ROOT / "lambda/messages/requirements.txt",),
                make=lambda: self._make_folder(home / "function", "lambda/messages", "--compile-bytecode"),
                after=("uv",),
            ),
            Piece(
                name="widget",
                title="Okta Sign-In Widget",
                target=home / "widget",
                inputs=(ROOT / "frontend/package-lock.json", ROOT / "frontend/widget.py"),
                make=self._make_widget,
                after=_npm_pieces(),
            ),
            *(self._node_runtime(name) for name in FUNCTION_NODES),
            self._environment("node", "Node.js for npm", ROOT / "testbed/requirements-node.txt"),
            self._environment("dev", "Test tools and linters", ROOT / "requirements-dev.txt"),
            Piece(
                name="conformance",
                title="What LocalStack's own tests need",
                target=home / "conformance",
                inputs=(ROOT / "localstack/conformance/requirements.txt",),
                make=lambda: self._make_folder(home / "conformance", "localstack/conformance"),
                after=("uv",),
            ),
            self._environment("peers", "Peers for the benchmarks", ROOT / "benchmarks/requirements.txt"),
        ]

    def _environment(self, name: str, title: str, *locks: Path) -> Piece:
        target = self._home / "env" / name

        def make() -> None:
            self._venv(target)
            # Services start often; of the tools' 7,000 modules few are imported, and compiling all takes half a minute.
            compiled = ["--compile-bytecode"] if name == "stack" else []
            self._install(locks, "--python", str(target / "bin/python"), *compiled)

        return Piece(name=name, title=title, target=target, inputs=locks, make=make, after=("uv",))

    def _make_runtimes(self) -> None:
        """One folder for each version of Python that this machine can run functions with.

        The stack's own is compiled here; the process executor compiles the others when a function first needs them.
        """
        for old in (self._home / "runtimes").glob("python*"):
            shutil.rmtree(old)
        own = "{}.{}".format(*sys.version_info)
        self._make_folder(self._home / f"runtimes/python{own}", "localstack/runtime", "--compile-bytecode")
        for version in other_pythons():
            binary = ("--python-version", version, "--only-binary", ":all:")
            self._make_folder(self._home / f"runtimes/python{version}", "localstack/runtime", *binary)

    def _localstack(self, name: str, title: str, room: str) -> Piece:
        """A release of LocalStack in an environment of its own, and the process executor in it."""
        target, lock = self._home / "env" / name, ROOT / room / "requirements.txt"
        executor = ROOT / "localstack/process_executor"

        def make() -> None:
            self._venv(target)
            where = ("--python", target / "bin/python")
            self._install((lock,), *map(str, where), "--compile-bytecode")
            self._run(
                [self._uv(), "pip", "install", "--quiet", "--no-deps", "--offline", *where, "--editable", executor],
                code="install_failed",
                sentence="The process executor could not be installed into LocalStack's environment.",
                mend="run the same command again; `make doctor` looks for causes",
            )

        return Piece(
            name=name,
            title=title,
            target=target,
            inputs=(lock, executor / "pyproject.toml"),
            make=make,
            after=("uv",),
        )

    def _node_runtime(self, name: str) -> Piece:
        """Node.js and AWS's client for functions in JavaScript; nothing is compiled, so none of its build tools."""
        folder, packages = self._home / "runtimes" / name, ROOT / "localstack/runtime" / name

        def make() -> None:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(packages, folder)
            self._npm(
                ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--prefix", folder],
                sentence=f"The functions' runtime {name} could not be installed.",
            )

        return Piece(
            name=name,
            title=f"The functions' runtime {name}",
            target=folder,
            inputs=(packages,),
            make=make,
            after=("runtime", *_npm_pieces()),
        )

    def _make_folder(self, folder: Path, room: str, *how: str) -> None:
        """Install a room's packages into a folder of their own."""
        shutil.rmtree(folder, ignore_errors=True)
        self._install((ROOT / room / "requirements.txt",), "--python", sys.executable, "--target", str(folder), *how)

    def _uv(self) -> str:
        return shutil.which("uv") or str(self._home / "env/uv/bin/uv")

    def _run(self, command: Sequence[str | Path], *, environment: dict[str, str] | None = None, **words: str) -> None:
        """Run a command whose temporary files go away with this set-up."""
        temporary = {"TMPDIR": str(self._temporary)}
        run(command, environment=temporary | (environment or {}), **words)

    def _venv(self, target: Path) -> None:
        self._run(
            [self._uv(), "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, target],
            code="setup_failed",
            sentence=f"The environment {target.name} could not be created.",
            mend="run the same command again; `make doctor` looks for causes",
        )

    def _install(self, locks: tuple[Path, ...], *where: str) -> None:
        words = [word for lock in locks for word in ("-r", str(lock))]
        names = ", ".join(str(lock.relative_to(ROOT)) for lock in locks)
        self._run(
            [
                self._uv(),
                "pip",
                "install",
                "--quiet",
                "--require-hashes",
                *where,
                *words,
            ],
            code="install_failed",
            sentence=f"The packages of {names} could not be installed.",
            mend=REGISTRY_MEND,
        )

    def _make_uv(self) -> None:
        target = self._home / "env/uv"
        if shutil.which("uv"):
            target.mkdir(parents=True, exist_ok=True)
            return
        shutil.rmtree(target, ignore_errors=True)
        try:
            import ensurepip  # noqa: F401, PLC0415 -- only asked whether it is there: Debian splits it off
        except ModuleNotFoundError:
            install_debian_packages("python3-venv")
        self._run(
            [sys.executable, "-m", "venv", target],
            code="no_venv",
            sentence="This Python cannot create a virtual environment.",
            mend="install its venv module (Debian: apt-get install python3-venv) or uv, then run the command again",
        )
        self._run(
            [
                *(target / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *("--require-hashes", "-r", ROOT / "testbed/requirements-uv.txt"),
            ],
            code="install_failed",
            sentence="uv, the package installer, could not be installed.",
            mend=REGISTRY_MEND,
        )

    def _make_widget(self) -> None:
        self._run(
            [sys.executable, "-m", "frontend.widget", "--out", self._home / "widget", "--npm", self._npm_program()],
            environment=self._npm_environment(),
            code="install_failed",
            sentence="The Okta Sign-In Widget could not be fetched.",
            mend=REGISTRY_MEND,
        )

    def _npm(self, words: list[str | Path], *, sentence: str) -> None:
        """Run npm, the machine's or set-up's own."""
        self._run(
            [self._npm_program(), *words],
            environment=self._npm_environment(),
            code="install_failed",
            sentence=sentence,
            mend=REGISTRY_MEND,
        )

    def _npm_program(self) -> str | Path:
        return shutil.which("npm") or self._home / "env/node/bin/npm"

    def _npm_environment(self) -> dict[str, str]:
        """With the Node.js that set-up's own npm runs on."""
        tools = self._home / "env/node/bin"
        return {} if shutil.which("npm") else {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}


def _npm_pieces() -> tuple[str, ...]:
    """What must be made before npm can be used."""
    return () if shutil.which("npm") else ("node",)


def other_pythons() -> list[str]:
    """The minor versions of Python, other than this one, that functions could run with: on PATH, or pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    others = [version for version in FUNCTION_PYTHONS if version != "{}.{}".format(*sys.version_info)]
    return [
        version
        for version in others
        if shutil.which(f"python{version}") or any(pyenv.glob(f"{version}.*/bin/python{version}"))
    ]


def install_debian_packages(*names: str) -> None:
    """Install system packages where that is possible without asking anybody: as root on Debian and its kin.

    Raises:
        StackError: it is not (`missing_package`), or apt-get failed.
    """
    words = " ".join(names)
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise StackError(
            code="missing_package",
            sentence=f"This machine lacks {words}.",
            mend=f"sudo apt-get install -y {words} (or your system's equivalent), then run the same command again",
        )
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *names]):
        run(
            ["apt-get", *command],
            environment={"DEBIAN_FRONTEND": "noninteractive"},
            code="missing_package",
            sentence=f"{words} could not be installed with apt-get.",
            mend=f"apt-get install -y {words}, then run the same command again",
        )
