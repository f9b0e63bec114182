"""The deployer: keeps what runs in LocalStack equal to the template, the function's code and the issuer's key set.

`python -m testbed.deployer` deploys once; with `--watch` it stays and does so again when LocalStack restarted, the code
changed or the issuer rotated its keys. It hands CloudFormation the SAM template as it stands, with nothing replaced but
the place of the code, just as `sam package` does.
"""

import argparse
import base64
import hashlib
import io
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

import botocore.exceptions
import localstack_client.session
from botocore.config import Config
from ruamel.yaml import YAML

from testbed.commands import last_lines
from testbed.deployment import Deployment, source_fingerprint
from testbed.errors import StackError
from testbed.http import fetch, fetch_key_set
from testbed.settings import ROOT, Settings

log = logging.getLogger("testbed.deployer")

STACK_NAME = "gatehouse"
BUCKET = "gatehouse-deployments"
TEMPLATE = ROOT / "lambda/template.yaml"
FINISHED = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


@dataclass(frozen=True)
class Wanted:
    """All that decides what is deployed; equal values need no deployment."""

    source: str
    key_set: str
    cloud_session: str


class Deployer:
    """Reconciles one CloudFormation stack."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._deployed: Wanted | None = None
        self._built = ""
        self._zip = settings.deployment_file.parent / "function.zip"
        session = localstack_client.session.Session()
        config = Config(retries={"max_attempts": 3}, connect_timeout=5, read_timeout=60)
        self._s3 = session.client("s3", config=config.merge(Config(s3={"addressing_style": "path"})))
        self._cloudformation = session.client("cloudformation", config=config)

    def reconcile(self) -> None:
        """Deploy if anything that decides it has changed, and write down what came of it.

        Raises:
            StackError: the cloud or the issuer is not there, or the deployment failed.
        """
        source = source_fingerprint()
        self._build(source)  # first, for it needs nobody: LocalStack is still starting meanwhile
        wanted = Wanted(source, self._key_set(), self._cloud_session())
        if wanted == self._deployed:
            return
        began = time.monotonic()
        self._deployed = None
        key_ids = [key.get("kid", "") for key in json.loads(wanted.key_set)["keys"]]
        self._write(Deployment(state="deploying", source=wanted.source, key_ids=key_ids))
        try:
            outputs = self._deploy(self._upload(), wanted.key_set)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise deployment_failed(str(error)) from error
        seconds = round(time.monotonic() - began, 2)
        self._deployed = wanted
        log.info("deployed in %.2f s, keys %s", seconds, ", ".join(key_ids))
        self._write(
            Deployment(
                state="deployed",
                source=wanted.source,
                key_ids=key_ids,
                api_url=outputs.get("MessagesUrl", ""),
                seconds=seconds,
            )
        )

    def watch(self, interval_s: float = 1.0, hurry_s: float = 0.1) -> Never:
        """Reconcile for ever; what fails is written down and tried again."""
        failure = ""
        while True:
            try:
                self.reconcile()
                failure = ""
            except StackError as error:
                if failure != error.sentence:
                    log.warning("%s", error)
                failure = error.sentence
                waiting = error.code in {"no_cloud", "no_keys"}
                state = Deployment(
                    state="waiting" if waiting else "failed", reason=str(error), source=source_fingerprint()
                )
                self._write(state)
            time.sleep(interval_s if self._deployed else hurry_s)

    def _write(self, deployment: Deployment) -> None:
        deployment.write(self._settings.deployment_file)

    def _key_set(self) -> str:
        """The issuer's public keys as canonical JSON, so that equal sets give equal text."""
        answer = fetch_key_set(self._settings.keys_url)
        document = answer.json()
        if answer.status != 200 or not isinstance(document, dict) or not document.get("keys"):
            raise StackError(
                code="no_keys",
                sentence=f"The issuer's key set at {self._settings.keys_url} could not be read.",
                mend="make logs S=mock-idp",
            )
        keys = sorted(document["keys"], key=lambda key: str(key.get("kid")))
        return json.dumps({"keys": keys}, separators=(",", ":"), sort_keys=True)

    def _cloud_session(self) -> str:
        """LocalStack's id for this run of itself: a new one means that it lost what was deployed."""
        answer = fetch(os.environ["AWS_ENDPOINT_URL"] + "/_localstack/info")
        document = answer.json()
        if answer.status != 200 or not isinstance(document, dict):
            raise StackError(code="no_cloud", sentence="LocalStack does not answer.", mend="make logs S=localstack")
        return str(document["session_id"])

    def _build(self, source: str) -> None:
        """Build the function's zip, unless it is already there for this source."""
        if source == self._built:
            return
        build = subprocess.run(
            [
                *(sys.executable, ROOT / "lambda/build.py"),
                *("--dependencies", self._settings.function_dependencies, "--out", self._zip),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if build.returncode:
            raise deployment_failed(build.stdout + build.stderr)
        self._built = source

    def _upload(self) -> dict[str, str]:
        """Put the zip where CloudFormation finds it, under the name of its content."""
        content = self._zip.read_bytes()
        key = f"messages/{hashlib.sha256(content).hexdigest()}.zip"
        self._s3.create_bucket(Bucket=BUCKET)
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        return {"Bucket": BUCKET, "Key": key}

    def _deploy(self, code: dict[str, str], key_set: str) -> dict[str, str]:
        wanted = {
            "StackName": STACK_NAME,
            "TemplateBody": packaged(TEMPLATE, code),
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            "Parameters": [
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in {
                    "OktaKeys": base64.b64encode(key_set.encode()).decode(),
                    "Issuer": self._settings.issuer,
                    "Audience": self._settings.audience,
                    "ClientId": self._settings.client_id,
                    "AllowedOrigin": self._settings.allowed_origins,
                }.items()
            ],
        }
        stack = self._stack()
        if stack and stack["StackStatus"] not in FINISHED:
            self._cloudformation.delete_stack(StackName=STACK_NAME)
            self._wait("stack_delete_complete")
            stack = None
        try:
            if stack:
                self._cloudformation.update_stack(**wanted)
                self._wait("stack_update_complete")
            else:
                self._cloudformation.create_stack(**wanted)
                self._wait("stack_create_complete")
        except botocore.exceptions.WaiterError as error:
            raise deployment_failed(self._failed_resources()) from error
        except botocore.exceptions.ClientError as error:
            if "No updates are to be performed" not in str(error):
                raise
        outputs = (self._stack() or {}).get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in outputs}

    def _stack(self) -> dict[str, Any] | None:
        try:
            stacks: list[dict[str, Any]] = self._cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
        except botocore.exceptions.ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return stacks[0]

    def _wait(self, name: str) -> None:
        """Wait in short steps: the waiters' own 30 s are made for AWS."""
        waiter = self._cloudformation.get_waiter(name)
        waiter.wait(StackName=STACK_NAME, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300})

    def _failed_resources(self) -> str:
        events = self._cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
        lines = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', event['ResourceStatus'])}"
            for event in events
            if event["ResourceStatus"].endswith("_FAILED")
        ]
        return "\n".join(lines) or "CloudFormation gives no reason"


def deployment_failed(detail: str) -> StackError:
    """Say that the deployment failed, with the cloud's own words."""
    return StackError(
        code="deployment_failed",
        sentence="The application could not be deployed to LocalStack.",
        mend="make logs S=localstack; then mend lambda/ and save: the deployer tries again by itself",
        detail=last_lines(detail),
    )


def packaged(template: Path, code: dict[str, str]) -> str:
    """The template with every local CodeUri replaced by the uploaded zip, as `sam package` does it."""
    yaml = YAML()
    document = yaml.load(template)
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = code
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def main() -> int:
    """Deploy once, or watch."""
    parser = argparse.ArgumentParser(prog="python -m testbed.deployer", description=__doc__)
    parser.add_argument("--watch", action="store_true", help="stay, and deploy again when something changed")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        deployer = Deployer(Settings.from_environment())
        if arguments.watch:
            deployer.watch()
        deployer.reconcile()
    except StackError as error:
        log.error("%s", error)  # noqa: TRY400 -- the sentence is for a person, the traceback is not
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
