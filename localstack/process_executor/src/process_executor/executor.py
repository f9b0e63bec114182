"""LocalStack's runtime executor, by processes."""

import logging
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localstack.services.lambda_.invocation.executor_endpoint import ShutdownDuringStartup, StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import FunctionVersion, InvocationResult
from localstack.services.lambda_.invocation.runtime_executor import LambdaRuntimeException, RuntimeExecutor

from localstack import config
from process_executor import debugging, hot_reload, runtimes
from process_executor import nursery as nursery_program
from process_executor.code import CODE, VersionIsGone
from process_executor.environment import Environment, Stopped, StoppedBefore
from process_executor.invocations import Failure
from process_executor.layers import opt_folder
from process_executor.listening import local_host
from process_executor.live import LIVE
from process_executor.logs import EventLog, JsonLines, TextLines
from process_executor.paths import TASK_ROOT, Paths, init_variables, private_folder, real_path
from process_executor.plan import CannotStart, Plan
from process_executor.runtimes import Runtime
from process_executor.settings import settings
from process_executor.spawner import NURSERIES, Order, nursery_for

LOG = logging.getLogger(__name__)

# What LocalStack adds for its own init program, and the emulator's variables; AWS's functions see none of these.
FOREIGN = ("LOCALSTACK_", "EDGE_PORT", "AWS_LAMBDA_FUNCTION_TIMEOUT")
INITIALIZATION = "AWS_LAMBDA_INITIALIZATION_TYPE"
# What CPython reads itself; only a fresh interpreter does.
PYTHON_VARIABLE = re.compile(r"PYTHON(?!PATH$)[A-Z0-9]+|PYTHON_(CPU_COUNT|GIL|JIT|COLORS|CONTEXT_AWARE_WARNINGS)")
SHARED_PROCESSES = 4096
ENVIRONMENTS: dict[str, "ProcessRuntimeExecutor"] = {}
UIDS: set[int] = set()
UID_LOCK = threading.Lock()


