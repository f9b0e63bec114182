"""The stack as Docker Compose services; needs nothing on this machine but Docker and Python's standard library."""

import json
import os
import shutil
import stat
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from testbed.commands import last_lines, run
from testbed.deployment import Deployment, deployment_failed, source_fingerprint
from testbed.errors import StackError
from testbed.settings import ROOT, Settings
from testbed.setup import digest

FUNCTION_LOG = "/tmp/function.log"  # noqa: S108 -- inside the container, whose /tmp is its own
POLL_S = 1.0
# A container is being started again after it ended, has ended for good, or answers its health check wrongly.
BROKEN = {"restarting", "exited", "dead", "unhealthy"}
SOURCES = ("docker-compose.yml", "mock_idp", "frontend", "localstack", "testbed", "lambda")


def engine_version() -> str | None:
    """The Docker engine's version, or None where no engine answers."""
    if not shutil.which("docker"):
        return None
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=5)
    except subprocess.TimeoutExpired:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def compose_version() -> str | None:
    """The version of Compose v2, or None without it."""
    answer = subprocess.run(["docker", "compose", "version", "--short"], capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else None


def compose_answers() -> bool:
    """Whether stacks can run in Compose here."""
    return bool(engine_version() and compose_version())


def _check_readable(path: Path) -> None:
    """Make sure that the containers' user, who is a stranger here, can read what is mounted for them.

    Raises:
        StackError: a restrictive umask, most likely, keeps it from them (`not_readable`).
    """
    for each in [path, *path.rglob("*")]:
        wanted = stat.S_IROTH | (stat.S_IXOTH if each.is_dir() else 0)
        if "__pycache__" not in each.parts and each.stat().st_mode & wanted != wanted:
            raise StackError(
                code="not_readable",
                sentence=f"{each} cannot be read by the containers, which do not run as you.",
                mend=f"chmod -R o+rX {path}; or run without Docker: make up MODE=native",
            )


class ComposeStack:
    """Builds, starts, watches and stops the containers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stamp = settings.folder / "images"
        self._since = ""

    def running(self) -> bool:
        """Whether any container of this stack runs."""
        return any(service["State"] == "running" for service in self._services())

    def up_to_date(self) -> bool:
        """Whether every service is healthy and was built and started from what stands here now."""
        services = self._services()
        healthy = services and all(service.get("Health") == "healthy" for service in services)
        return bool(healthy) and self._stamp.exists() and self._stamp.read_text() == self._fingerprint()

    def states(self) -> dict[str, str]:
        """Service → state and health."""
        return {
            service["Service"]: (service["State"] == "running" and service.get("Health")) or service["State"]
            for service in self._services()
        }

    def build_needed(self) -> bool:
        """Whether the images differ from what stands here now."""
        return not self._stamp.exists() or self._stamp.read_text() != self._fingerprint()

    def build(self) -> None:
        """Build the images."""
        self._compose(
            "build",
            "--quiet",
            code="build_failed",
            sentence="The images could not be built.",
            mend="check the network and that the base image can be pulled; PYTHON_IMAGE names another one",
        )

    def start(self) -> None:
        """Start the services and wait until all are healthy, the deployment included.

        Raises:
            StackError: `service_died`, with the last lines of the service that is to blame; `not_readable`.
        """
        for path in (ROOT / "lambda", self._settings.idp_config):
            _check_readable(path)
        self._since = datetime.now(UTC).isoformat()
        self._compose(
            *("up", "--detach", "--remove-orphans", "--no-build"),
            code="service_died",
            sentence="The services could not be started.",
            mend="make logs",
        )
        self._wait_healthy()
        self._stamp.parent.mkdir(parents=True, exist_ok=True)
        self._stamp.write_text(self._fingerprint())

    def _wait_healthy(self) -> None:
        """Wait until every service is healthy. Compose's own --wait does not see one that is started again and again.

        Raises:
            StackError: `service_died`, `deployment_failed` or `service_slow`.
        """
        deadline = time.monotonic() + self._settings.start_timeout_s
        while True:
            states = self.states()
            if states and set(states.values()) == {"healthy"}:
                return
            broken = [name for name, state in states.items() if state in BROKEN]
            deployment = Deployment.parse(self.read_file("deployer", "/state/deployment.json"))
            if deployment and deployment.state == "failed" and deployment.source == source_fingerprint():
                raise deployment_failed(deployment.reason)
            slow = time.monotonic() > deadline
            if broken or slow:
                name = (broken or [name for name, state in states.items() if state != "healthy"] or ["deployer"])[0]
                raise StackError(
                    code="service_died" if broken else "service_slow",
                    sentence=f"The service {name} did not become healthy: it is {states.get(name, 'not there')}.",
                    detail=self.log_tail(name),
                    mend=f"make logs S={name} MODE=compose, mend what it says, then make up",
                )
            time.sleep(POLL_S)

    def stop(self, *, volumes: bool = False) -> None:
        """Remove the containers and networks, and with `volumes` the data too."""
        self._compose(
            *("down", "--remove-orphans", "--timeout", "8", *(["--volumes"] if volumes else [])),
            code="stop_failed",
            sentence="Docker could not stop the stack.",
            mend="docker compose ls shows what is left",
        )

    def log_tail(self, name: str) -> str:
        """The last lines of a service's output, from where this object started it."""
        since = ("--since", self._since) if self._since else ()
        return last_lines(self._ask("logs", "--no-color", "--no-log-prefix", "--tail", "12", *since, name))

    def follow(self, name: str | None) -> int:
        """Show a service's output (or everybody's) and go on as it grows, until Ctrl-C."""
        if name == "lambda":
            words = self._words("exec", "-T", "localstack", "tail", "-n", "200", "-F", FUNCTION_LOG)
        else:
            words = self._words("logs", "--follow", "--tail", "200", *([name] if name else []))
        return subprocess.call(words, cwd=ROOT, env=self._full_environment())

    def read_file(self, service: str, path: str) -> str:
        """A file from inside a service's container; empty where it is not there."""
        return self._ask("exec", "-T", service, "cat", path)

    def _services(self) -> list[dict[str, Any]]:
        text = self._ask("ps", "--all", "--format", "json").strip()
        if text.startswith("["):  # Compose before 2.21 prints one array, later ones an object a line
            found: list[dict[str, Any]] = json.loads(text)
            return found
        return [json.loads(line) for line in text.splitlines()]

    def _fingerprint(self) -> str:
        """Changes when a source or a setting changes."""
        return digest(*(ROOT / source for source in SOURCES), text=repr(sorted(self._environment().items())))

    def _ask(self, *words: str) -> str:
        """What Compose prints on stdout, whether it succeeds or not."""
        answer = subprocess.run(
            self._words(*words),
            cwd=ROOT,
            env=self._full_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if words[0] == "exec" else None,  # a file may not be there yet
            text=True,
            check=False,
        )
        return answer.stdout

    def _compose(self, *words: str, code: str, sentence: str, mend: str) -> None:
        run(self._words(*words), environment=self._environment(), code=code, sentence=sentence, mend=mend)

    def _words(self, *words: str) -> list[str]:
        return ["docker", "compose", "--project-name", self._settings.stack, "--progress", "plain", *words]

    def _full_environment(self) -> dict[str, str]:
        return dict(os.environ) | self._environment()

    def _environment(self) -> dict[str, str]:
        settings = self._settings
        return {
            "BIND": settings.bind,
            **{name: str(port) for name, port in settings.ports.items()},
            "FRONTEND_URL": settings.frontend_url,
            "IDP_PUBLIC_URL": settings.idp_url,
            "IDP_TLS_PUBLIC_URL": settings.idp_tls_url,
            "IDP_CONFIG": str(settings.idp_config),
            # Of no use to the issuer, but another content makes another container.
            "IDP_CONFIG_DIGEST": digest(settings.idp_config)[:16],
            "IDP_CONTROL_NETWORKS": settings.idp_control_networks,
            "IDP_CONTROL_KEY": settings.idp_control_key,
            "IDP_LOG_LEVEL": settings.idp_log_level,
            "PROCESS_EXECUTOR_ANSWERS": settings.answers,
            "PROCESS_EXECUTOR_CPU_SHARE": settings.cpu_share,
            "OKTA_ISSUER": settings.issuer,
            "OKTA_CLIENT_ID": settings.client_id,
            "OKTA_AUDIENCE": settings.audience,
            "OKTA_SCOPES": settings.scopes,
            "ALLOWED_ORIGINS": settings.allowed_origins,
            "ALLOWED_HOSTS": settings.allowed_hosts,
            "EXTRA_CORS_ALLOWED_ORIGINS": settings.allowed_cloud_origins,
            "API_URL": settings.api_url,
            "WIDGET_ENGINE": settings.engine,
            "PYTHON_IMAGE": settings.python_image,
            # The mock issuer has a shorter way inside; docker-compose.yml knows it.
            **({} if settings.uses_mock_issuer else {"DEPLOYER_KEYS_URL": settings.keys_url}),
        }
