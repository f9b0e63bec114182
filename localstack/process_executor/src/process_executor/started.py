"""What a Python that a function starts runs first, where there is no mount namespace: it knows AWS's folders, too.

A copy of this is called ``sitecustomize`` and is searched first, by the variable PYTHONPATH of the programs that a
function starts; ``places`` puts it there. It leaves no trace of that, and hands over to the function's own module of
this name. A Python that is told not to read the variable, or not to customize itself, knows this machine's folders.

Like ``places`` it runs under any CPython from 3.9 on and imports nothing but the standard library.
"""

# ruff: noqa: PTH100, PTH120, PTH123

from __future__ import annotations

import json
import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location

TYPE_CHECKING = False  # see places
if TYPE_CHECKING:
    from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
OUTER = os.path.dirname(HERE)


def run() -> None:
    """Move in, and go on with the function's own ``sitecustomize``."""
    spec: Any = spec_from_file_location("places", f"{OUTER}/places.py")
    places: Any = module_from_spec(spec)
    spec.loader.exec_module(places)
    with open(f"{OUTER}/places.json", encoding="ascii") as file:
        places.settle(json.load(file), at_once=False)
    sys.path[:] = [folder for folder in sys.path if folder != HERE]
    found = PathFinder.find_spec("sitecustomize")
    if found and found.loader:
        module = sys.modules["sitecustomize"] = module_from_spec(found)
        found.loader.exec_module(module)


run()
