"""Asynchronous invocations that meet an update of their function.

Every version has a poller of the function's queue. The old one's last request goes on when it has been stopped, for up
to two seconds: what it receives then, and what still waits for one of its threads, LocalStack forgets until the queue
hands it out again, a minute and the function's timeout later. AWS runs such events at once, by the new code.
"""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, override

from localstack.services.lambda_.invocation import event_manager
from localstack.services.lambda_.invocation.event_manager import Poller
from localstack.utils.patch import patch

LOG = logging.getLogger(__name__)
# Of this thread.
POLLER: ContextVar[Any] = ContextVar("poller")


class Queue:
    """A poller's client of its queue, which takes nothing once the poller has been stopped."""

    def __init__(self, client: Any, poller: Any) -> None:
        self._client = client
        self._poller = poller

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def receive_message(self, **request: Any) -> dict[str, Any]:
        """Wait for messages."""
        response: dict[str, Any] = self._client.receive_message(**request)
        if not self._poller._shutdown_event.is_set():  # noqa: SLF001  # the poller's own
            return response
        for message in response.get("Messages") or ():
            give_back(self._poller, message)
        return {}


class Threads(ThreadPoolExecutor):
    """A poller's threads; messages that none of them has begun with are given back."""

    def __init__(self, poller: Any) -> None:
        super().__init__(thread_name_prefix="lambda-invoker")
        self._poller = poller

    @override
    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Handle a message, the only argument."""
        try:
            future = super().submit(call, *arguments, **named)
        except RuntimeError:  # they are shut down
            future = Future()
            future.cancel()
        future.add_done_callback(lambda ended: give_back(self._poller, *arguments) if ended.cancelled() else None)
        return future


def give_back(poller: Any, message: dict[str, Any]) -> None:
    """Let the next poller have a message at once."""
    queue = event_manager.get_sqs_client(poller.version_manager.function_version)
    try:
        queue.send_message(QueueUrl=poller.event_queue_url, MessageBody=message["Body"])
        queue.delete_message(QueueUrl=poller.event_queue_url, ReceiptHandle=message["ReceiptHandle"])
    except ValueError as problem:
        LOG.debug("An event of a function that is deleted: %s", problem)


def lose_none() -> None:
    """Let pollers that have been stopped give back what they cannot handle."""

    @patch(Poller.__init__)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _init(call: Callable[..., None], self: Any, *arguments: Any, **named: Any) -> None:
        call(self, *arguments, **named)
        self.invoker_pool = Threads(self)

    @patch(Poller.run)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _run(call: Callable[..., None], self: Any, *arguments: Any, **named: Any) -> None:
        POLLER.set(self)
        call(self, *arguments, **named)

    @patch(event_manager.get_sqs_client)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _get_sqs_client(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        poller = POLLER.get(None)
        client = call(*arguments, **named)
        return client if poller is None else Queue(client, poller)
