"""Paths for every route of the application, derived from its one table, so that a new route cannot be forgotten."""

import re
from collections.abc import Mapping

from mock_idp.app import routes

_NAMED_GROUP = re.compile(r"\(\?P<(\w+)>[^()]*\)")
HANDLERS = [route[1].__name__ for route in routes()]
PLAIN = {"ns": "plain", "server": "default", "path": "console.js", "fault_id": "fault-1", "login": "alice"}


def patterns(values: Mapping[str, str] = PLAIN) -> list[str]:
    """Return the pattern of each route, with its named parts replaced by regular expressions for what to send.

    Raises:
        KeyError: a route has a part that `values` does not name.
    """
    return [_NAMED_GROUP.sub(lambda part: f"(?:{values[part[1]]})", route[0]) for route in routes()]


def example(pattern: str) -> str:
    """Return a path that a pattern of `patterns()` matches: with its optional parts, and the first of alternatives."""
    path = pattern.replace(".*", "nowhere")
    while (shorter := re.sub(r"\(\?:([^()|]*)(?:\|[^()]*)?\)\??", r"\1", path)) != path:
        path = shorter
    path = path.replace("\\", "")
    path = path if path.startswith("/") else f"/{path}"
    assert re.fullmatch(pattern, path), (pattern, path)
    return path
