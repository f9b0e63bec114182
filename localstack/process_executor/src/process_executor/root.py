"""What the cloud's address itself answers: what is there, for a person's browser and for a program that asks unsigned.

Signed, ``GET /`` is S3's ListBuckets.
"""

from html import escape
from typing import Any

from localstack.constants import AWS_REGION_US_EAST_1, DEFAULT_AWS_ACCOUNT_ID, VERSION

from localstack.runtime import get_current_runtime

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>LocalStack</title>
<body style="font: 1rem/1.5 system-ui; max-width: 44rem; margin: 3rem auto; padding: 0 1rem">
<h1>LocalStack {version}</h1>
<p>AWS's API for programs on this machine: <code>AWS_ENDPOINT_URL={url}</code>, with any key and secret.</p>
<h2>APIs</h2>
<ul>{apis}</ul>
<h2>How it is</h2>
<ul>
<li>Services: <code>curl {url}/_localstack/health</code></li>
<li>Functions that run now: <code>curl {url}/_localstack/process-executor</code></li>
</ul>
</body>
</html>
"""
DESCRIPTION = {"name": "LocalStack", "version": VERSION, "health": "/_localstack/health"}
NO_APIS = "<li>None is deployed.</li>"


def introduce_itself() -> None:
    """Show a person's browser the page above at ``/``."""

    def show(chain: Any, context: Any, response: Any) -> None:
        request = context.request
        opened = request.headers.get("Sec-Fetch-Site") == "none" and request.method == "GET" and request.path == "/"
        if opened and not request.query_string and "text/html" in request.headers.get("Accept", ""):
            url = f"{request.scheme}://{request.host}"
            response.data = PAGE.format(version=escape(VERSION), url=escape(url), apis=apis(url) or NO_APIS)
            response.mimetype = "text/html"
            response.status_code = 200
            chain.terminate()

    get_current_runtime().components.gateway.request_handlers.insert(0, show)  # the guard comes before it


def apis(url: str) -> str:
    """The addresses of the deployed APIs' stages, as items of a list."""
    from localstack.services.apigateway.models import apigateway_stores  # noqa: PLC0415 - heavy: not before it is used

    deployed = apigateway_stores[DEFAULT_AWS_ACCOUNT_ID][AWS_REGION_US_EAST_1].active_deployments
    names = [f"{url}/_aws/execute-api/{api}/{stage}/" for api, stages in deployed.items() for stage in stages if stage]
    return "".join(f"<li><code>{escape(name)}</code></li>" for name in names)
