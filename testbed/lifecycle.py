"""Bring the stack up, take it down, say how it is: the same in both modes."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

from testbed.compose import ComposeStack, compose_answers, compose_version, engine_version
from testbed.deployment import Deployment
from testbed.errors import StackError
from testbed.http import fetch
from testbed.progress import Progress
from testbed.settings import DEFAULT_STACK, ROOT, Mode, Settings, bad_setting
from testbed.setup import Setup
from testbed.signals import hold, undisturbed
from testbed.smoke import smoke_test

if TYPE_CHECKING:  # its dependencies are there only once the environment of the stack is
    from testbed.native import NativeStack

SERVICES = ("frontend", "mock-idp", "localstack", "deployer", "lambda")
# How supervisord and Compose call a service that works.
WORKS = {"RUNNING", "running", "healthy"}
NATIVE_PIECES = ("stack", "localstack", "runtime", "function", "widget")


def choose_mode(settings: Settings) -> tuple[Mode, str]:
    """The mode and why; MODE decides, else what already runs, else whether a Docker engine answers.

    Raises:
        StackError: compose was asked for and there is no engine, or no Compose v2 (`no_docker`).
    """
    if settings.mode == "native":
        return "native", "MODE=native"
    if settings.mode is None and runs_natively(settings):
        return "native", "it is the one that runs"
    engine = engine_version()
    compose = compose_version() if engine else None
    if engine and compose:
        return "compose", f"Docker {engine} answers" if settings.mode is None else "MODE=compose"
    lack = "the Docker engine has no Compose v2" if engine else "no Docker engine answers"
    if settings.mode == "compose":
        raise StackError(
            code="no_docker",
            sentence=f"MODE=compose, but {lack}.",
            mend="start Docker or install the docker-compose-plugin; or run without Docker: make up MODE=native",
        )
    return "native", lack


def native_stack(settings: Settings, progress: Progress) -> "NativeStack":
    """The native stack, from inside the environment that has what it needs.

    Where this interpreter is another one, the whole command starts again in the right one.
    """
    environment = settings.home / "env/stack"
    if sys.prefix != str(environment):
        progress.close()
        arguments = [str(environment / "bin/python"), "-m", "testbed", *sys.argv[1:]]
        hold()
        os.execv(arguments[0], arguments)  # noqa: S606 -- the same command in our own environment
    from testbed.native import NativeStack  # noqa: PLC0415 -- see TYPE_CHECKING above

    return NativeStack(settings)


def runs_natively(settings: Settings) -> bool:
    """Whether this stack was started as processes and not taken down since."""
    return (settings.folder / "supervisord.pid").exists()


def up(settings: Settings, progress: Progress) -> None:
    """Everything set up, started, deployed, healthy and smoke-tested, then the URLs.

    Raises:
        StackError: what failed; whatever this call had started is stopped again.
    """
    began = time.monotonic()
    if not settings.idp_config.is_file():
        raise bad_setting("IDP_CONFIG", str(settings.idp_config), "a file")
    mode, why = choose_mode(settings)
    if mode == "native":
        Setup(settings, progress).ensure(*NATIVE_PIECES)
        native = native_stack(settings, progress)
        progress.say(f"Gatehouse in native mode: {why}")
        _up_native(native, settings, progress)
    else:
        progress.say(f"Gatehouse in compose mode: {why}")
        _up_compose(ComposeStack(settings), settings, progress)
    progress.say(summary(settings, time.monotonic() - began))


def _up_native(stack: "NativeStack", settings: Settings, progress: Progress) -> None:
    was_running = stack.running()
    if not was_running:
        stack.end_orphans()
        check_ports(settings)

    def start() -> None:
        if not stack.up_to_date():
            with progress.step("Processes started"):
                stack.start()
        _each_at_once(lambda name, given_up: _wait_healthy(stack, name, progress, given_up), list(stack.programs))
        _smoke(settings, progress)

    _undone_on_failure(start, stack.stop, progress, was_running=was_running)


def _up_compose(stack: ComposeStack, settings: Settings, progress: Progress) -> None:
    was_running = stack.running()
    if not was_running:
        check_ports(settings)

    def start() -> None:
        if stack.build_needed():
            with progress.step("Images built"):
                stack.build()
        if not stack.up_to_date():
            with progress.step("Services healthy, application deployed"):
                stack.start()
        _smoke(settings, progress)

    _undone_on_failure(start, stack.stop, progress, was_running=was_running)


def _undone_on_failure(
    start: Callable[[], None], stop: Callable[[], None], progress: Progress, *, was_running: bool
) -> None:
    try:
        start()
    except BaseException:
        if not was_running:
            with undisturbed(), progress.step("Stopped what had been started"):
                stop()
        raise


def _each_at_once(do: Callable[[str, threading.Event], None], names: list[str]) -> None:
    """Do something with each name; the first failure, or a signal, makes the others give up."""
    given_up = threading.Event()
    with ThreadPoolExecutor(len(names)) as pool:
        try:
            for done in as_completed([pool.submit(do, name, given_up) for name in names]):
                done.result()
        finally:
            given_up.set()


def _wait_healthy(stack: "NativeStack", name: str, progress: Progress, given_up: threading.Event) -> None:
    with progress.step(name) as step:
        step.result = stack.wait_healthy(name, given_up)


def _smoke(settings: Settings, progress: Progress) -> None:
    with progress.step("Smoke test: page, issuer, API"):
        smoke_test(settings)


def check_ports(settings: Settings) -> None:
    """Make sure that nobody else listens where the stack is to listen.

    Raises:
        StackError: `port_taken`, with who has them where that can be seen, and the one line that moves the stack.
    """
    from testbed.ports import free_ports_above, port_holder, port_is_free  # noqa: PLC0415 -- only before a start

    taken = {name: port for name, port in settings.ports.items() if not port_is_free(settings.bind, port)}
    if not taken:
        return
    if "IDP_PORT" in taken:  # unless it is named, it goes wherever the issuer goes
        taken |= {"IDP_TLS_PORT": settings.idp_tls_port}
    moved = free_ports_above(taken, settings.bind, avoid=set(settings.ports.values()))
    stack = {} if settings.stack == DEFAULT_STACK else {"STACK": settings.stack}
    words = " ".join(f"{name}={value}" for name, value in (stack | moved).items())
    said = [
        f"Port {port} ({name}) is taken by {port_holder(port)}."
        for name, port in taken.items()
        if not port_is_free(settings.bind, port)
    ]
    raise StackError(
        code="port_taken",
        sentence=" ".join(said),
        mend=f"stop that, or move ours: make up {words}",
    )


def down(settings: Settings, progress: Progress) -> None:
    """Stop everything, in whatever mode it runs; nothing is left behind but keys and set-up."""
    native = native_stack(settings, progress) if runs_natively(settings) else None
    with progress.step("Stopped"):
        if native:
            native.stop()
        if compose_answers() and (compose := ComposeStack(settings)).states():
            compose.stop()


def reset(settings: Settings, progress: Progress) -> None:
    """Stop everything and delete this stack's data and keys."""
    down(settings, progress)
    with progress.step("Data and keys deleted"):
        if compose_answers():
            ComposeStack(settings).stop(volumes=True)
        shutil.rmtree(settings.folder, ignore_errors=True)


