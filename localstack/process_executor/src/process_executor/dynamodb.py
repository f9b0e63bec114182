"""DynamoDB and its streams through moto: LocalStack's own providers download programs, these start in no time.

They keep nothing across restarts. Chosen with ``PROVIDER_OVERRIDE_DYNAMODB=moto`` and
``PROVIDER_OVERRIDE_DYNAMODBSTREAMS=moto``, both or neither.
"""

import base64
import threading
from collections.abc import Callable
from typing import Any

from localstack.aws.api.dynamodb import DynamodbApi
from localstack.aws.api.dynamodbstreams import DynamodbstreamsApi
from localstack.services.moto import MotoFallbackDispatcher
from localstack.services.plugins import Service, aws_provider
from moto.dynamodbstreams import responses

Handler = Callable[[Any, Any], Any]
# moto encodes binary values in streams, and so does what serializes its answers where it leaves that to others.
ENCODES_TWICE = hasattr(responses, "ActionResult")


class MotoDynamodbProvider(DynamodbApi):  # type: ignore[misc]  # LocalStack publishes no types
    """Every operation falls through to moto."""


class MotoDynamodbStreamsProvider(DynamodbstreamsApi):  # type: ignore[misc]  # LocalStack publishes no types
    """Every operation falls through to moto, which keeps a stream beside its table."""


def with_exact_images(provider: MotoDynamodbStreamsProvider) -> dict[str, Handler]:
    """Dispatch to moto, whose images have binary values encoded twice, and an insertion an old one that is empty."""
    operations = dict(MotoFallbackDispatcher(provider).items())
    read = operations["GetRecords"]

    def get_records(context: Any, request: Any) -> Any:
        answer = read(context, request)
        for record in answer["Records"]:
            for name in ("Keys", "OldImage", "NewImage"):
                if image := record["dynamodb"].pop(name, None):
                    record["dynamodb"][name] = {attribute: decoded(value) for attribute, value in image.items()}
        return answer

    return operations | {"GetRecords": get_records}


def decoded(value: dict[str, Any]) -> dict[str, Any]:
    """An attribute value with its binary content decoded once more; that of lists and maps comes as it should."""
    if not ENCODES_TWICE:
        return value
    [(kind, content)] = value.items()
    if kind == "B":
        content = base64.b64decode(content)
    elif kind == "BS":
        content = [base64.b64decode(each) for each in content]
    return {kind: content}


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
    return Service.for_provider(MotoDynamodbStreamsProvider(), dispatch_table_factory=with_exact_images)
