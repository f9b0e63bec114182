"""``GET /_localstack/process-executor``: what runs now."""

import time
from typing import Any

from localstack.http import Request, Response, route

from process_executor import memory
from process_executor.executor import ENVIRONMENTS, ProcessRuntimeExecutor
from process_executor.spawner import NURSERIES


class StatusResource:
    """The one page of the executor in LocalStack's internal API."""

    @route("/_localstack/process-executor", methods=["GET"])  # type: ignore[untyped-decorator]  # LocalStack's own
    def show(self, _request: Request) -> Response:
        """List nurseries and environments."""
        nurseries = [
            {"runtime": nursery.runtime.name, "python": str(nursery.runtime.python), "isolation": nursery.level}
            for nursery in NURSERIES
        ]
        return Response.for_json(
            {"nurseries": nurseries, "environments": [describe(e) for e in list(ENVIRONMENTS.values())]}
        )


def describe(executor: ProcessRuntimeExecutor) -> dict[str, Any]:
    """One environment."""
    environment = executor.environment
    if environment is None:
        return {"id": executor.id, "state": "new"}
    return {
        "id": executor.id,
        "function": environment.plan.name,
        "version": environment.plan.version,
        "pid": environment.pid,
        "state": environment.state,
        "invocations": environment.invocations,
        "memory_mb": memory.resident_mb(memory.descendants(environment.pid)),
        "age_s": round(time.monotonic() - environment.created, 1),
    }
