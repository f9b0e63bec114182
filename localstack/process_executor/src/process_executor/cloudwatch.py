"""What LocalStack sends to CloudWatch after an invocation, its log and its metrics, in batches.

LocalStack makes a request of each, and of the metrics also a thread: together they take longer than the invocation, and
callers wait for them because Python runs one thread at a time. Here the first is sent at once, and what comes in the
moment after it is sent together.
"""

import contextlib
import itertools
import logging
import queue
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from localstack.aws.connect import connect_to
from localstack.services.lambda_.invocation import version_manager
from localstack.services.lambda_.invocation.logs import QUEUE_SHUTDOWN, LogHandler, LogItem
from localstack.utils.aws.client_types import ServicePrincipal
from localstack.utils.bootstrap import is_api_enabled
from localstack.utils.patch import patch

LOG = logging.getLogger(__name__)

LOG_PAUSE_S = 0.5
METRICS_PAUSE_S = 1.0
# What one PutLogEvents takes.
EVENTS_AT_ONCE = 10_000


def batch() -> None:
    """Let LocalStack's log and metrics go this way from now on."""
    metrics = Metrics()

    @patch(LogHandler.add_logs)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _add_logs(_call: Callable[..., None], self: Any, item: LogItem) -> None:
        if is_api_enabled("logs"):
            self.log_queue.put((int(time.time() * 1000), item))
            if self._shutdown_event.is_set():
                send_rest(self)

    @patch(LogHandler.run_log_loop)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _run_log_loop(_call: Callable[..., None], self: Any, *_: Any, **__: Any) -> None:
        send_logs(self)

    @patch(version_manager.start_thread)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
    def _start_thread(call: Callable[..., Any], method: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if named.get("name", "").startswith("record-cloudwatch-metric"):
            return method()  # it only counts
        return call(method, *arguments, **named)

    def _record_invocation(function_name: str, account_id: str, region_name: str) -> None:
        metrics.add(account_id, region_name, function_name, "Invocations")

    def _record_error(function_name: str, account_id: str, region_name: str) -> None:
        metrics.add(account_id, region_name, function_name, "Invocations", "Errors")

    version_manager.record_cw_metric_invocation = _record_invocation
    version_manager.record_cw_metric_error = _record_error


def take(waiting: "queue.Queue[Any]") -> list[Any]:
    """All that is there, once there is something."""
    return [waiting.get(), *take_at_once(waiting)]


def take_at_once(waiting: "queue.Queue[Any]") -> list[Any]:
    """All that is there."""
    items = []
    with contextlib.suppress(queue.Empty):
        while True:
            items.append(waiting.get_nowait())
    return items


# --- Logs -----------------------------------------------------------------------------------------------------------


def send_logs(handler: Any) -> None:
    """Send what one function version logs until it is stopped, and what was logged until then."""
    client = client_of(handler)
    ended = False
    while not ended:
        items = take(handler.log_queue)
        ended = QUEUE_SHUTDOWN in items
        store(client, [item for item in items if item is not QUEUE_SHUTDOWN])
        handler._shutdown_event.wait(LOG_PAUSE_S)  # noqa: SLF001  # this is its loop


def send_rest(handler: Any) -> None:
    """Send what a version that has been stopped logs, because an invocation was finished: its loop may have ended."""
    items = take_at_once(handler.log_queue)
    if QUEUE_SHUTDOWN in items:
        handler.log_queue.put(QUEUE_SHUTDOWN)  # it has not: that was for the loop
    store(client_of(handler), [item for item in items if item is not QUEUE_SHUTDOWN])


def client_of(handler: Any) -> Any:
    """CloudWatch Logs, as the function's role."""
    return connect_to.with_assumed_role(
        region_name=handler.region, role_arn=handler.role_arn, service_principal=ServicePrincipal.lambda_
    ).logs


def store(client: Any, items: list[tuple[int, LogItem]]) -> None:
    """Put logs and their times where they belong."""
    streams: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for timestamp, item in items:
        streams[item.log_group, item.log_stream] += [
            {"timestamp": timestamp, "message": event} for event in item.logs.events if event != "\n"
        ]
    for (group, stream), events in streams.items():
        for some in itertools.batched(events, EVENTS_AT_ONCE, strict=False):
            put(client, list(some), logGroupName=group, logStreamName=stream)


def put(client: Any, events: list[dict[str, Any]], **stream: str) -> None:
    """Send events of one log stream, which need not exist yet."""
    try:
        try:
            client.put_log_events(logEvents=events, **stream)
        except client.exceptions.ResourceNotFoundException:
            with contextlib.suppress(client.exceptions.ResourceAlreadyExistsException):
                client.create_log_group(logGroupName=stream["logGroupName"])
            client.create_log_stream(**stream)
            client.put_log_events(logEvents=events, **stream)
    except Exception as problem:  # noqa: BLE001  # a log that is lost stops neither functions nor the next log
        LOG.warning("The log of %s was not stored: %s", stream["logGroupName"], problem)


# --- Metrics --------------------------------------------------------------------------------------------------------


class Metrics:
    """Counts what happened to functions, by the second, and sends the counts."""

    def __init__(self) -> None:
        self._happened: queue.Queue[tuple[str, str, str, str, int]] = queue.Queue()
        self._sender: threading.Thread | None = None

    def add(self, account: str, region: str, function: str, *metrics: str) -> None:
        """One more of each."""
        if not is_api_enabled("cloudwatch"):
            return
        if self._sender is None:
            self._sender = threading.Thread(target=self._send, name="process-executor-metrics", daemon=True)
            self._sender.start()
        for metric in metrics:
            self._happened.put((account, region, function, metric, int(time.time())))

    def _send(self) -> None:
        while True:
            data = defaultdict(list)
            for (account, region, function, metric, second), count in Counter(take(self._happened)).items():
                data[account, region].append(
                    {
                        "MetricName": metric,
                        "Dimensions": [{"Name": "FunctionName", "Value": function}],
                        "Timestamp": datetime.fromtimestamp(second, UTC),
                        "Values": [1.0],
                        "Counts": [float(count)],
                    }
                )
            for (account, region), metrics in data.items():
                try:
                    client = connect_to(aws_access_key_id=account, region_name=region).cloudwatch
                    client.put_metric_data(Namespace="AWS/Lambda", MetricData=metrics)
                except Exception as problem:  # noqa: BLE001  # metrics that are lost stop nothing
                    LOG.info("The metrics of functions were not stored: %s", problem)
            time.sleep(METRICS_PAUSE_S)