class ProcessRuntimeExecutor(RuntimeExecutor):  # type: ignore[misc]  # LocalStack publishes no types
    """One execution environment, as LocalStack drives it."""

    def __init__(self, id: str, function_version: FunctionVersion) -> None:  # noqa: A002  # LocalStack's name
        super().__init__(id=id, function_version=function_version)
        self._environment: Environment | None = None
        self._stopped = False
        self._uid = 0
        self._debug_port = 0
        self._logs: list[str] = []
        self.client_context = ""

    @property
    def environment(self) -> Environment | None:
        """The environment, once it was asked to start."""
        return self._environment

    # --- What LocalStack calls -------------------------------------------------------------------------------------

    def start(self, env_vars: dict[str, str]) -> None:
        """Start the environment and wait until it is ready.

        A failed initialization is reported at the first invocation, with its logs and request id, as AWS does; only
        provisioned concurrency learns it at once.
        """
        try:
            variables = env_vars | {INITIALIZATION: initialization(self.function_version, env_vars[INITIALIZATION])}
            environment = self._environment = Environment(self._plan(variables), self._gone)
            ENVIRONMENTS[self.id] = self
            if self._stopped:
                self.stop()
            failure = environment.start()
        except Stopped:
            raise VersionIsGone("The environment was stopped while it started") from None
        if failure is not None and env_vars[INITIALIZATION] == "provisioned-concurrency":
            raise StatusErrorException("Environment startup failed", payload=failure.payload_for(""))

    def stop(self) -> None:
        """End it, but let an invocation that runs be finished first, as AWS does; at any time, any number of times."""
        self._stopped = True
        if self._environment is None:
            self._gone()
        else:
            self._environment.retire()

    def kill(self) -> None:
        """End it at once."""
        self._stopped = True
        if self._environment is not None:
            self._environment.stop()

    def _gone(self) -> None:
        """Give back what it had to itself."""
        ENVIRONMENTS.pop(self.id, None)
        CODE.let_go(self.id)
        port, self._debug_port = self._debug_port, 0  # another environment's from now on, as is the user
        debugging.release_port(port)
        with UID_LOCK:
            UIDS.discard(self._uid)
            self._uid = 0

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        """Run one invocation."""
        if self._environment is None:
            raise LambdaRuntimeException("The environment has not been started")
        request_id = payload["invoke-id"]
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Invoked-Function-Arn": payload["invoked-function-arn"],
            "Lambda-Runtime-Trace-Id": payload["trace-id"],
        }
        if self.client_context:
            headers["Lambda-Runtime-Client-Context"] = self.client_context
        limit = int(config.LAMBDA_LIMITS_MAX_FUNCTION_PAYLOAD_SIZE_BYTES)
        try:
            outcome = self._environment.invoke(request_id, headers, payload["payload"].encode(), limit)
        except StoppedBefore:
            raise VersionIsGone("The environment was stopped before an invocation") from None
        except Stopped:
            raise ShutdownDuringStartup("The environment was stopped during an invocation") from None
        logs = EventLog(outcome.events)
        self._logs = outcome.events
        return InvocationResult(request_id, outcome.payload, is_error=outcome.is_error, logs=logs)

    def get_address(self) -> str:
        """Functions are on this machine."""
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        """Where a function reaches LocalStack."""
        return local_host()

    def get_runtime_endpoint(self) -> str:
        """Asked for by LocalStack's own init program only; there is none."""
        return ""

    def get_logs(self) -> str:
        """The last invocation's."""
        return EventLog(self._logs)

    @classmethod
    def prepare_version(cls, function_version: FunctionVersion) -> None:
        """Unpack the code, find the interpreter, start its nursery, and compile in the background.

        Raises:
            UnsupportedRuntime: nothing here runs it; LocalStack reports the sentence as the function's state.
        """
        runtime = runtime_of(function_version)
        function_version.config.code.prepare_for_execution()
        nursery = nursery_for(runtime)
        nursery.start()
        if not function_version.config.code.is_hot_reloading():
            nursery.compile(function_version.config.code.get_unzipped_code_location())

    @classmethod
    def cleanup_version(cls, function_version: FunctionVersion) -> None:
        """LocalStack stops environments and deletes code itself."""

    @classmethod
    def validate_environment(cls) -> bool:
        """Nothing outside Python is needed."""
        return True

    # --- From a function's configuration to a plan -----------------------------------------------------------------

    def _plan(self, env_vars: dict[str, Any]) -> Plan:
        version = self.function_version
        function = version.config
        runtime = runtime_of(version)
        CODE.hold(self.id, function.code)
        nursery = nursery_for(runtime)
        level = nursery.start()
        answers = settings().answers
        staged = level != "process"
        self._uid = claim_uid() if os.geteuid() == 0 and level != "user-namespaces" else 0
        self._debug_port = debugging.claim_port(settings().debug_port) if settings().debug_port else 0
        paths = Paths(
            runtime=runtime,
            task_dir=Path(function.code.get_unzipped_code_location()).absolute(),
            opt_dir=opt_folder(function.layers),
            tmp_dir=None if staged else private_folder(self.id, self._uid, runtime, own=answers.own_tmp),
            answers=answers,
        )
        if paths.opt_dir and (paths.opt_dir / "extensions").is_dir():
            LOG.warning("%s: the extensions of its layers are not run", version.id.function_name)
        logging_config = function.logging_config or {}
        told = env_vars | log_variables(logging_config) | (function.environment or {})
        variables = environment_variables(told, runtime)
        executed = runtime.node is not None or (runtime.is_python and needs_fresh_interpreter(variables))
        paths.write_programs(variables, executed=executed, hot_reloading=function.code.is_hot_reloading())
        lines: TextLines | JsonLines = TextLines(str(function.runtime), version.id.region)
        if logging_config.get("LogFormat") == "JSON":
            lines = JsonLines(
                str(function.runtime),
                version.id.region,
                (version.id.function_name, version.id.qualifier),
                (logging_config.get("SystemLogLevel"), logging_config.get("ApplicationLogLevel")),
                env_vars[INITIALIZATION],
            )

        def order(api_address: str) -> Order:
            argv, entrypoint = program(runtime, variables, paths, self._debug_port)
            shown = paths.variables(variables, executed=argv is not None)
            environment = shown | {"AWS_LAMBDA_RUNTIME_API": api_address}
            return Order(
                id=self.id,
                task_dir=str(paths.task_dir),
                opt_dir=str(paths.opt_dir) if paths.opt_dir else None,
                cwd=paths.task,
                environment=environment,
                init_environment=environment if answers.init_has_variables else init_variables(variables),
                site_dirs=paths.site_dirs(variables),
                sys_path=paths.sys_path(variables),
                handler=function.handler or "",
                argv=argv,
                entrypoint=entrypoint,
                connect=runtime.node is not None,
                uid=self._uid,
                gid=self._uid,
                tmp_mb=function.ephemeral_storage.size,
                own_tmp=answers.own_tmp,
                debug_port=self._debug_port,
                must_read=paths.must_read(),
                places=paths.places,
                limits=paths.limits
                if staged
                else paths.limits | unstaged_limits(self._uid, function.ephemeral_storage.size),
                shown_limits=paths.shown_limits,
            )

        return Plan(
            id=self.id,
            name=version.id.function_name,
            version=version.id.qualifier,
            answers=answers,
            timeout_s=int(function.timeout),
            memory_mb=int(function.memory_size),
            order=order,
            nursery=nursery,
            lines=lines,
            rewrite=paths.rewrite,
            traced=function.tracing_config_mode == "Active",
            live=LIVE.write,
            tmp_dir=paths.tmp_dir,
            enforce_memory=settings().memory_limit,
            cpu_share=settings().cpu_share,
            init_timeout_s=settings().init_timeout_s,
            signature=self._signature(paths),
            debug_port=self._debug_port,
        )

    def _signature(self, paths: "Paths") -> Callable[[], str] | None:
        """What tells whether hot-reloaded files have changed; None for code that cannot change."""
        function = self.function_version.config
        codes = [function.code, *(layer.code for layer in function.layers if layer.code is not None)]
        if not any(code.is_hot_reloading() for code in codes):
            return None
        folders = [paths.task_dir, *([paths.opt_dir] if paths.opt_dir else [])]
        return lambda: hot_reload.signature(folders, settings().hot_reload_ignore)


