"""One CloudFormation stack in LocalStack, and whether it really is what it says.

LocalStack 4.14 calls a stack UPDATE_COMPLETE after an update that failed and took the API's stage away, and deploys a
resource that it does not know "as a fallback", which is not at all. So the last word is never the status alone.
"""

import functools
import time
from dataclasses import dataclass, field
from typing import Any

import botocore.exceptions
import localstack_client.session
from botocore.config import Config

FINISHED = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
LOOK_S = 0.2
# How long what somebody else began may take.
BEGUN_S = 60
NOT_DEPLOYED = "deployed as a fallback"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What CloudFormation is asked for.

    Attributes:
        template: the text of a template whose code is in S3 already.
        parameters: values of the template's parameters.
    """

    template: str
    parameters: dict[str, str] = field(repr=False)

    def arguments(self, name: str) -> dict[str, Any]:
        """The arguments of CloudFormation's create_stack and update_stack."""
        return {
            "StackName": name,
            "TemplateBody": self.template,
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()],
        }


class NotDeployedError(Exception):
    """CloudFormation did not do what was asked; the text has a line for each resource with the reason.

    Args:
        reason: the lines.
        untouched: the stack is as it was before.
    """

    def __init__(self, reason: str, *, untouched: bool = False) -> None:
        super().__init__(reason)
        self.untouched = untouched


class CloudStack:
    """Creates, updates and deletes one stack, and looks at what came of it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._session = localstack_client.session.Session()
        self._config = Config(retries={"max_attempts": 3}, connect_timeout=5, read_timeout=60)
        self._cloudformation = self._session.client("cloudformation", config=self._config)

    @functools.cached_property
    def _apis(self) -> Any:
        return self._session.client("apigateway", config=self._config)

    @functools.cached_property
    def _s3(self) -> Any:
        return self._session.client("s3", config=self._config.merge(Config(s3={"addressing_style": "path"})))

    def upload(self, bucket: str, key: str, content: bytes) -> dict[str, str]:
        """Put code where CloudFormation finds it."""
        self._s3.create_bucket(Bucket=bucket)
        self._s3.put_object(Bucket=bucket, Key=key, Body=content)
        return {"Bucket": bucket, "Key": key}

    def stands(self) -> bool:
        """Whether the stack is there and finished, so that it can be updated.

        What a deployer began that was killed comes to its end first: LocalStack cannot delete a stack in the making.
        """
        found = self._describe()
        end = time.monotonic() + BEGUN_S
        while found and found["StackStatus"].endswith("_IN_PROGRESS") and time.monotonic() < end:
            time.sleep(LOOK_S)
            found = self._describe()
        return found is not None and found["StackStatus"] in FINISHED

    def update(self, order: Order) -> dict[str, str]:
        """Update the stack; its outputs come back.

        Raises:
            NotDeployedError: it failed, whatever its status says.
        """
        before = {event["EventId"] for event in self._events()}
        try:
            self._cloudformation.update_stack(**order.arguments(self._name))
        except botocore.exceptions.ClientError as error:
            if "No updates are to be performed" not in str(error):
                raise NotDeployedError(_said(error), untouched=True) from error
            return self._outputs()
        return self._outcome("stack_update_complete", before)

    def create_afresh(self, order: Order) -> dict[str, str]:
        """Create the stack, after deleting one that is there; its outputs come back.

        Raises:
            NotDeployedError: it failed, whatever its status says.
        """
        if self._describe():
            self._delete()
        try:
            self._cloudformation.create_stack(**order.arguments(self._name))
        except botocore.exceptions.ClientError as error:
            raise NotDeployedError(_said(error)) from error
        return self._outcome("stack_create_complete", set())

    def _delete(self) -> None:
        """Delete the stack. Botocore's waiter gives up when it still finds the status from before."""
        self._cloudformation.delete_stack(StackName=self._name)
        end = time.monotonic() + BEGUN_S
        while (found := self._describe()) and time.monotonic() < end:
            time.sleep(LOOK_S)
        if found:
            raise NotDeployedError(f"{self._name}: the old stack could not be deleted, it is {found['StackStatus']}")

    def _outcome(self, waiter: str, before: set[str]) -> dict[str, str]:
        try:
            self._wait(waiter)
            failed = False
        except botocore.exceptions.WaiterError:
            failed = True
        problems = self._problems(before)
        if failed or problems:
            raise NotDeployedError("\n".join(problems) or "CloudFormation gives no reason")
        return self._outputs()

    def _problems(self, before: set[str]) -> list[str]:
        """A line for each resource that is not there as it should be, and why."""
        found = []
        for event in self._events():
            reason = event.get("ResourceStatusReason", "")
            failed = event["ResourceStatus"].endswith("_FAILED") and event["LogicalResourceId"] != self._name
            if event["EventId"] not in before and (failed or NOT_DEPLOYED in reason):
                found.append(f"{event['LogicalResourceId']}: {reason or event['ResourceStatus']}")
        stack = self._describe() or {}
        reason = stack.get("StackStatusReason", "")
        if reason and (NOT_DEPLOYED in reason or stack["StackStatus"] not in FINISHED):
            found.append(reason)
        found += [f"{name}: no stage of this API answers" for name in self._apis_without_stage()]
        return list(dict.fromkeys(found))

    def _apis_without_stage(self) -> list[str]:
        resources = self._cloudformation.describe_stack_resources(StackName=self._name)["StackResources"]
        apis = [each for each in resources if each["ResourceType"] == "AWS::ApiGateway::RestApi"]
        return [
            each["LogicalResourceId"]
            for each in apis
            if "PhysicalResourceId" in each and not self._apis.get_stages(restApiId=each["PhysicalResourceId"])["item"]
        ]

    def _outputs(self) -> dict[str, str]:
        outputs = (self._describe() or {}).get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in outputs}

    def _describe(self) -> dict[str, Any] | None:
        try:
            stacks: list[dict[str, Any]] = self._cloudformation.describe_stacks(StackName=self._name)["Stacks"]
        except botocore.exceptions.ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return stacks[0]

    def _events(self) -> list[dict[str, Any]]:
        pages = self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=self._name)
        return [event for page in pages for event in page["StackEvents"]]

    def _wait(self, name: str) -> None:
        """Wait in short steps: the waiters' own 30 s are made for AWS."""
        waiter = self._cloudformation.get_waiter(name)
        waiter.wait(StackName=self._name, WaiterConfig={"Delay": LOOK_S, "MaxAttempts": 300})


def _said(error: botocore.exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message") or error)
