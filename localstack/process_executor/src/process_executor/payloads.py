"""The size of what callers may send, which LocalStack does not check.

Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from collections.abc import Callable
from typing import Any

from localstack.aws.api import CommonServiceException
from localstack.services.lambda_.invocation.lambda_service import LambdaService
from localstack.utils.patch import patch

from localstack import config

# LocalStack's setting is the limit of responses, which have room for this much more than requests.
ROOM_OF_RESPONSES = 100
EVENT_LIMIT = 1024 * 1024


def limit() -> None:
    """Refuse what AWS refuses, in its words, before it reaches a function."""

    @patch(LambdaService.invoke)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _invoke(call: Callable[..., Any], self: Any, *arguments: Any, **named: Any) -> Any:
        most = int(config.LAMBDA_LIMITS_MAX_FUNCTION_PAYLOAD_SIZE_BYTES) - ROOM_OF_RESPONSES
        if named.get("invocation_type") == "Event":
            most = min(most, EVENT_LIMIT)
        if len(named.get("payload") or b"") > most:
            text = f"Request must be smaller than {most} bytes for the InvokeFunction operation"
            raise CommonServiceException("RequestEntityTooLargeException", text, status_code=413)
        return call(self, *arguments, **named)
