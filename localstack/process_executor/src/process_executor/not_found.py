"""Functions that do not exist, called as AWS calls them."""

from collections.abc import Callable
from typing import Any

from localstack.aws.api.lambda_ import ResourceNotFoundException
from localstack.services.lambda_.invocation.lambda_service import LambdaService
from localstack.utils.patch import patch

from process_executor.settings import settings

NOT_FOUND, LATEST = "Function not found: ", ":$LATEST"


def name() -> None:
    """Tell of the version where none was asked for, or do not: LocalStack's releases differ, and AWS's years."""
    latest = LATEST if settings().answers.names_latest else ""

    @patch(LambdaService.invoke)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _invoke(call: Callable[..., Any], self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return call(self, *arguments, **named)
        except ResourceNotFoundException as problem:
            if named.get("qualifier") or not problem.message.startswith(NOT_FOUND):
                raise
            raise ResourceNotFoundException(problem.message.removesuffix(LATEST) + latest, Type="User") from None
