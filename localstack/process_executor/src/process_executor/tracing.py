"""The caller's sampling decision: LocalStack samples every trace, AWS those that the caller wants sampled."""

from collections.abc import Callable
from typing import Any

from localstack.utils.patch import patch
from localstack.utils.xray.trace_header import TraceHeader


def respect() -> None:
    """Leave a decision that has been made."""

    @patch(TraceHeader.ensure_sampled_exists)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _ensure_sampled_exists(call: Callable[..., Any], self: Any, *arguments: Any, **named: Any) -> Any:
        return self if self.sampled in {0, 1} else call(self, *arguments, **named)
