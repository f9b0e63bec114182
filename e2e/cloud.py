"""The cloud that the function runs in, by its AWS API at LocalStack's URL."""

import time
import uuid
from typing import Any
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]  # it ships no types

from e2e.deployment import Deployment


class Cloud:
    """What a test may do to the deployed function from outside."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._lambda = self._client("lambda")
        self._logs = self._client("logs")
        self.function = self._function_behind_the_api()

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self._deployment.cloud,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def _function_behind_the_api(self) -> str:
        api = urlsplit(self._deployment.api_url).path.split("/")[3]
        resources = self._client("apigateway").get_resources(restApiId=api, embed=["methods"])["items"]
        uris = [
            method["methodIntegration"]["uri"]
            for resource in resources
            for method in resource.get("resourceMethods", {}).values()
            if "uri" in method.get("methodIntegration", {})
        ]
        # arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations
        return str(uris[0]).split("/functions/")[1].split("/")[0]

    def replace_environments(self) -> None:
        """Make every later invocation run in a new execution environment, as any change of configuration does."""
        self._lambda.update_function_configuration(FunctionName=self.function, Description=f"e2e {uuid.uuid4()}")
        self._lambda.get_waiter("function_updated_v2").wait(
            FunctionName=self.function, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )

    def environments(self) -> set[str]:
        """Name the environments that have logged so far: each has a log stream of its own."""
        group = f"/aws/lambda/{self.function.rpartition(':')[2]}"
        pages = self._logs.get_paginator("describe_log_streams").paginate(logGroupName=group)
        return {stream["logStreamName"] for page in pages for stream in page["logStreams"]}

    def has_new_environment(self, known: set[str], timeout_s: float = 20) -> bool:
        """Wait until an environment that is not among the known ones has logged: logs arrive after the answer."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.environments() - known:
                return True
            time.sleep(0.1)
        return False
