"""What a wrapper of a Python function starts, as it does AWS's ``/var/runtime/bootstrap.py``: the runtime client.

Functions without a wrapper go on in the interpreter that was forked for them. This is run by path, under any CPython
from 3.9 on, and imports nothing but the standard library, and little of that: ``places`` replaces functions that other
modules keep when they are imported. Without a mount namespace each environment has a copy of its own, with a file
beside it that says what stands in for the namespace.
"""

# ruff: noqa: PTH100, PTH110, PTH118, PTH120, PTH123

from __future__ import annotations

import json
import os
import re
import runpy
import site
import socket
import sys
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = os.path.dirname(os.path.abspath(__file__))
RUNTIME = "/var/runtime"
OWN = ("/var/task", "/opt", "/tmp", RUNTIME)  # noqa: S108  # the function's own
# LocalStack's names, also with what SDKs put before a host: its DNS server answers these for containers.
LOCALSTACK = re.compile(r"(?:.*[.-])?(?:localhost\.localstack\.cloud|127\.0\.0\.1)")


def run(known: dict[str, Any] | None) -> None:
    """Run the runtime client with AWS's search path and the handler that the environment names.

    Args:
        known: what stands in for a mount namespace; None with one.
    """
    places = load(HERE, "places") if known else None
    if places and known:
        places.settle(known)
    know_localstack()
    find_modules([known["places"][each] for each in OWN] if known else [], places.real if places else str)
    sys.dont_write_bytecode = True
    sys.argv = ["awslambdaric", os.environ["_HANDLER"]]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)


def find_modules(folders: Sequence[str], real: Any) -> None:
    """Search as AWS's bootstrap.py does, and nothing of this machine but its standard library.

    Args:
        folders: the real ones for AWS's.
        real: what translates a path.
    """
    given = os.environ.get("PYTHONPATH")
    own = [*OWN, *folders]
    sys.path[:] = [RUNTIME if folder == HERE else folder for folder in sys.path]
    sys.path[:] = [
        real(folder)
        for folder in sys.path
        if any((folder + "/").startswith(each + "/") for each in own)
        or (folder.startswith(sys.base_prefix) and "-packages" not in folder)
    ]
    if real(RUNTIME) not in sys.path:  # with -I there is no folder of the program
        sys.path.insert(0, real(RUNTIME))
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    layers = [f"/opt/python/lib/python{version}/site-packages", "/opt/python"] if given is None else []
    brought = [real(folder) for folder in ["/var/task", *layers]]
    sys.path[:0] = brought
    add_site_dirs(brought)
    if given is None:
        os.environ["PYTHONPATH"] = real(RUNTIME)


def add_site_dirs(folders: Sequence[str]) -> None:
    """Carry out the .pth files in folders that are searched already."""
    known = set(folders)
    for folder in folders:
        site.addsitedir(folder, known)


def know_localstack() -> None:
    """Resolve LocalStack's names: as its DNS server would, and without one.

    ``socket.getaddrinfo`` is compiled anew with one more statement: a function around it would show in stack traces.
    """
    code = socket.getaddrinfo.__code__
    with open(code.co_filename, encoding="utf-8") as file:
        lines = file.read().split("\n")[code.co_firstlineno - 1 :]
    length = next((number for number, line in enumerate(lines) if number and line[:1].strip()), len(lines))
    text = "\n".join(lines[:length]).replace("    addrlist = []\n", "    addrlist = []; host = _near(host)\n")
    socket._near = near  # type: ignore[attr-defined]  # noqa: SLF001  # where the statement looks for it
    exec(compile("\n" * (code.co_firstlineno - 1) + text, code.co_filename, "exec"), vars(socket))  # noqa: S102


def near(host: Any) -> Any:
    """This machine's address for a name of LocalStack's, anything else as it is."""
    return "127.0.0.1" if isinstance(host, str) and LOCALSTACK.fullmatch(host) else host


def load(folder: str, name: str) -> Any:
    """Load a module of these by its path, under no name that a function could import."""
    spec: Any = spec_from_file_location(name, f"{folder}/{name}.py")
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Run with what is said beside this file."""
    beside = os.path.join(HERE, "places.json")
    known = None
    if os.path.exists(beside):
        with open(beside, encoding="ascii") as file:
            known = json.load(file)
    run(known)


if __name__ == "__main__":
    main()
