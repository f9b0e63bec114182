"""The fields of a request's body: a form or JSON, each by a real parser, read strictly.

Source: the URL standard section 5 (application/x-www-form-urlencoded), RFC 7578, RFC 8259.
"""

import re
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from messages import strict_json
from messages.events import Pairs, Request
from messages.responses import Problem

MAX_FIELDS = 32

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PARAMETER = re.compile(r';\s*([A-Za-z0-9!#$&^_.+-]+)=(?:"([^"\\]*)"|([^\s;"]+))\s*')


def fields(request: Request) -> Pairs:
    """Read the fields of the body, in their order, repeated ones included.

    Raises:
        Problem: `unsupported_media_type`, `body_too_large`, `malformed_form` or `malformed_json`.
    """
    body = request.body_bytes()
    content_types = request.headers.get("content-type", ())
    if not body and not content_types:
        return ()
    if len(content_types) != 1:
        raise Problem("unsupported_media_type")
    media_type, parameters = _content_type(content_types[0])
    if parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise Problem("unsupported_media_type")
    if media_type == "application/x-www-form-urlencoded":
        return _urlencoded(body)
    if media_type == "application/json":
        return _json(body)
    if media_type == "multipart/form-data":
        return _multipart(body, parameters.get("boundary", ""))
    raise Problem("unsupported_media_type")


def _content_type(value: str) -> tuple[str, dict[str, str]]:
    media_type, semicolon, rest = value.partition(";")
    text, parameters = semicolon + rest.rstrip(), {}
    while text:
        match = _PARAMETER.match(text)
        if not match:
            raise Problem("unsupported_media_type")
        parameters[match[1].lower()] = match[2] if match[3] is None else match[3]
        text = text[match.end() :]
    return media_type.strip().lower(), parameters


def _urlencoded(body: bytes) -> Pairs:
    try:
        text = body.decode()
        if _BAD_ESCAPE.search(text):
            raise Problem("malformed_form")
        return tuple(
            parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MAX_FIELDS)
        )
    except ValueError:
        raise Problem("malformed_form") from None


def _json(body: bytes) -> Pairs:
    try:
        members = strict_json.read_object(body)
    except strict_json.NotStrictJson:
        raise Problem("malformed_json") from None
    return tuple((name, _json_text(name, value)) for name, value in members.items())


def _json_text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name == "limit" and type(value) is int:
        return str(value)
    raise Problem("malformed_json")


def _multipart(body: bytes, boundary: str) -> Pairs:
    # Imported here: few callers send this form, and a cold start need not pay for it.
    from multipart import (  # type: ignore[import-untyped]  # noqa: PLC0415 - it ships no types
        MultipartError,
        MultipartSegment,
        PushMultipartParser,
    )

    found: list[tuple[str, str]] = []
    name, value = "", bytearray()
    try:
        parser = PushMultipartParser(boundary, len(body), max_segment_count=MAX_FIELDS, strict=True)
        for event in parser.parse_blocking(BytesIO(body).read):
            if isinstance(event, MultipartSegment):
                if event.filename is not None:
                    raise Problem("malformed_form", "Files are not taken: send text fields only.")
                name, value = event.name, bytearray()
            elif event:
                value += event
            else:
                found.append((name, value.decode()))
    except (MultipartError, ValueError):
        raise Problem("malformed_form") from None
    return tuple(found)
