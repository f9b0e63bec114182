"""The stack as plain processes under supervisord."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from testbed.commands import last_lines, run
from testbed.deployment import Deployment, deployment_failed, source_fingerprint
from testbed.errors import StackError
from testbed.http import fetch
from testbed.progress import DroppedError
from testbed.settings import ROOT, Settings, bad_setting
from testbed.setup import digest

# All that services see of the shell that started them; the rest is set below, so that both modes see the same.
INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
UNIX_SOCKET_PATH_LIMIT = 100
# Says in a process's environment whose it is.
MARK = "GATEHOUSE_STACK"
# Supervisord waits a second longer before each: the last of them comes after an hour.
START_RETRIES = 85
# Seldom enough that looking does not slow down what is looked at.
POLL_S = 0.2
ALIVE = {"STARTING", "RUNNING"}
# How a service is called that runs while its supervisor does not.
UNSUPERVISED = "not supervised"
# Orphans hold nothing that outlives a run: they get no more time than it takes to close a socket.
ORPHAN_S = 2


@dataclass(frozen=True, kw_only=True)
class Program:
    """A service of the stack.

    Attributes:
        name: as in `make logs S=<name>`; the same as the Compose service.
        health_url: answers 200 when the service can be used; empty for the deployer, which writes a file.
        sources: what it runs; a change there restarts it at the next `make up`.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    health_url: str
    sources: tuple[Path, ...]


