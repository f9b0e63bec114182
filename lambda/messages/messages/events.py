"""The events a function is called with, read into one request, and the answer put back into their shape.

Understood: API Gateway REST APIs (format 1.0), HTTP APIs and Function URLs (format 2.0), and Application Load
Balancers with and without multi-value headers.
Source: AWS Lambda developer guide, "Using AWS Lambda with Amazon API Gateway", "… Function URLs", "… ELB".
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from messages.responses import Problem, Response

MAX_BODY_BYTES = 64 * 1024

Pairs = tuple[tuple[str, str], ...]


class Shape(Enum):
    """Which of AWS's shapes an event has; the answer takes the same."""

    REST = "1.0"
    HTTP = "2.0"
    BALANCER = "alb"
    BALANCER_MULTI = "alb-multi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, whatever brought it; `callers` are all addresses that are named as its source."""

    shape: Shape
    method: str
    headers: Mapping[str, tuple[str, ...]]
    query: Pairs
    body: Any
    is_base64: bool
    request_id: str
    callers: tuple[str, ...]

    def header(self, name: str) -> str | None:
        """The value of a header; of a repeated one, the first. `name` is in lower case."""
        values = self.headers.get(name)
        return values[0] if values else None

    def body_bytes(self) -> bytes:
        """The body as it was sent.

        Raises:
            Problem: `body_too_large`, or `invalid_request` when it cannot be decoded.
        """
        body = self.body
        if body is None:
            return b""
        if not isinstance(body, str):
            raise Problem("invalid_request", "The body cannot be read.")
        # Base64 takes four characters for three bytes: the text alone tells when it is too much.
        if len(body) > (MAX_BODY_BYTES * 4 // 3 + 4 if self.is_base64 else MAX_BODY_BYTES):
            raise Problem("body_too_large")
        try:
            raw = base64.b64decode(body, validate=True) if self.is_base64 else body.encode()
        except ValueError:
            raise Problem("invalid_request", "The body cannot be read.") from None
        if len(raw) > MAX_BODY_BYTES:
            raise Problem("body_too_large")
        return raw


def shape_of(event: Any) -> Shape:
    """Tell the shape of an event; what cannot be told is taken for a REST API's."""
    if not isinstance(event, dict):
        return Shape.REST
    if _mapping(event.get("requestContext")).get("elb") is not None:
        return Shape.BALANCER_MULTI if isinstance(event.get("multiValueHeaders"), dict) else Shape.BALANCER
    return Shape.HTTP if event.get("version") == "2.0" else Shape.REST


def read(event: Any) -> Request:
    """Read an event.

    Raises:
        Problem: `invalid_request`, when the event is of none of the shapes.
    """
    shape = shape_of(event)
    context = _mapping(event.get("requestContext")) if isinstance(event, dict) else {}
    http = _mapping(context.get("http"))
    method = http.get("method") if shape is Shape.HTTP else _mapping(event).get("httpMethod")
    if not isinstance(method, str):
        raise Problem("invalid_request", "The event is not an HTTP request.")
    headers = _headers(event)
    return Request(
        shape=shape,
        method=method.upper(),
        headers=headers,
        query=_query(event, shape),
        body=event.get("body"),
        is_base64=event.get("isBase64Encoded") is True,
        request_id=_string(context.get("requestId")),
        callers=_callers(_mapping(context.get("identity")).get("sourceIp", http.get("sourceIp")), headers),
    )


def write(response: Response, shape: Shape) -> dict[str, Any]:
    """Put an answer into the shape that the caller understands."""
    event: dict[str, Any] = {"statusCode": response.status, "body": response.body, "isBase64Encoded": False}
    if shape in (Shape.BALANCER, Shape.BALANCER_MULTI):
        from http import HTTPStatus  # noqa: PLC0415 - only load balancers ask for the phrase

        event["statusDescription"] = f"{response.status} {HTTPStatus(response.status).phrase}"
    if shape is Shape.BALANCER_MULTI:
        event["multiValueHeaders"] = {name: [value] for name, value in response.headers.items()}
    else:
        event["headers"] = dict(response.headers)
    return event


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _headers(event: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    multi = event.get("multiValueHeaders")
    found: dict[str, tuple[str, ...]] = {}
    for name, value in _mapping(multi if isinstance(multi, dict) and multi else event.get("headers")).items():
        # Two spellings of one name are two values: neither may hide the other.
        lower = str(name).lower()
        found[lower] = found.get(lower, ()) + _strings(value)
    return found


def _callers(source: Any, headers: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    # A load balancer names no source; LocalStack names this machine, whoever calls.
    hops = ",".join(headers.get("x-forwarded-for", ()))
    return tuple(hop.strip() for hop in (_string(source), *hops.split(",")) if hop)


def _query(event: dict[str, Any], shape: Shape) -> Pairs:
    if shape is Shape.HTTP:
        return tuple(parse_qsl(_string(event.get("rawQueryString")), keep_blank_values=True))
    multi = event.get("multiValueQueryStringParameters")
    members = _mapping(multi if isinstance(multi, dict) and multi else event.get("queryStringParameters"))
    pairs = tuple((str(name), value) for name, values in members.items() for value in _strings(values))
    if shape is Shape.REST:
        return pairs
    # A load balancer hands the query over as it stood in the URL.
    return tuple((unquote_plus(name), unquote_plus(value)) for name, value in pairs)
