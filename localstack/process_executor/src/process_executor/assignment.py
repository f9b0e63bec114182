"""Choosing an environment for an invocation, safely with many callers at once.

LocalStack walks through a function's environments while other calls add to them, which Python answers with an error,
and reserves a new one only after others can see it. Both end in a 500 for callers that come together.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, override

from localstack.services.lambda_.invocation.assignment import AssignmentService
from localstack.services.lambda_.invocation.execution_environment import InvalidStatusException
from localstack.utils.patch import patch


class Environments(dict[str, Any]):
    """A function's environments by id; a walk through them sees those of its beginning."""

    @override
    def values(self) -> Any:
        return list(super().values())


def make_safe() -> None:
    """Let every assignment see its own snapshot, and try again when another call was quicker."""

    @patch(AssignmentService.__init__)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _init(call: Callable[..., None], self: Any) -> None:
        call(self)
        self.environments = defaultdict(Environments)

    @patch(AssignmentService.get_environment)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    @contextlib.contextmanager
    def _get_environment(call: Callable[..., Any], *arguments: Any, **named: Any) -> Iterator[Any]:
        with contextlib.ExitStack() as stack:
            environment = None
            while environment is None:
                with contextlib.suppress(InvalidStatusException):
                    environment = stack.enter_context(call(*arguments, **named))
            yield environment
