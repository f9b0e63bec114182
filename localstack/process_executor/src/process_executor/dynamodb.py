"""DynamoDB through moto: LocalStack's own provider downloads a Java program, this one starts in no time.

It keeps nothing across restarts. Chosen with ``PROVIDER_OVERRIDE_DYNAMODB=moto``.
"""

from localstack.aws.api.dynamodb import DynamodbApi
from localstack.services.moto import MotoFallbackDispatcher
from localstack.services.plugins import Service, aws_provider


class MotoDynamodbProvider(DynamodbApi):  # type: ignore[misc]  # LocalStack publishes no types
    """Every operation falls through to moto."""


@aws_provider(api="dynamodb", name="moto")  # type: ignore[untyped-decorator]  # LocalStack publishes no types
def dynamodb_moto() -> Service:
    """Make the service that LocalStack loads as ``dynamodb:moto``."""
    return Service.for_provider(MotoDynamodbProvider(), dispatch_table_factory=MotoFallbackDispatcher)
