"""JSON as it comes from outside: read only where every other program would read the same."""

import json
import math
from typing import Any

MAX_DEPTH = 64


def parse_json(text: bytes) -> Any:
    """Read a JSON text in UTF-8 whose values can be written, hashed and sent on.

    Raises:
        ValueError: it is no JSON, is nested more than 64 deep, or holds what is JSON in Python only: NaN, a number
            beyond a double, text with a lone surrogate.

    Source: RFC 8259 sections 8 and 9, RFC 7493 section 2.
    """
    try:
        value = json.loads(text.decode(), parse_float=_number, parse_int=_number, parse_constant=_number)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    _check(value)
    return value


def _number(text: str) -> int | float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no number of JSON")
    return int(text) if text.lstrip("-").isdecimal() else value


def _check(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, str):
                each.encode()  # fails, with a ValueError, for a surrogate
            elif isinstance(each, dict):
                inner += (*each.keys(), *each.values())
            elif isinstance(each, list):
                inner += each
        if not inner:
            return
        level = inner
    raise ValueError("nested too deep")
