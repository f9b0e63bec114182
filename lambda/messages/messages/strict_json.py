"""JSON read the strict way: one meaning per text, bounded depth, bounded numbers.

The standard parser keeps the last of two equal names, takes `NaN`, and lets one text mean two things to two
readers. Tokens, key sets and request bodies all pass through here instead.
Source: RFC 8259 section 4, RFC 7493, RFC 7515 section 4 ("names MUST be unique").
"""

import json
import math
import re
from typing import Any

MAX_DEPTH = 16
MAX_NUMBER_CHARACTERS = 32

# A string that has no end reaches to the end of the text, and nothing is looked at twice (hence the possessive "*+"): a
# search that gave up there would begin anew at each of its escaped quotes, and cost the length squared.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)


class NotStrictJson(ValueError):
    """The text is not JSON with one meaning; `code` says what is wrong with it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrictJson("duplicate_name")
    return members


def _integer(digits: str) -> int:
    if len(digits) > MAX_NUMBER_CHARACTERS:
        raise NotStrictJson("number_out_of_bounds")
    return int(digits)


def _fraction(digits: str) -> float:
    number = float(digits) if len(digits) <= MAX_NUMBER_CHARACTERS else math.inf
    if not math.isfinite(number):
        raise NotStrictJson("number_out_of_bounds")
    return number


def _constant(name: str) -> Any:
    raise NotStrictJson("number_out_of_bounds")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)


def _is_too_deep(text: str) -> bool:
    # Counting every bracket is cheap and clears nearly every text; only a text that fails it is looked at closely.
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return False
    depth = 0
    for character in _STRING.sub("", text):
        if character in "{[":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif character in "}]":
            depth -= 1
    return False


def _has_lone_surrogate(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def read(raw: bytes) -> Any:
    """Read one JSON text.

    Args:
        raw: the text as UTF-8, without a byte order mark.

    Raises:
        NotStrictJson: `bad_utf8`, `bad_json`, `duplicate_name`, `too_deep` or `number_out_of_bounds`.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise NotStrictJson("bad_utf8") from None
    if _is_too_deep(text):
        raise NotStrictJson("too_deep")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError:
        raise NotStrictJson("bad_json") from None
    if "\\u" in text and _has_lone_surrogate(value):
        raise NotStrictJson("bad_json")
    return value


def read_object(raw: bytes) -> dict[str, Any]:
    """Read one JSON text that is an object; otherwise as `read`, and `not_an_object`."""
    value = read(raw)
    if not isinstance(value, dict):
        raise NotStrictJson("not_an_object")
    return value
