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
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Never, Self
from urllib.parse import urlsplit

import botocore.exceptions
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from testbed.cloud_stack import CloudStack, NotDeployedError, Order
from testbed.deployment import APPLICATION, Deployment, deployment_failed, source_fingerprint
from testbed.errors import StackError
from testbed.http import Answer, fetch
from testbed.settings import ROOT, Settings

log = logging.getLogger("testbed.deployer")

STACK_NAME = "gatehouse"
BUCKET = "gatehouse-deployments"
TEMPLATE = APPLICATION / "template.yaml"

# How often the files are looked at; nobody else notices.
LOOK_S = 0.5
# How long the mock issuer holds back the answer to somebody who has its key set already.
LONG_POLL_S = 30
# How soon an issuer, or a cloud, that is away is asked for again: at first, and in the end.
HURRY_S, AWAY_S = 0.1, 2.0
# How soon a deployment that failed is tried again while no good one stands.
FAILED_S, FAILED_AT_MOST_S = 1.0, 60.0
# How often a real organisation is asked for its key set: as it says (max-age), within reason.
ORGANISATION_S = (60, 300, 3600)
# After how long even a connection that seems to stand is made anew.
HELD_AT_MOST_S = 600


@dataclass(frozen=True)
class Wanted:
    """All that decides what is deployed; equal values need no deployment."""

    source: str
    key_set: str
    cloud_session: str

    @property
    def key_ids(self) -> list[str]:
        """The `kid`s of the key set."""
        return [key.get("kid", "") for key in json.loads(self.key_set)["keys"]]