class NativeStack:
    """Starts, watches and stops the programs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.folder
        self._conf = self._folder / "supervisord.conf"
        self._logged: dict[str, int] = {}
        self.programs = {program.name: program for program in self._programs()}

    def running(self) -> bool:
        """Whether this stack's supervisor answers."""
        with self._supervisor() as supervisor:
            return supervisor is not None

    def up_to_date(self) -> bool:
        """Whether everything runs as the settings and the sources now say."""
        states = self.states()
        current = self._conf.exists() and self._conf.read_text() == self._configuration()
        return current and all(states.get(name) == "RUNNING" for name in self.programs)

    def states(self) -> dict[str, str]:
        """Program → supervisor's state (RUNNING, FATAL, …), or "not supervised"; empty when nothing runs."""
        states = {info["name"]: info["statename"] for info in self._process_infos()}
        if states:
            return states
        named = (process.environ().get("SUPERVISOR_PROCESS_NAME", "") for process in self._marked())
        return {name: UNSUPERVISED for name in named if name in self.programs}

    def pids(self) -> dict[str, int]:
        """Program → process id, of those that are starting or running."""
        return {info["name"]: info["pid"] for info in self._process_infos() if info["statename"] in ALIVE}

    def _process_infos(self) -> list[dict[str, Any]]:
        with self._supervisor() as supervisor:
            infos: list[dict[str, Any]] = supervisor.getAllProcessInfo() if supervisor else []
        return infos

    def start(self) -> None:
        """Start the supervisor, or let a running one restart what changed and start what is down."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in ("logs", "tmp"):
            (self._folder / name).mkdir(exist_ok=True)
        for name in self.programs:  # what is said of this start is what is logged from here on
            path = self.log_file(name)
            self._logged[name] = path.stat().st_size if path.exists() else 0
        if not self.running():
            self.end_orphans()
            self._socket().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write_configuration()
            self.log_file("supervisord").touch(mode=0o600)  # it sets its umask only after it has opened it
            self._settings.deployment_file.unlink(missing_ok=True)
            inherited = [f"{name}={os.environ[name]}" for name in INHERITED if name in os.environ]
            run(
                # It bears the mark, too: one that was interrupted while starting must not start anything later.
                ["env", "-i", *inherited, f"{MARK}={self._folder}", _supervisor_tool("supervisord"), "-c", self._conf],
                code="supervisor_failed",
                sentence="The process supervisor could not be started.",
                mend="make down, then make up again; `make doctor` looks for causes",
            )
            return
        self._write_configuration()
        run(
            [_supervisor_tool("supervisorctl"), "-c", self._conf, "update"],
            code="supervisor_failed",
            sentence="The running supervisor could not take the new settings.",
            mend="make down, then make up again",
        )
        with self._supervisor() as supervisor:
            for info in supervisor.getAllProcessInfo():
                if info["statename"] == "BACKOFF":  # its next try comes now, however long it was to wait
                    supervisor.stopProcess(info["name"])
            supervisor.startAllProcesses(False)

    def wait_healthy(self, name: str, given_up: threading.Event | None = None) -> str:
        """Wait until a program can be used; a word on it comes back.

        Args:
            name: the program.
            given_up: set when another one failed, so that there is nothing to wait for any more.

        Raises:
            StackError: it died (`service_died`), even if it is started again, or took too long (`service_slow`); with
                the last lines of this run.
            DroppedError: it was given up.
        """
        given_up = given_up or threading.Event()
        program = self.programs[name]
        deadline = time.monotonic() + self._settings.start_timeout_s
        started_as = self.pids().get(name)
        reason = ""
        while time.monotonic() < deadline:
            alive = started_as is not None and self.pids().get(name) == started_as
            if program.health_url:
                answer = fetch(program.health_url, timeout_s=2)
                if answer.status == 200:
                    return ""
                reason = f"{program.health_url} answers {answer.status or answer.body.decode(errors='replace')}"
            elif alive:
                deployment = Deployment.read(self._settings.deployment_file)
                if deployment and deployment.source == source_fingerprint():
                    if deployment.state == "failed":
                        raise deployment_failed(deployment.reason)
                    if deployment.state == "deployed" and sorted(deployment.key_ids) == self._issued_key_ids():
                        return f"deployed in {deployment.seconds} s"
                    reason = deployment.reason or "it is deploying"
            if not alive:
                raise StackError(
                    code="service_died",
                    sentence=f"The service {name} stopped while it was starting.",
                    detail=self.log_tail(name),
                    mend=f"make logs S={name}, mend what it says, then make up",
                )
            if given_up.wait(POLL_S):
                raise DroppedError
        raise StackError(
            code="service_slow",
            sentence=f"The service {name} was not healthy after {self._settings.start_timeout_s:.0f} s: {reason}.",
            detail=self.log_tail(name),
            mend=f"make logs S={name}; START_TIMEOUT_S gives it longer",
        )

    def _issued_key_ids(self) -> list[str]:
        """What the issuer signs with now: a deployment from before a rotation is not yet the one that is meant."""
        key_set = fetch(self._settings.keys_url).json() or {}
        return sorted(key["kid"] for key in key_set.get("keys", []))

    def stop(self) -> None:
        """Stop everything and leave no process and no temporary folder; data that outlives a run stays."""
        with self._supervisor() as supervisor:
            if supervisor is not None:
                own = psutil.Process(supervisor.getPID())
                supervisor.stopAllProcesses(False)  # all at once: a shutdown alone takes them a second apart
                supervisor.shutdown()
                _wait_gone([own], timeout_s=20)
        self.end_orphans()
        for path in (self._folder / "localstack", self._folder / "tmp", self._socket().parent):
            if path != self._folder:
                shutil.rmtree(path, ignore_errors=True)
        for path in (
            self._settings.deployment_file,
            self._settings.deployment_file.with_name("function.zip"),
        ):
            path.unlink(missing_ok=True)

    def follow(self, name: str | None) -> int:
        """Show a program's output (or everybody's) and go on as it grows, until Ctrl-C."""
        names = [name] if name else list(self.programs)
        return subprocess.call(["tail", "-n", "200", "-F", *[str(self.log_file(each)) for each in names]])

    def log_file(self, name: str) -> Path:
        """Where a program's output goes."""
        return self._folder / "logs" / f"{name}.log"

    def log_tail(self, name: str) -> str:
        """The last lines of a program's output, from where it stood when this object started it."""
        path = self.log_file(name)
        if not path.exists():
            return ""
        with path.open("rb") as file:
            before = self._logged.get(name, 0)
            file.seek(before if before <= path.stat().st_size else 0)  # a rotated log begins anew
            return last_lines(file.read().decode(errors="replace"))

    def _programs(self) -> Iterator[Program]:
        settings = self._settings
        python = sys.executable
        yield Program(
            name="mock-idp",
            command=(python, "-m", "mock_idp"),
            environment={
                "BIND": settings.bind,
                "IDP_PORT": str(settings.idp_port),
                "IDP_PUBLIC_URL": settings.idp_url,
                "IDP_TLS_PORT": str(settings.idp_tls_port),
                "IDP_TLS_PUBLIC_URL": settings.idp_tls_url,
                "IDP_CONFIG": str(settings.idp_config),
                "IDP_STATE_DIR": str(self._folder / "mock-idp"),
                "FRONTEND_URL": settings.frontend_url,
                "IDP_CONTROL_NETWORKS": settings.idp_control_networks,
                "IDP_CONTROL_KEY": settings.idp_control_key,
                "IDP_LOG_LEVEL": settings.idp_log_level,
                "ALLOWED_HOSTS": settings.allowed_hosts,
                "API_URL": settings.api_url,
            },
            health_url=f"http://{settings.local_host}:{settings.idp_port}/healthz",
            sources=(ROOT / "mock_idp", settings.idp_config),
        )
        yield Program(
            name="frontend",
            command=(python, "-m", "frontend"),
            environment={
                "BIND": settings.bind,
                "FRONTEND_PORT": str(settings.frontend_port),
                "FRONTEND_URL": settings.frontend_url,
                "OKTA_ISSUER": settings.issuer,
                "OKTA_CLIENT_ID": settings.client_id,
                "OKTA_SCOPES": settings.scopes,
                "API_URL": settings.api_url,
                "ALLOWED_HOSTS": settings.allowed_hosts,
                "IDP_PUBLIC_URL": settings.idp_url,
                "IDP_TLS_PUBLIC_URL": settings.idp_tls_url,
                "WIDGET_ENGINE": settings.engine,
                "WIDGET_DIR": str(settings.home / "widget"),
            },
            health_url=f"http://{settings.local_host}:{settings.frontend_port}/healthz",
            sources=(ROOT / "frontend",),
        )
        yield Program(
            name="localstack",
            command=(str(settings.home / "env/localstack/bin/python"), "-m", "localstack.runtime.main"),
            environment=self._localstack_environment(),
            health_url=f"http://{settings.local_host}:{settings.localstack_port}/_localstack/health",
            sources=(ROOT / "localstack/process_executor/src",),
        )
        yield Program(
            name="deployer",
            command=(python, "-m", "testbed.deployer", "--watch"),
            environment={
                "STACK": settings.stack,
                "AWS_ENDPOINT_URL": f"http://{settings.local_host}:{settings.localstack_port}",
                "OKTA_ISSUER": settings.issuer,
                "OKTA_AUDIENCE": settings.audience,
                "OKTA_CLIENT_ID": settings.client_id,
                "ALLOWED_ORIGINS": settings.allowed_origins,
                "EXPLAIN_REFUSALS_TO": settings.explain_refusals_to,
                "DEPLOYER_KEYS_URL": settings.keys_url,
            },
            health_url="",
            sources=(
                ROOT / "testbed/cloud_stack.py",
                ROOT / "testbed/deployer.py",
                ROOT / "testbed/deployment.py",
                ROOT / "testbed/http.py",
                ROOT / "testbed/settings.py",
            ),
        )

    def _localstack_environment(self) -> dict[str, str]:
        settings = self._settings
        address = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
        return {
            "GATEWAY_LISTEN": f"{address}:{settings.localstack_port}",
            "GATEWAY_AWAITED_APIS": "gatehouse",
            "EXTRA_CORS_ALLOWED_ORIGINS": settings.allowed_cloud_origins,
            "ALLOWED_HOSTS": settings.allowed_hosts,
            "FRONTEND_URL": settings.frontend_url,
            "IDP_PUBLIC_URL": settings.idp_url,
            "IDP_TLS_PUBLIC_URL": settings.idp_tls_url,
            "FILESYSTEM_ROOT": str(self._folder / "localstack"),
            "TMPDIR": str(self._folder / "tmp"),
            "XDG_CACHE_HOME": str(self._folder / "cache"),
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            # CloudFormation looks after a resource that often before it starts to sleep a whole second in between.
            "CFN_NO_WAIT_ITERATIONS": "200",
            "DISABLE_EVENTS": "1",
            "DNS_ADDRESS": "0",
            "PROVIDER_OVERRIDE_DYNAMODB": "moto",
            "PROVIDER_OVERRIDE_DYNAMODBSTREAMS": "moto",
            "PROVIDER_OVERRIDE_S3": "ephemeral",
            "LAMBDA_RUNTIME_EXECUTOR": "process",
            "PROCESS_EXECUTOR_RUNTIMES_DIR": str(settings.home / "runtimes"),
            "PROCESS_EXECUTOR_LOG_FILE": str(self.log_file("lambda")),
            "PROCESS_EXECUTOR_ANSWERS": settings.answers,
            "PROCESS_EXECUTOR_CPU_SHARE": settings.cpu_share,
        }

    def _configuration(self) -> str:
        """Supervisord's configuration; the same settings and sources give the same text."""
        lines = [
            "[unix_http_server]",
            f"file={_escaped(str(self._socket()))}",
            "chmod=0700",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
            "[supervisorctl]",
            f"serverurl=unix://{_escaped(str(self._socket()))}",
            "[supervisord]",
            f"logfile={_escaped(str(self.log_file('supervisord')))}",
            f"pidfile={_escaped(str(self._folder / 'supervisord.pid'))}",
            f"directory={_escaped(str(ROOT))}",
            "umask=077",  # its logs are the owner's
            *(["user=root"] if os.geteuid() == 0 else []),
        ]
        for program in self.programs.values():
            environment = {
                "PYTHONUNBUFFERED": "1",
                MARK: str(self._folder),
                "GATEHOUSE_SOURCE": digest(*program.sources)[:16],
                **program.environment,
            }
            pairs = ",".join(f"{name}={_assigned(name, value)}" for name, value in environment.items())
            lines += [
                f"[program:{program.name}]",
                f"command={_escaped(shlex.join(program.command))}",
                f"environment={pairs}",
                f"stdout_logfile={_escaped(str(self.log_file(program.name)))}",
                "stdout_logfile_maxbytes=10MB",
                "stdout_logfile_backups=1",
                "redirect_stderr=true",
                "startsecs=1",
                f"startretries={START_RETRIES}",
                "autorestart=true",
                "umask=022",
                "stopasgroup=true",
                "killasgroup=true",
                "stopwaitsecs=8",
            ]
        return "\n".join(lines) + "\n"

    def _write_configuration(self) -> None:
        """Write it for its owner only: the issuer's control key stands in it."""
        self._conf.touch(mode=0o600)
        self._conf.chmod(0o600)
        self._conf.write_text(self._configuration())

    def _socket(self) -> Path:
        """The supervisor's socket: in the stack's folder, or where the path is shorter if that one is too long."""
        path = self._folder / "supervisor.sock"
        if len(str(path)) < UNIX_SOCKET_PATH_LIMIT:
            return path
        return Path(tempfile.gettempdir()) / f"gatehouse-{digest(text=str(path))[:12]}" / "supervisor.sock"

    @contextlib.contextmanager
    def _supervisor(self) -> Iterator[Any]:
        """The supervisor's RPC interface, or None when none answers."""
        path = self._socket()
        transport = SupervisorTransport(None, None, f"unix://{path}")
        supervisor: Any = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
        try:
            supervisor.getState()
        except (OSError, xmlrpc.client.Error):
            supervisor = None
        try:
            yield supervisor
        finally:
            transport.close()

    def _marked(self) -> list[psutil.Process]:
        """Every process of this stack, by its mark."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == str(self._folder) and _runs(process):
                    found.append(process)
        return found

    def end_orphans(self) -> None:
        """End what an earlier run of this stack left behind, when its supervisor was killed, say."""
        while marked := self._marked():
            mine = {process.pid: process for process in marked}
            for process in marked:
                with contextlib.suppress(psutil.NoSuchProcess):
                    mine |= {child.pid: child for child in process.children(recursive=True)}
                    process.send_signal(signal.SIGTERM)
            stubborn = _wait_gone(list(mine.values()), timeout_s=ORPHAN_S)
            for process in stubborn:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            _wait_gone(stubborn, timeout_s=ORPHAN_S)


def _wait_gone(processes: list[psutil.Process], *, timeout_s: float) -> list[psutil.Process]:
    """Wait for processes that are nobody's children here; those that are still there in the end come back.

    One that only waits to be reaped, for which its new parent may take its time, is gone.
    """
    deadline = time.monotonic() + timeout_s
    while (left := [process for process in processes if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
        processes = left
    return left


def _runs(process: psutil.Process) -> bool:
    try:  # its other threads may outlive the first, and hold its port
        return bool(process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.NoSuchProcess:
        return False


def _supervisor_tool(name: str) -> Path:
    return Path(sys.executable).parent / name


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _assigned(name: str, value: str) -> str:
    """A value as supervisord reads it: in quotes that it must not contain itself, for there is no escaping them."""
    quote = "'" if '"' in value else '"'
    if quote in value or "\n" in value:
        raise bad_setting(name, value, "a value without line breaks and with at most one kind of quotes")
    return f"{quote}{_escaped(value)}{quote}"
