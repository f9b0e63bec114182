"""The log group that a function's configuration names: LocalStack keeps the name and logs to another."""

from collections.abc import Callable
from typing import Any

from localstack.services.lambda_.invocation.execution_environment import ExecutionEnvironment
from localstack.utils.patch import patch


def follow() -> None:
    """Let environments log, and functions be told, where ``LoggingConfig`` says."""

    @patch(ExecutionEnvironment.get_log_group_name)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _get_log_group_name(call: Callable[..., str], self: Any) -> str:
        chosen = (self.function_version.config.logging_config or {}).get("LogGroup")
        return str(chosen) if chosen else call(self)
