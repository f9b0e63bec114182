"""DynamoDB through moto: LocalStack's own provider downloads a Java program, this one starts in no time.

It keeps nothing across restarts. Chosen with ``PROVIDER_OVERRIDE_DYNAMODB=moto``.
"""

import threading
from collections.abc import Callable
from typing import Any

from localstack.aws.api.dynamodb import DynamodbApi
from localstack.services.moto import MotoFallbackDispatcher
from localstack.services.plugins import Service, aws_provider

Handler = Callable[[Any, Any], Any]


class MotoDynamodbProvider(DynamodbApi):  # type: ignore[misc]  # LocalStack publishes no types
    """Every operation falls through to moto."""


def one_at_a_time(provider: MotoDynamodbProvider) -> dict[str, Handler]:
    """Dispatch to moto, one operation after the other.

    moto looks a condition up and then writes, and restores whole tables when a transaction fails: between the two,
    another request's write would be lost or let in. DynamoDB's own writes are atomic.
    """
    lock = threading.RLock()

    def alone(handler: Handler) -> Handler:
        def handle(context: Any, request: Any) -> Any:
            with lock:
                return handler(context, request)

        return handle

    return {operation: alone(handler) for operation, handler in MotoFallbackDispatcher(provider).items()}


@aws_provider(api="dynamodb", name="moto")  # type: ignore[untyped-decorator]  # LocalStack publishes no types
def dynamodb_moto() -> Service:
    """Make the service that LocalStack loads as ``dynamodb:moto``."""
    return Service.for_provider(MotoDynamodbProvider(), dispatch_table_factory=one_at_a_time)