class Deployer:
    """Reconciles one CloudFormation stack."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = settings.deployment_file
        self._zip = settings.deployment_file.parent / "function.zip"
        self._endpoint = os.environ["AWS_ENDPOINT_URL"]
        self._stack = CloudStack(STACK_NAME)
        self._built = ""
        self._written = Deployment.read(self._file) or Deployment(state="waiting")
        self._settled: tuple[Wanted, Deployment] | None = None
        self._good: Package | None = None
        self._lost = self._written.lost
        self._changed = threading.Event()

    def reconcile(self) -> Deployment:
        """Deploy if anything that decides it has changed, and write down how it is now, whatever it was before."""
        try:
            wanted = self._wanted()
            if self._settled is None or self._settled[0] != wanted:
                self._settled = None
                self._settled = wanted, self._deploy(wanted)
            found = self._settled[1]
        except StackError as error:
            waiting = error.code in {"no_cloud", "no_keys"}
            found = replace(
                self._written,
                state="waiting" if waiting else "failed",
                reason=error.sentence if waiting else error.detail,
                source=source_fingerprint(),
            )
        self._write(found)
        return found

    def watch(self) -> Never:
        """Reconcile for ever, whenever something changed; what waits or fails is tried again with growing pauses."""
        for follow in (self._follow_keys, self._follow_cloud):
            threading.Thread(target=follow, daemon=True).start()
        pause_s = HURRY_S
        while True:
            self._changed.clear()
            source = source_fingerprint()
            found = self.reconcile()
            if found.state == "deployed" or (found.state == "failed" and self._good):
                pause_s, again = HURRY_S, float("inf")  # what failed will fail again until somebody mends it
            else:
                at_least, at_most = (HURRY_S, AWAY_S) if found.state == "waiting" else (FAILED_S, FAILED_AT_MOST_S)
                pause_s = max(pause_s, at_least)
                again = time.monotonic() + pause_s
                pause_s = min(pause_s * 2, at_most)
            while source_fingerprint() == source and (left := again - time.monotonic()) > 0:
                if self._changed.wait(min(left, LOOK_S)):
                    break

    def _follow_keys(self) -> Never:
        """Say whenever the issuer's key set is another one.

        The mock issuer answers when it is (RFC 7240's `wait`); another one is asked as seldom as it wishes.
        """
        tag = '"none"'
        while True:
            answer = fetch(
                self._settings.keys_url,
                headers={"If-None-Match": tag, "Prefer": f"wait={LONG_POLL_S}"},
                timeout_s=LONG_POLL_S + 5,
            )
            if answer.status == 200:
                found = answer.headers.get("etag") or hashlib.sha256(answer.body).hexdigest()
                if found != tag:
                    self._changed.set()
                tag = found
            if answer.status == 0:
                time.sleep(AWAY_S)
            elif "preference-applied" not in answer.headers:
                time.sleep(key_set_age_s(answer))

    def _follow_cloud(self) -> Never:
        """Say whenever LocalStack comes or goes: a connection on which nothing is asked ends when it does."""
        address = urlsplit(self._endpoint)
        where = (address.hostname or "localhost", address.port or 80)
        while True:
            try:
                with socket.create_connection(where, timeout=AWAY_S) as held:
                    self._changed.set()
                    held.settimeout(HELD_AT_MOST_S)
                    held.recv(1)
            except TimeoutError:
                continue
            except OSError:
                time.sleep(HURRY_S)
                continue
            self._changed.set()

    def _wanted(self) -> Wanted:
        """What is to be deployed.

        Raises:
            StackError: it cannot be built (`deployment_failed`), or cloud or issuer are away (`no_cloud`, `no_keys`).
        """
        source = source_fingerprint()
        self._build(source)  # first, for it needs nobody: LocalStack is still starting meanwhile
        return Wanted(source, self._key_set(), self._cloud_session())

    def _deploy(self, wanted: Wanted) -> Deployment:
        """Deploy, and look at what came of it.

        Raises:
            StackError: the template cannot be read (`deployment_failed`), or the cloud went away (`no_cloud`).
        """
        began = time.monotonic()
        if self._written.cloud_session not in {"", wanted.cloud_session}:
            self._lose("LocalStack restarted")
        package = Package.of(TEMPLATE, self._zip)
        parameters = self._parameters(wanted.key_set)
        draft = Deployment(
            state="deploying", source=wanted.source, key_ids=wanted.key_ids, cloud_session=wanted.cloud_session
        )
        self._write(draft)
        try:
            outputs = self._update_or_create(package, parameters)
        except botocore.exceptions.BotoCoreError as error:
            raise no_cloud() from error
        except botocore.exceptions.ClientError as error:
            raise deployment_failed(str(error)) from error
        except NotDeployedError as failure:
            reason = str(failure) + self._fall_back(failure, parameters)
            return replace(draft, state="failed", reason=reason)
        self._good = package
        seconds = round(time.monotonic() - began, 2)
        log.info("deployed in %.2f s, keys %s", seconds, ", ".join(wanted.key_ids))
        return replace(draft, state="deployed", api_url=outputs.get("MessagesUrl", ""), seconds=seconds)

    def _update_or_create(self, package: "Package", parameters: dict[str, str]) -> dict[str, str]:
        """Update the stack, or create it where there is none or where LocalStack could not update it."""
        order = self._order(package, parameters)
        if self._stack.stands():
            try:
                return self._stack.update(order)
            except NotDeployedError as failure:
                if failure.untouched:
                    raise
                first = str(failure).splitlines()[0]
                self._lose(f"LocalStack could not update the stack ({first}), so it was deployed afresh")
        return self._stack.create_afresh(order)

    def _fall_back(self, failure: NotDeployedError, parameters: dict[str, str]) -> str:
        """After a failed deployment, deploy the last good template again, so that the API answers; say so."""
        if self._good is None:
            return ""
        if failure.untouched:
            return "\nThe last good template is still deployed."
        try:
            self._stack.create_afresh(self._order(self._good, parameters))
        except NotDeployedError as error:
            self._good = None
            return f"\nThe last good template could not be deployed again, either: {error}"
        return "\nThe last good template is deployed again."

    def _order(self, package: "Package", parameters: dict[str, str]) -> Order:
        self._stack.upload(BUCKET, package.key, package.code)
        return Order(template=package.template, parameters=parameters)

    def _parameters(self, key_set: str) -> dict[str, str]:
        return {
            "OktaKeys": base64.b64encode(key_set.encode()).decode(),
            "Issuer": self._settings.issuer,
            "Audience": self._settings.audience,
            "ClientId": self._settings.client_id,
            "AllowedOrigin": self._settings.allowed_origins,
            "ExplainRefusalsTo": ",".join(_networks(self._settings.explain_refusals_to)),
        }

    def _lose(self, why: str) -> None:
        """Say that the tables are empty now, and go on saying so while the stack runs."""
        self._lost = f"{why} at {time.strftime('%H:%M:%S')}: what was stored before is gone."
        log.warning("%s", self._lost)

    def _write(self, deployment: Deployment) -> None:
        """Replace what the commands read, where it is something else now, and log what went wrong."""
        deployment = replace(deployment, lost=self._lost)
        if deployment == self._written and self._file.exists():
            return
        news = (deployment.state, deployment.reason) != (self._written.state, self._written.reason)
        if deployment.reason and news:
            log.log(
                logging.ERROR if deployment.state == "failed" else logging.INFO,
                *("%s: %s", deployment.state, deployment.reason),
            )
        deployment.write(self._file)
        self._written = deployment

    def _key_set(self) -> str:
        """The issuer's public keys as canonical JSON, so that equal sets give equal text."""
        answer = fetch(self._settings.keys_url)
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
        answer = fetch(self._endpoint + "/_localstack/info")
        document = answer.json()
        if answer.status != 200 or not isinstance(document, dict):
            raise no_cloud()
        return str(document["session_id"])

    def _build(self, source: str) -> None:
        """Build the function's zip, unless it is already there for this source."""
        if source == self._built:
            return
        build = subprocess.run(
            [
                *(sys.executable, APPLICATION / "build.py"),
                *("--dependencies", self._settings.function_dependencies, "--out", self._zip),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if build.returncode:
            raise deployment_failed(build.stdout + build.stderr)
        self._built = source


def _networks(text: str) -> Iterator[str]:
    """The networks of a list, with those that this machine is on in place of the word `own`."""
    for each in text.split(","):
        if each.strip() != "own":
            yield each.strip()
            continue
        for line in Path("/proc/net/route").read_text().splitlines()[1:]:
            _, destination, gateway, _, _, _, _, mask, *_ = line.split()
            if int(gateway, 16) == 0 and int(mask, 16):  # numbers whose last byte comes first
                address, netmask = (ip_address(int(word, 16).to_bytes(4, "little")) for word in (destination, mask))
                yield str(ip_network(f"{address}/{netmask}"))


@dataclass(frozen=True, kw_only=True)
class Package:
    """A template and the code that it is to run.

    Attributes:
        template: text, with the place of the code in it.
        key: the code's name in the bucket: that of its content.
        code: the function's zip.
    """

    template: str
    key: str
    code: bytes

    @classmethod
    def of(cls, template: Path, zip_file: Path) -> Self:
        """Read both.

        Raises:
            StackError: the template is none, half-written perhaps (`deployment_failed`).
        """
        code = zip_file.read_bytes()
        key = f"messages/{hashlib.sha256(code).hexdigest()}.zip"
        return cls(template=packaged(template, {"Bucket": BUCKET, "Key": key}), key=key, code=code)


def key_set_age_s(answer: Answer) -> float:
    """How long a real organisation's key set is taken to be current, by its own word and within reason.

    Source: RFC 9111 section 5.2.2.1.
    """
    at_least, unsaid, at_most = ORGANISATION_S
    said = re.search(r"\bmax-age=(\d+)", answer.headers.get("cache-control", ""))
    return min(max(int(said[1]), at_least), at_most) if said else unsaid


def no_cloud() -> StackError:
    """Say that LocalStack is away."""
    return StackError(code="no_cloud", sentence="LocalStack does not answer.", mend="make logs S=localstack")


def packaged(template: Path, code: dict[str, str]) -> str:
    """The template with every local CodeUri replaced by the uploaded zip, as `sam package` does it.

    Raises:
        StackError: it is no YAML, or no template (`deployment_failed`); with the line where it ends to be one.
    """
    yaml = YAML()
    name = template.relative_to(ROOT) if template.is_relative_to(ROOT) else template
    try:
        document = yaml.load(template)
    except FileNotFoundError as error:
        raise deployment_failed(f"{name} is not there.") from error
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        where = f", line {mark.line + 1}" if mark else ""
        what = error.problem if isinstance(error, MarkedYAMLError) else error
        raise deployment_failed(f"{name}{where}: this is not YAML: {what}.") from error
    except (UnicodeDecodeError, ValueError) as error:
        raise deployment_failed(f"{name}: this is not YAML: {error}.") from error
    resources = document.get("Resources") if isinstance(document, CommentedMap) else None
    if not isinstance(resources, CommentedMap):
        raise deployment_failed(f"{name} has no Resources: it is not a template, or not a whole one.")
    for logical_id, resource in resources.items():
        line = resources.lc.key(logical_id)[0] + 1
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise deployment_failed(f"{name}, line {line}: the resource {logical_id} has no Type.")
        if resource["Type"] == "AWS::Serverless::Function":
            if not isinstance(resource.get("Properties"), dict):
                raise deployment_failed(f"{name}, line {line}: the function {logical_id} has no Properties.")
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
    except StackError as error:
        log.error("%s", error)  # noqa: TRY400 -- the sentence is for a person, the traceback is not
        return 1
    if arguments.watch:
        deployer.watch()
    return 0 if deployer.reconcile().state == "deployed" else 1


if __name__ == "__main__":
    sys.exit(main())
