"""The cloud that the function runs in, by its AWS API at LocalStack's URL."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

import boto3

from e2e.deployment import Deployment


class Cloud:
    """What a test may ask of the deployed function from outside, without disturbing those who use it."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._lambda = self.client("lambda")
        self._function = self._function_behind_the_api()

    @property
    def address(self) -> str:
        """Where AWS's API is."""
        return self._deployment.cloud or ""

    def client(self, service: Any) -> Any:
        """Return AWS's SDK for Python, pointed at this cloud."""
        return boto3.client(
            service,
            endpoint_url=self._deployment.cloud,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def _function_behind_the_api(self) -> str:
        api = urlsplit(self._deployment.api_url).path.split("/")[3]
        resources = self.client("apigateway").get_resources(restApiId=api, embed=["methods"])["items"]
        uris = [
            method["methodIntegration"]["uri"]
            for resource in resources
            for method in resource.get("resourceMethods", {}).values()
            if "uri" in method.get("methodIntegration", {})
        ]
        # arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations
        return str(uris[0]).split("/functions/")[1].split("/")[0]

    @contextmanager
    def new_environment(self) -> Iterator[str]:
        """Publish the function as it stands as a version of its own.

        A version shares no execution environment with any other, so its first invocation starts a new one; and those
        who are using the function meanwhile notice nothing.

        Yields:
            The version, by which it is invoked.
        """
        version = str(self._lambda.publish_version(FunctionName=self._function)["Version"])
        try:
            self._lambda.get_waiter("function_active_v2").wait(
                FunctionName=self._function, Qualifier=version, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
            )
            yield version
        finally:
            self._lambda.delete_function(FunctionName=self._function, Qualifier=version)

    def list_messages(self, version: str, token: str) -> list[dict[str, Any]]:
        """Invoke one version with the event that API Gateway would send for a form with this token."""
        path = f"/{urlsplit(self._deployment.api_url).path.partition('/Prod/')[2]}"
        event = {
            "resource": path,
            "path": path,
            "httpMethod": "POST",
            "headers": {"Content-Type": "application/x-www-form-urlencoded"},
            "multiValueHeaders": {"Content-Type": ["application/x-www-form-urlencoded"]},
            "queryStringParameters": None,
            "multiValueQueryStringParameters": None,
            "pathParameters": None,
            "stageVariables": None,
            "requestContext": {"stage": "Prod", "httpMethod": "POST", "requestId": "e2e"},
            "body": urlencode({"token": token}),
            "isBase64Encoded": False,
        }
        invoked = self._lambda.invoke(FunctionName=self._function, Qualifier=version, Payload=json.dumps(event))
        answer = json.load(invoked["Payload"])
        assert answer.get("statusCode") == 200, answer
        messages: list[dict[str, Any]] = json.loads(answer["body"])["messages"]
        return messages
