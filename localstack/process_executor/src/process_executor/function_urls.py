"""Function URLs: what LocalStack leaves out of their events and answers.

Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

import json
from collections.abc import Callable
from typing import Any

from localstack.services.lambda_ import urlrouter
from localstack.utils.patch import patch
from localstack.utils.xray.trace_header import TraceHeader


def complete() -> None:
    """Tell functions who calls and by which trace, and callers the cookies they are to keep."""

    @patch(urlrouter.event_for_lambda_url)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _event(call: Callable[..., dict[str, Any]], api_id: str, request: Any) -> dict[str, Any]:
        event = call(api_id, request)
        caller = request.remote_addr or ""
        event["requestContext"]["http"]["sourceIp"] = event["headers"]["x-forwarded-for"] = caller
        event["headers"].setdefault("x-amzn-trace-id", TraceHeader().ensure_root_exists().to_header_str())
        return event

    @patch(urlrouter.lambda_result_to_response)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _response(call: Callable[..., Any], result: Any) -> Any:
        response = call(result)
        for cookie in cookies(result.payload):
            response.headers.add("Set-Cookie", cookie)
        return response


def cookies(payload: bytes) -> list[str]:
    """The cookies of an answer in payload format 2.0, which one without a status is not."""
    try:
        answer = json.loads(payload)
    except ValueError:
        return []
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return []
    return [str(cookie) for cookie in answer.get("cookies") or []]