def status(settings: Settings, progress: Progress) -> dict[str, Any]:
    """How everything is: mode, services, URLs, versions, key ids.

    Returns:
        `{"mode", "supervised", "healthy", "services": {name: {"state", "pid", "url", "healthy"}}, "page_url",
        "issuer", "console_url", "api_url", "deployment", "deployment_reason", "lost",
        "key_ids": {"issuer", "function"}, "versions"}`
    """
    urls = {
        "frontend": settings.frontend_url,
        "mock-idp": settings.idp_url,
        "localstack": settings.cloud_url,
    }
    health = {
        "frontend": fetch(settings.frontend_url + "/healthz", timeout_s=2),
        "mock-idp": fetch(settings.idp_url + "/healthz", timeout_s=2),
        "localstack": fetch(settings.cloud_url + "/_localstack/info", timeout_s=2),
    }
    mode, states, deployment = _inside(settings, progress)
    pids = native_stack(settings, progress).pids() if mode == "native" else {}
    services = {
        name: {
            "state": states.get(name, "stopped"),
            "pid": pids.get(name),
            "url": url,
            "healthy": health[name].status == 200,
        }
        for name, url in urls.items()
    }
    services["deployer"] = {
        "state": states.get("deployer", "stopped"),
        "pid": pids.get("deployer"),
        "url": None,
        "healthy": False,
    }
    keys = fetch(settings.issuer + "/v1/keys").json()
    cloud = health["localstack"].json()
    # What a deployer wrote that is gone by now, or on a LocalStack that is, says nothing of today.
    deployed = (
        deployment is not None
        and deployment.state == "deployed"
        and services["deployer"]["state"] in WORKS
        and isinstance(cloud, dict)
        and cloud.get("session_id") == deployment.cloud_session
    )
    services["deployer"]["healthy"] = deployed
    return {
        "mode": mode,
        "supervised": mode is not None and "not supervised" not in states.values(),
        "healthy": all(service["healthy"] for service in services.values()),
        "services": services,
        "page_url": settings.frontend_url,
        "issuer": settings.issuer,
        "console_url": settings.console_url,
        "api_url": settings.api_url,
        "deployment": deployment.state if deployment else None,
        "deployment_reason": deployment.reason if deployment else "",
        "lost": deployment.lost if deployment else "",
        "key_ids": {
            "issuer": [key["kid"] for key in keys["keys"]] if isinstance(keys, dict) and "keys" in keys else [],
            "function": deployment.key_ids if deployment else [],
        },
        "versions": {
            "python": sys.version.split()[0],
            "localstack": cloud.get("version") if isinstance(cloud, dict) else None,
        },
    }


