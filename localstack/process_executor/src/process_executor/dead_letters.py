"""The messages of dead-letter queues: LocalStack invents the request id that they carry."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from localstack.services.lambda_.invocation.event_manager import Poller
from localstack.utils.aws import dead_letter_queue
from localstack.utils.patch import patch

REQUEST_ID: ContextVar[str] = ContextVar("request_id")


def identify() -> None:
    """Let each carry the id of the invocation that failed."""

    @patch(Poller.process_dead_letter_queue)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _process(call: Callable[..., None], self: Any, failed: Any, *arguments: Any) -> None:
        token = REQUEST_ID.set(failed.invocation.request_id)
        try:
            call(self, failed, *arguments)
        finally:
            REQUEST_ID.reset(token)

    @patch(dead_letter_queue._prepare_messages_to_dlq)  # type: ignore[untyped-decorator]  # noqa: SLF001  # as above
    def _prepare(call: Callable[..., list[dict[str, Any]]], *arguments: Any) -> list[dict[str, Any]]:
        messages = call(*arguments)
        request_id = REQUEST_ID.get(None)
        for message in messages if request_id else ():
            message["MessageAttributes"]["RequestID"]["StringValue"] = request_id
        return messages
