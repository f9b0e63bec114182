"""The caller's client context: LocalStack has it in its invocation but does not hand it to its executors."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from localstack.services.lambda_.invocation.execution_environment import ExecutionEnvironment
from localstack.utils.patch import patch


def hand_over() -> None:
    """Let every environment's executor know the client context of the invocation that comes next."""

    @patch(ExecutionEnvironment.invoke)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _invoke(call: Callable[..., Any], self: Any, invocation: Any) -> Any:
        self.runtime_executor.client_context = decoded(invocation.client_context)
        return call(self, invocation)


def decoded(header: str | None) -> str:
    """The JSON that came in base64, fit for a header; empty for nothing or nonsense."""
    if not header or header == "{}":
        return ""
    try:
        return base64.b64decode(header, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return ""