def unstaged_limits(uid: int, tmp_mb: int) -> dict[str, int]:
    """Limits that stand in for what namespaces would do.

    Without a user of its own, a function's processes are counted together with LocalStack's many threads.
    """
    limits = {"RLIMIT_FSIZE": tmp_mb << 20, "RLIMIT_CORE": 0}
    return limits if uid else limits | {"RLIMIT_NPROC": SHARED_PROCESSES}


def environment_variables(env_vars: dict[str, Any], runtime: Runtime) -> dict[str, str]:
    """The function's environment: AWS's variables and the user's, none of the host's.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    given = {name: str(value) for name, value in env_vars.items() if not name.startswith(FOREIGN)}
    libraries = "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
    defaults = {"LANG": "en_US.UTF-8"}
    if not runtime.interpreter:
        given.pop("AWS_EXECUTION_ENV", None)
        return defaults | {"PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin", "LD_LIBRARY_PATH": libraries} | given
    given["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{runtime.name}"
    defaults |= {
        "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "PWD": TASK_ROOT,
        "SHLVL": "0",
        "LD_LIBRARY_PATH": f"/var/lang/lib:{libraries}",
        nursery_program.TELEMETRY_VARIABLE: str(nursery_program.TELEMETRY_FD),
    }
    if runtime.node:
        modules = f"/opt/nodejs/node{runtime.version}/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules"
        return defaults | {"NODE_PATH": f"{modules}:/var/runtime:/var/task"} | given
    return defaults | {"LC_CTYPE": "C.UTF-8"} | given


def log_variables(logging_config: dict[str, str]) -> dict[str, str]:
    """By which the runtime client knows its format and level; LocalStack writes that otherwise, or not at all."""
    if logging_config.get("LogFormat") != "JSON":
        return {}
    return {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": logging_config.get("ApplicationLogLevel", "INFO")}


def initialization(function_version: FunctionVersion, given: str) -> str:
    """How an environment comes into being: LocalStack does not tell functions that they have SnapStart."""
    snap_start = function_version.config.snap_start or {}
    return "snap-start" if snap_start.get("OptimizationStatus") == "On" else given


def needs_fresh_interpreter(variables: dict[str, str]) -> bool:
    """Whether a Python function cannot go on in the interpreter that was forked."""
    return bool(variables.get("AWS_LAMBDA_EXEC_WRAPPER")) or any(map(PYTHON_VARIABLE.fullmatch, variables))


def program(runtime: Runtime, variables: dict[str, str], paths: Paths, debug_port: int) -> tuple[list[str] | None, str]:
    """What to execute, and its name for error messages; nothing for going on in the interpreter that was forked.

    As on AWS, a wrapper's last argument is the file that the interpreter runs.

    Raises:
        CannotStart: a custom runtime without a bootstrap.
    """
    wrapper = variables.get("AWS_LAMBDA_EXEC_WRAPPER")
    wrapped = [paths.program(wrapper)] if wrapper else []
    places = paths.places
    if runtime.node:
        debug = [f"--inspect=127.0.0.1:{debug_port}"] if debug_port else []
        flags = node_flags(int(variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]))
        node = "/var/lang/bin/node" if paths.staged else str(runtime.node)
        return [*wrapped, node, *debug, *flags, real_path("/var/runtime/index.mjs", places)], ""
    if not runtime.is_python:
        for folder, shown in ((paths.task_dir, TASK_ROOT), (paths.opt_dir, "/opt")):
            if folder is not None and (folder / "bootstrap").is_file():
                return [paths.program(f"{shown}/bootstrap")], f"{shown}/bootstrap"
        text = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"
        raise CannotStart(Failure("Runtime.InvalidEntrypoint", text))
    if needs_fresh_interpreter(variables):
        python = f"/var/lang/bin/python{runtime.version}" if paths.staged else str(runtime.python)
        return [*wrapped, python, real_path(runtimes.SHOWN_BOOTSTRAP, places)], ""
    return None, ""


def node_flags(memory_mb: int) -> list[str]:
    """AWS's flags for Node.js."""
    sizes = [f"--max-semi-space-size={memory_mb * 5 // 100}", f"--max-old-space-size={memory_mb * 90 // 100}"]
    return ["--expose-gc", "--max-http-header-size", "81920", *sizes]


def runtime_of(function_version: FunctionVersion) -> Runtime:
    """The runtime of a function, if this machine has it."""
    name = function_version.config.runtime
    if not name:
        raise runtimes.UnsupportedRuntime(
            "Functions from container images need Docker: start LocalStack with LAMBDA_RUNTIME_EXECUTOR=docker."
        )
    return runtimes.resolve(str(name))


def claim_uid() -> int:
    """A user id that no other environment has."""
    with UID_LOCK:
        uid = settings().first_uid
        while uid in UIDS:
            uid += 1
        UIDS.add(uid)
        return uid


def stop_all() -> None:
    """End every environment and nursery: LocalStack is going down."""
    for executor in list(ENVIRONMENTS.values()):
        executor.kill()
    for nursery in NURSERIES:
        nursery.close()
