"""What a wrapper of a Python function starts, as it does AWS's ``/var/runtime/bootstrap.py``: the runtime client.

Functions without a wrapper go on in the interpreter that was forked for them. This is run by path, under any CPython
from 3.9 on, and imports nothing but the standard library. Without a mount namespace each environment has it under a
name of its own, with a file beside it that says what stands in for the namespace.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from contextlib import suppress
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any


def run(known: dict[str, Any] | None) -> None:
    """Run the runtime client with AWS's search path and the handler that the environment names.

    Args:
        known: what ``places.move_in`` is to know; None in a mount namespace.
    """
    places = load_places() if known else None
    if places and known:
        if os.environ.get("TMPDIR") == known["places"]["/tmp"]:  # noqa: S108  # the function's own
            del os.environ["TMPDIR"]  # it was for the wrapper
        places.install()
        places.move_in(known["places"], known["others"], known["limits"], known["user"])
    layers = [f"/opt/python/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages", "/opt/python"]
    given = [folder for folder in os.environ.get("PYTHONPATH", "").split(":") if folder]
    standard = [folder for folder in sys.path[1:] if folder not in given and "-packages" not in folder]
    wanted = ["/var/task", *layers, "/var/runtime", *given]
    sys.path[:] = dict.fromkeys([places.real(folder) if places else folder for folder in wanted] + standard)
    if places and "sitecustomize" not in sys.modules:
        with suppress(ModuleNotFoundError):  # as when the interpreter starts, before AWS's folders are to be found
            __import__("sitecustomize")
    sys.dont_write_bytecode = True
    sys.argv = ["awslambdaric", os.environ["_HANDLER"]]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)


def load_places() -> Any:
    """The module beside this one, under no name that a function could import."""
    spec: Any = spec_from_file_location("places", Path(__file__).resolve().with_name("places.py"))
    module: Any = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    beside = Path(__file__).with_suffix(".json")
    run(json.loads(beside.read_text("ascii")) if beside.exists() else None)
