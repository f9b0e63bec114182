"""DynamoDB and its streams through moto: LocalStack's own providers download programs, these start in no time.

They keep nothing across restarts. Chosen with ``PROVIDER_OVERRIDE_DYNAMODB=moto`` and
``PROVIDER_OVERRIDE_DYNAMODBSTREAMS=moto``, both or neither.
"""

import threading
from collections.abc import Callable
from typing import Any

from localstack.aws.api.dynamodb import DynamodbApi
from localstack.aws.api.dynamodbstreams import DynamodbstreamsApi
from localstack.services.moto import MotoFallbackDispatcher
from localstack.services.plugins import Service, aws_provider

Handler = Callable[[Any, Any], Any]


class MotoDynamodbProvider(DynamodbApi):  # type: ignore[misc]  # LocalStack publishes no types
    """Every operation falls through to moto."""


class MotoDynamodbStreamsProvider(DynamodbstreamsApi):  # type: ignore[misc]  # LocalStack publishes no types
    """Every operation falls through to moto, which keeps a stream beside its table."""


def without_empty_images(provider: MotoDynamodbStreamsProvider) -> dict[str, Handler]:
    """Dispatch to moto, and leave out the image that an insertion or a deletion does not have, as DynamoDB does."""
    operations = dict(MotoFallbackDispatcher(provider).items())
    read = operations["GetRecords"]

    def get_records(context: Any, request: Any) -> Any:
        answer = read(context, request)
        for record in answer["Records"]:
            for image in ("OldImage", "NewImage"):
                if not record["dynamodb"].get(image, True):
                    del record["dynamodb"][image]
        return answer

    return operations | {"GetRecords": get_records}


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


@aws_provider(api="dynamodbstreams", name="moto")  # type: ignore[untyped-decorator]  # LocalStack publishes no types
def dynamodbstreams_moto() -> Service:
    """Make the service that LocalStack loads as ``dynamodbstreams:moto``."""
    return Service.for_provider(MotoDynamodbStreamsProvider(), dispatch_table_factory=without_empty_images)
