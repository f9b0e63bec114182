"""Functions that do not exist, called as AWS calls them."""

from collections.abc import Callable
from typing import Any

from localstack.aws.api.lambda_ import ResourceNotFoundException
from localstack.services.lambda_.invocation.lambda_service import LambdaService
from localstack.utils.patch import patch

from process_executor.settings import settings

LATEST = ":$LATEST"


def name() -> None:
    """Leave out the version that LocalStack adds where none was asked for, if AWS's answers of the year do."""
    if settings().answers.names_latest:
        return

    @patch(LambdaService.invoke)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _invoke(call: Callable[..., Any], self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return call(self, *arguments, **named)
        except ResourceNotFoundException as problem:
            if named.get("qualifier") or not problem.message.endswith(LATEST):
                raise
            raise ResourceNotFoundException(problem.message.removesuffix(LATEST), Type="User") from None
