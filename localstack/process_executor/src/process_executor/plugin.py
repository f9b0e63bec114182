"""What LocalStack loads: the executor, and what goes up and down with LocalStack."""

# LocalStack imports this module to see what there is; the rest is imported when it is used.
# ruff: noqa: PLC0415

from typing import TYPE_CHECKING, Any

from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin

from localstack import config
from localstack.runtime import hooks

if TYPE_CHECKING:
    from process_executor.executor import ProcessRuntimeExecutor

NAME = "process"


def chosen() -> bool:
    """Whether LocalStack is to use this executor."""
    return bool(config.LAMBDA_RUNTIME_EXECUTOR == NAME)


class ProcessRuntimeExecutorPlugin(RuntimeExecutorPlugin):  # type: ignore[misc]  # LocalStack publishes no types
    """``LAMBDA_RUNTIME_EXECUTOR=process``."""

    name = NAME

    def load(self, *_: Any, **__: Any) -> "type[ProcessRuntimeExecutor]":
        """The executor class."""
        from process_executor.executor import ProcessRuntimeExecutor

        return ProcessRuntimeExecutor


@hooks.on_infra_start()  # type: ignore[untyped-decorator]  # LocalStack publishes no types
def guard_gateway() -> None:
    """Listen only where told, and let nobody in who does not belong: with every executor, unless switched off."""
    from process_executor import absent, guard, listening, log_records, root
    from process_executor.settings import settings

    log_records.keep_to_one_line()
    listening.listen_only_where_told()
    root.introduce_itself()
    absent.say_so(settings().awaited_apis, guard.allowed_origins())
    if settings().guard:
        guard.stand_guard(settings())


@hooks.on_infra_start(should_load=chosen)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
def start_process_executor() -> None:
    """Check the settings, serve the status page, start a nursery."""
    from localstack.services.internal import get_internal_apis

    from process_executor import (
        assignment,
        client_context,
        cloudwatch,
        code,
        dead_letters,
        descriptors,
        events,
        function_urls,
        log_groups,
        not_found,
        payloads,
        spawner,
        tracing,
    )
    from process_executor.settings import settings
    from process_executor.status import StatusResource

    settings()
    descriptors.raise_limit()
    client_context.hand_over()
    assignment.make_safe()
    cloudwatch.batch()
    code.keep_while_used()
    code.open_to_functions()
    log_groups.follow()
    dead_letters.identify()
    events.lose_none()
    function_urls.complete()
    not_found.name()
    payloads.limit()
    tracing.respect()
    spawner.start_ahead()
    get_internal_apis().add(StatusResource())


@hooks.on_infra_shutdown(should_load=chosen)  # type: ignore[untyped-decorator]  # LocalStack publishes no types
def stop_process_executor() -> None:
    """Leave no process behind."""
    from process_executor.departure import leave_with_the_main_thread
    from process_executor.executor import stop_all

    stop_all()
    leave_with_the_main_thread()