def _inside(settings: Settings, progress: Progress) -> tuple[Mode | None, dict[str, str], Deployment | None]:
    if runs_natively(settings):
        return "native", native_stack(settings, progress).states(), Deployment.read(settings.deployment_file)
    if compose_answers() and (states := (compose := ComposeStack(settings)).states()):
        return "compose", states, Deployment.parse(compose.read_file("deployer", "/state/deployment.json"))
    return None, {}, None


def follow_logs(settings: Settings, progress: Progress, service: str | None) -> int:
    """Show the output of a service (or of all) and go on as it grows, until Ctrl-C.

    Raises:
        StackError: nothing runs (`not_running`), or there is no such service (`no_service`).
    """
    if service not in {None, *SERVICES}:
        raise StackError(
            code="no_service",
            sentence=f"There is no service {service}.",
            mend=f"make logs S=<one of {', '.join(SERVICES)}>",
        )
    try:
        if runs_natively(settings):
            return native_stack(settings, progress).follow(service)
        if compose_answers() and (compose := ComposeStack(settings)).states():
            return compose.follow(service)
    except KeyboardInterrupt:
        return 0  # that is how following ends
    raise StackError(code="not_running", sentence="The stack does not run.", mend="make up")


def ca_certificate(settings: Settings) -> str:
    """The generated CA that the issuer's https certificate comes from, in PEM.

    Raises:
        StackError: the issuer does not answer (`not_running`).
    """
    answer = fetch(settings.idp_url + "/ca.pem")
    if answer.status != 200:
        raise StackError(
            code="not_running",
            sentence=f"The issuer at {settings.idp_url} gives no certificate: {answer.status or 'it does not answer'}.",
            mend="make up",
        )
    return answer.body.decode()


def summary(settings: Settings, seconds: float) -> str:
    """What a person wants to see when the stack is up."""
    sign_in = "   sign in as alice@example.com or bob@example.com, Passw0rd!" if settings.uses_mock_issuer else ""
    return (
        f"\nUp in {seconds:.1f} s.\n\n"
        f"  Page     {settings.frontend_url}{sign_in}\n"
        f"  Issuer   {settings.issuer}\n"
        f"  Console  {settings.console_url}   tokens, faults, keys and what clients sent\n"
        f"  Cloud    {settings.cloud_url}\n"
        f"  API      {settings.api_url}\n\n"
        f"  make open shows the page, make console the console, make status how all is.\n"
        f"  make test proves it, make down stops it."
    )


def set_up(settings: Settings, progress: Progress, *pieces: str) -> None:
    """Make pieces of the set-up without starting anything."""
    Setup(settings, progress).ensure(*pieces)


def newest_trace() -> str | None:
    """The newest Playwright trace that a failed test left, if any."""
    traces = sorted((ROOT / "test-results").rglob("trace.zip"), key=lambda path: path.stat().st_mtime)
    return str(traces[-1]) if traces else None
