"""What callers may send, which LocalStack does not check: so many bytes, and JSON.

Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

import json
from collections.abc import Callable
from typing import Any, NoReturn

from localstack.aws.api import CommonServiceException
from localstack.aws.api.lambda_ import InvalidRequestContentException
from localstack.services.lambda_.invocation.lambda_service import LambdaService
from localstack.utils.patch import patch

from localstack import config
from process_executor import jackson

# LocalStack's setting is the limit of responses, which have room for this much more than requests.
ROOM_OF_RESPONSES = 100
EVENT_LIMIT = 1024 * 1024
# Of what is larger, AWS's words are not worth the time that it takes to find them.
EXACT_LIMIT = 64 * 1024


def limit() -> None:
    """Refuse what AWS refuses, in its words, before it reaches a function."""

    @patch(LambdaService.invoke)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _invoke(call: Callable[..., Any], self: Any, *arguments: Any, **named: Any) -> Any:
        most = int(config.LAMBDA_LIMITS_MAX_FUNCTION_PAYLOAD_SIZE_BYTES) - ROOM_OF_RESPONSES
        if named.get("invocation_type") == "Event":
            most = min(most, EVENT_LIMIT)
        payload = named.get("payload") or b""
        if len(payload) > most:
            text = f"Request must be smaller than {most} bytes for the InvokeFunction operation"
            raise CommonServiceException("RequestEntityTooLargeException", text, status_code=413)
        check(payload)
        return call(self, *arguments, **named)


def check(payload: bytes) -> None:
    """Refuse what is not JSON; no payload is an empty object.

    Raises:
        InvalidRequestContentException: 400, with what AWS's parser says of it.
    """
    if not payload:
        return
    try:
        DECODER.decode(payload.decode())
    except (ValueError, RecursionError) as problem:
        if fault := jackson.fault(payload) if len(payload) <= EXACT_LIMIT else str(problem):
            text = f"Could not parse request body into json: Could not parse payload into json: {fault}"
            raise InvalidRequestContentException(text, Type="User") from None


def not_json(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python takes for JSON."""
    raise ValueError(constant)


DECODER = json.JSONDecoder(parse_constant=not_json)
