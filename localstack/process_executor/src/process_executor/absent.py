"""What is not there, or not yet, is said not to be: LocalStack gives it an empty answer with the status 200.

After a restart, an API is unknown until somebody deploys it again. A page that posted a message in these seconds would
take the empty 200 for success, and the message would be nowhere.
"""

from collections.abc import Collection
from typing import Any

from localstack.aws.handlers.fallback import EmptyResponseHandler
from localstack.constants import AWS_REGION_US_EAST_1, DEFAULT_AWS_ACCOUNT_ID
from localstack.services.plugins import SERVICE_PLUGINS

from localstack.runtime import get_current_runtime
from process_executor.root import DESCRIPTION

EXECUTE_API = "/_aws/execute-api/"
RETRY_AFTER_S = 1
NOT_DEPLOYED = {
    "message": "Service Unavailable",
    "error": "not_deployed",
    "error_description": "The application is not deployed yet, or is just being deployed again; try it in a moment.",
}


def say_so(awaited: Collection[str], origins: Collection[str]) -> None:
    """Answer 503 for APIs that a deployer is about to create, and 404 for what nobody answers.

    Args:
        awaited: ids of APIs.
        origins: pages that may read the 503; it has CORS headers for them.
    """
    chain = get_current_runtime().components.gateway.request_handlers

    def load_apis(_: Any, context: Any, __: Any) -> None:
        # Only what is loaded has routes; LocalStack loads it for the host names of APIs, not for their paths.
        if context.request.path.startswith(EXECUTE_API):
            SERVICE_PLUGINS.require("apigateway")

    def await_deployment(chain: Any, context: Any, response: Any) -> None:
        if (api := api_of(context.request)) in awaited and not is_deployed(api):
            answer_not_deployed(context.request, response, origins)
            chain.terminate()

    def answer_for_nobody(_: Any, context: Any, response: Any) -> None:
        if context.service is not None:
            return
        if context.request.path == "/" and context.request.method in {"GET", "HEAD"}:
            response.set_json(DESCRIPTION)  # 200, as whoever waits for this cloud expects
        else:
            response.status_code = 404
            response.set_json({"message": "Not Found"})

    chain.insert(1, load_apis)
    chain.insert(2, await_deployment)
    end = next(place for place, each in enumerate(chain) if isinstance(each, EmptyResponseHandler))
    chain.insert(end, answer_for_nobody)


def api_of(request: Any) -> str:
    """The id of the API that a request is for; empty for one that is for something else."""
    if request.path.startswith(EXECUTE_API):
        return str(request.path.removeprefix(EXECUTE_API).partition("/")[0]).lower()
    api, found, _ = request.host.lower().partition(".execute-api.")
    return api if found else ""


def is_deployed(api: str) -> bool:
    """Whether an API has a stage."""
    from localstack.services.apigateway.models import apigateway_stores  # noqa: PLC0415 - heavy: not before it is used

    return bool(apigateway_stores[DEFAULT_AWS_ACCOUNT_ID][AWS_REGION_US_EAST_1].active_deployments.get(api))


def answer_not_deployed(request: Any, response: Any, origins: Collection[str]) -> None:
    """Say that the application comes, in a way that its own page can read."""
    response.status_code = 503
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    origin = request.headers.get("Origin")
    if origin in origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        response.headers["Vary"] = "Origin"
        if request.method == "OPTIONS":  # what it asks for is answered 503 in its turn
            response.status_code = 204
            for name in ("Method", "Headers"):
                if asked := request.headers.get(f"Access-Control-Request-{name}"):
                    response.headers[f"Access-Control-Allow-{name.removesuffix('s')}s"] = asked
            return
    response.set_json(NOT_DEPLOYED)
