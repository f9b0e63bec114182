"""Where a function finds its folders, and what stands in for a mount namespace where there is none."""

import json
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from process_executor import nursery, places, runtimes
from process_executor.answers import Answers
from process_executor.runtimes import Runtime

TASK_ROOT = "/var/task"
# Those of the function's variables that process 1 has, where it has some of its own.
INIT_VARIABLES = (
    *("PATH", "LD_LIBRARY_PATH", "LANG", "TZ", "_HANDLER", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_REGION"),
    *("AWS_DEFAULT_REGION", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_FUNCTION_NAME"),
    *("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE"),
    *("AWS_XRAY_CONTEXT_MISSING", "AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_PORT"),
)


class Paths:
    """Where a function finds its folders: at AWS's places in a mount namespace, else at their real ones.

    Attributes:
        places: the real folder for each of AWS's, where they differ.
        limits: of resources, by name in the module of that name.
        shown_limits: those that are told where another stands in for what a mount namespace would do.
    """

    def __init__(
        self, *, runtime: Runtime, task_dir: Path, opt_dir: Path | None, tmp_dir: Path | None, answers: Answers
    ) -> None:
        self.answers = answers
        self.limits = nursery.LIMITS | {"RLIMIT_CORE": answers.core_bytes}
        self.shown_limits = self.limits | {"RLIMIT_FSIZE": resource.RLIM_INFINITY}
        self.runtime = runtime
        self.task_dir = task_dir
        self.opt_dir = opt_dir
        self.tmp_dir = tmp_dir
        self.staged = tmp_dir is None
        self.task = TASK_ROOT if self.staged else str(task_dir)
        self.places = {} if self.staged else self._places()
        self._shown = list(self._real_and_shown())

    def rewrite(self, data: bytes) -> bytes:
        """Turn real paths in what a function says into AWS's; none are there in a mount namespace."""
        for real, shown in self._shown:
            data = data.replace(real, shown)
        return data

    def _real_and_shown(self) -> Iterator[tuple[bytes, bytes]]:
        if self.staged:
            return
        yield os.fsencode(self.task_dir), TASK_ROOT.encode()
        yield os.fsencode(str(self.tmp_dir)), b"/tmp"
        yield os.fsencode(self.places["/opt"]), b"/opt"
        yield os.fsencode(self.beside("bin")), b"/var/lang/bin"
        yield os.fsencode(self.beside("bootstrap.py")), runtimes.SHOWN_BOOTSTRAP.encode()
        if self.runtime.node:  # before the runtime's folder, in which it may be
            yield os.fsencode(self.runtime.node), b"/var/lang/bin/node"
            yield os.fsencode(self.places["/var/runtime"]), b"/var/runtime"
        for shown, real in self.runtime.folders().items():
            if shown != "/var/lang":  # which may be /usr
                yield os.fsencode(real), shown.encode()
        if self.runtime.is_python:
            for part in ("lib", "bin"):
                yield os.fsencode(self.runtime.prefix / part / "python"), f"/var/lang/{part}/python".encode()

    def variables(self, variables: dict[str, str], *, executed: bool) -> dict[str, str]:
        """The environment with folders as the function finds them.

        Args:
            variables: as on AWS.
            executed: whether it is a program's, and not that of an interpreter that goes on.
        """
        # AWS's bootstrap.py sets it; a wrapper does not find it.
        default = {"PYTHONPATH": "/var/runtime"} if self.runtime.is_python and not executed else {}
        shown = default | variables
        if self.staged:
            return shown
        real = {name: self.told(value) for name, value in shown.items()} if executed else {}
        real |= {"LAMBDA_TASK_ROOT": self.task}
        path = self.told(shown["PATH"])
        if self.runtime.interpreter:
            real |= {"PWD": self.task}
            path = path.replace("/var/lang/bin", str(self.beside("bin")))
        real |= {name: self.real_list(shown[name]) for name in ("PYTHONPATH", "NODE_PATH") if name in shown}
        if self.runtime.node:
            required = f'--require="{self.beside("places.cjs")}"'
            real |= {"NODE_OPTIONS": f"{required} {shown.get('NODE_OPTIONS', '')}".rstrip()}
        temporary = {"TMPDIR": str(self.tmp_dir)} if executed else {}
        return temporary | shown | real | {"PATH": path, "LD_LIBRARY_PATH": self.told(shown["LD_LIBRARY_PATH"])}

    def told(self, variable: str) -> str:
        """A program's variable with the real folders for AWS's, also in a list of them."""
        told = {shown: real for shown, real in self.places.items() if shown in places.TOLD_PROGRAMS}
        return ":".join(real_path(path, told) for path in variable.split(":"))

    def changed(self, variables: dict[str, str]) -> dict[str, tuple[str, str | None]]:
        """The variables that only programs have with real folders: theirs and the function's, None for none."""
        theirs = {"TMPDIR": str(self.tmp_dir)} | {name: self.told(value) for name, value in variables.items()}
        kept = ("LAMBDA_TASK_ROOT", "PWD", "PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "NODE_PATH", "NODE_OPTIONS")
        return {
            name: (value, variables.get(name))
            for name, value in theirs.items()
            if name not in kept and value != variables.get(name)
        }

    def _places(self) -> dict[str, str]:
        opt = self.opt_dir or self.beside("opt")
        found = {TASK_ROOT: str(self.task_dir), "/opt": str(opt), "/tmp": str(self.tmp_dir)}  # noqa: S108  # its own
        found[nursery.ENTRYPOINT] = str(self.beside("entrypoint"))
        found["/dev/shm"] = str(self.beside("nowhere"))  # noqa: S108  # AWS has none
        found |= {shown: str(real) for shown, real in self.runtime.folders().items()}
        if not self.answers.init_has_variables:
            found["/proc/1/environ"] = str(self.beside("environ"))
        if self.runtime.is_python:
            found[runtimes.SHOWN_BOOTSTRAP] = str(self.beside("bootstrap.py"))
        if self.runtime.node:
            found["/var/runtime/index.mjs"] = str(self.beside("runtime/index.mjs"))
            found["/var/runtime"] = str(self.beside("runtime"))  # after what is in it: the first that fits is taken
        return found

    def beside(self, name: str) -> Path:
        """What stands beside the private ``/tmp``."""
        if self.tmp_dir is None:
            raise AssertionError("with a mount namespace /tmp is the nursery's")
        return self.tmp_dir.parent / name

    def write_programs(self, variables: dict[str, str], *, executed: bool, hot_reloading: bool) -> None:
        """Where there is no mount namespace, write what an interpreter that is executed runs first.

        The function's own is, behind a wrapper and for JavaScript; those that a function in Python starts are.
        """
        if self.staged:
            return
        if not self.answers.init_has_variables:
            self.beside("environ").write_bytes(nursery.as_in_proc(init_variables(variables)))
            self.beside("environ").chmod(0o644)
        known: dict[str, Any] = {
            "places": self.places,
            "user": nursery.SANDBOX_USER,
            "variables": self.changed(variables),
        }
        if self.runtime.is_python:
            known |= {"others": self.must_read(), "limits": self.shown_limits}
            known |= {"ids": (nursery.SANDBOX_UID, nursery.SANDBOX_GID)}
            nursery.write(str(self.beside("places.json")), json.dumps(known), 0o644)
            programs = {"places.py": Path(places.__file__), f"{places.STARTED}/sitecustomize.py": runtimes.STARTED}
            programs |= {"bootstrap.py": runtimes.BOOTSTRAP} if executed else {}
            # The nursery's interpreter has compiled it, for this time of change.
            compiled = f"__pycache__/places.cpython-{self.runtime.version.replace('.', '')}.pyc"
            programs |= {compiled: Path(places.__file__).parent / compiled}
            for name, program in programs.items():
                if program.exists():
                    shutil.copy2(program, self.beside(name))
                    self.beside(name).chmod(0o644)
        elif self.runtime.node and executed:
            preload, first = self.beside("places.cjs"), self.beside("runtime/index.mjs")
            module, known = json.dumps(str(runtimes.NODE_PLACES)), known | {"preload": str(preload)}
            nursery.write(str(preload), f"require({module}).moveIn({json.dumps(known)});\n", 0o644)
            # A wrapper may have put other NODE_OPTIONS in place of those that require it.
            require = f"createRequire(import.meta.url)({json.dumps(str(preload))});\n"
            text = f'import {{ createRequire }} from "node:module";\n{require}'
            nursery.write(str(first), f'{text}await import("{runtimes.NODE_PROGRAM.as_uri()}");\n', 0o644)
            # It ends the search for the function's package; hot-reloaded code is in a folder of the user's.
            package = self.task_dir.with_name("package.json")
            if not hot_reloading and not package.exists():
                nursery.write(str(package.with_suffix(f".{os.getpid()}")), "{}\n", 0o644)
                package.with_suffix(f".{os.getpid()}").replace(package)

    def must_read(self) -> list[str]:
        """What an unprivileged user must be able to read; the bootstrap is copied for it."""
        runtime = [path for path in self.runtime.folders().values() if path != runtimes.BOOTSTRAP]
        return [str(path) for path in (*runtime, self.task_dir, self.opt_dir) if path]

    def real_list(self, paths: str) -> str:
        """A variable with real paths, as the function finds them."""
        return ":".join(real_path(path, self.places) for path in paths.split(":"))

    def program(self, path: str) -> str:
        """What to execute for one of AWS's paths.

        Without a mount namespace a script is copied, with real folders in place of AWS's, among links to what is beside
        it. The copy is where functions cannot write.
        """
        if self.staged:
            return path
        real = Path(real_path(os.path.normpath(path), self.places))
        try:
            text = real.read_bytes().decode(errors="surrogateescape") if os.access(real, os.X_OK) else ""
        except OSError:
            text = ""  # whoever executes it is told why
        found = places.NAMED.sub(lambda match: real_path(match[0], self.places), text)
        if not text.startswith("#!") or found == text:
            return str(real)
        folder = self.beside("scripts")
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        for neighbour in real.parent.iterdir():
            if neighbour != real and not (folder / neighbour.name).is_symlink():
                (folder / neighbour.name).symlink_to(neighbour)
        copy = folder / real.name
        copy.write_bytes(found.encode(errors="surrogateescape"))
        copy.chmod(0o755)
        return str(copy)

    def site_dirs(self, variables: dict[str, str]) -> list[str]:
        """Where a function's own modules are, in AWS's order; layers only if it names no folders itself."""
        if not self.runtime.is_python:
            return []
        layers = [f"/opt/python/lib/python{self.runtime.version}/site-packages", "/opt/python"]
        own = [TASK_ROOT, *([] if "PYTHONPATH" in variables else layers)]
        return [real_path(path, self.places) for path in own]

    def sys_path(self, variables: dict[str, str]) -> list[str]:
        """What is between these and the standard library."""
        if not self.runtime.is_python:
            return []
        return self.real_list(f"/var/runtime:{variables.get('PYTHONPATH', '')}").rstrip(":").split(":")


def private_folder(environment_id: str, uid: int, runtime: Runtime, *, own: bool) -> Path:
    """A ``/tmp`` for an environment without a mount namespace: AWS's mode, in a folder closed to others.

    It is the function's ``own``, or open to all.

    Beside it, where the function cannot write, are an empty ``opt``, for functions without layers, AWS's entry point,
    the runtime's folder, and what programs find first on their path: the runtime's interpreter, and the name of the
    user.
    """
    outer = Path(tempfile.mkdtemp(prefix=f"lambda-tmp-{environment_id[:8]}-"))
    if uid:
        os.chown(outer, -1, uid)
        outer.chmod(0o710)
    for name in ("opt", "bin", "runtime", "__pycache__", places.STARTED):
        (outer / name).mkdir()
        (outer / name).chmod(0o755)
    if runtime.node:
        (outer / "runtime/node_modules").symlink_to(runtime.folders()["/var/runtime/node_modules"])
    nursery.write(str(outer / "entrypoint"), nursery.ENTRYPOINT_TEXT, 0o755)
    nursery.write(str(outer / "bin/whoami"), f"#!/bin/sh\necho {nursery.SANDBOX_USER}\n", 0o755)
    names = ("node",) if runtime.node else ("python", "python3", f"python{runtime.version}")
    for name in names if runtime.interpreter else ():
        (outer / "bin" / name).symlink_to(runtime.interpreter or "")
    folder = outer / "tmp"
    folder.mkdir()
    folder.chmod(0o700 if own else 0o1777)
    if own and uid:
        os.chown(folder, uid, uid)
    return folder


def init_variables(variables: dict[str, str]) -> dict[str, str]:
    """The environment of process 1, where it has not the function's."""
    own = {name: value for name, value in variables.items() if name in INIT_VARIABLES}
    return own | {"AWS_EXECUTION_ENV": "AWS_Lambda_rapid"}


def real_path(path: str, places: dict[str, str]) -> str:
    """Translate a path below one of these places."""
    for shown, real in places.items():
        if path == shown or path.startswith(f"{shown}/"):
            return real + path.removeprefix(shown)
    return path
