"""What a function finds around it, and what it cannot reach."""

import contextlib
import os
import re
import textwrap
import uuid
from pathlib import Path

import pytest
from cloud import eventually
from test_invocations import assert_error

from process_executor.nursery import may_read_everything

VARIABLES = {
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",  # LocalStack's
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "LANG",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PATH",
    "PWD",
    "PYTHONPATH",
    "SHLVL",
    "TZ",
    "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
}
DUMP = "import os\ndef handler(event, context): return dict(os.environ)\n"


def test_variables_are_awss_and_the_users(cloud):
    """Nothing of the host's, nothing of the emulator's; the user's own on top."""
    name = cloud.deploy(DUMP, Environment={"Variables": {"MINE": "42", "TZ": "Europe/Vienna"}}, MemorySize=256)
    found = cloud.invoke(name).json
    assert set(found) == VARIABLES | {"MINE"}
    assert (found["MINE"], found["TZ"]) == ("42", "Europe/Vienna")
    assert found["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert found["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert found["LANG"] == "en_US.UTF-8"
    assert found["_HANDLER"] == "app.handler"
    assert re.match(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};", found["_X_AMZN_TRACE_ID"])


def test_variables_name_awss_folders(cloud):
    """Folders are where AWS has them; without a mount namespace the answer says so."""
    found = cloud.run(DUMP).json
    assert (found["LAMBDA_TASK_ROOT"], found["PWD"]) == ("/var/task", "/var/task")
    assert found["LAMBDA_RUNTIME_DIR"] == found["PYTHONPATH"] == "/var/runtime"
    assert found["PATH"] == "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
    libraries = "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
    assert found["LD_LIBRARY_PATH"] == f"/var/lang/lib:{libraries}"


def test_variables_are_those_of_programs_too(cloud):
    """A program that a function starts gets them all, with their own values or with others."""
    source = """
    import os, subprocess
    def handler(event, context):
        own = subprocess.check_output(["env"], text=True)
        given = subprocess.check_output(["env"], text=True, env=os.environ | {"MORE": "1"})
        return own, given
    """
    own, given = [dict(line.split("=", 1) for line in text.splitlines()) for text in cloud.run(source).json]
    place = {"TMPDIR": "/tmp"} if "TMPDIR" in own else {}  # where there are no namespaces
    assert set(own) == VARIABLES | set(place)
    assert own["PATH"] == "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
    assert own | place | {"MORE": "1"} == given


def test_temporary_folder_of_the_users_choice_is_programs_too(cloud):
    """A variable TMPDIR below /tmp is kept, and names the function's own folder."""
    source = """
    import os, subprocess
    def handler(event, context):
        os.mkdir("/tmp/mine")
        path = subprocess.check_output("mktemp", text=True).strip()
        return [os.environ["TMPDIR"], os.listdir("/tmp/mine") == [os.path.basename(path)]]
    """
    assert cloud.run(source, Environment={"Variables": {"TMPDIR": "/tmp/mine"}}).json == ["/tmp/mine", True]


def test_interpreter_is_in_awss_place(cloud):
    """The interpreter is /var/lang's, the working directory the function's."""
    source = (
        "import os, sys\ndef handler(event, context): return [sys.executable, os.getcwd(), __file__, sys.path[:4]]\n"
    )
    assert cloud.run(source).json == [
        "/var/lang/bin/python3.13",
        "/var/task",
        "/var/task/app.py",
        ["/var/task", "/opt/python/lib/python3.13/site-packages", "/opt/python", "/var/runtime"],
    ]


def test_sdk_reaches_localstack(cloud):
    """boto3 is there and talks to LocalStack, as the function's role."""
    source = "import boto3\ndef handler(event, context): return boto3.client('sts').get_caller_identity()['Arn']\n"
    name = cloud.deploy(source, Timeout=30, MemorySize=256)
    assert cloud.invoke(name).json == f"arn:aws:sts::000000000000:assumed-role/tests/{name}"


def test_descriptors_are_the_functions_own(cloud):
    """Nothing is inherited: the standard streams, the log, and its own connection to the Runtime API."""
    source = """
    import os
    def handler(event, context):
        links = {}
        for fd in os.listdir("/proc/self/fd"):
            try:
                links[int(fd)] = os.readlink(f"/proc/self/fd/{fd}").split(":")[0]
            except FileNotFoundError:
                pass
        return sorted(links.items())
    """
    found = dict(cloud.run(source).json)
    assert found.pop(0) == "/dev/null"
    assert (found.pop(1), found.pop(2), found.pop(62)) == ("pipe", "pipe", "pipe")
    assert all(kind in ("socket", "pipe", "anon_inode") for kind in found.values())
    assert len(found) <= 4


STATUS = """
import os
def handler(event, context):
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status"))
    return [int(status["Uid"].split()[0]), os.getgroups(), status["CapEff"].strip(), status["NoNewPrivs"].strip()]
"""
READ_EVERYTHING = 1 << 2  # CAP_DAC_READ_SEARCH


def test_function_is_unprivileged(staged_cloud):
    """Whoever LocalStack is, functions are AWS's user, who is nobody in particular."""
    uid, groups, capabilities, no_new_privileges = staged_cloud.run(STATUS).json
    assert uid == 993
    assert 0 not in groups
    assert int(capabilities, 16) == 0
    assert no_new_privileges == "1"


def test_init_is_unprivileged(staged_cloud):
    """The function may trace what has its user: process 1 has nothing that it could win by that."""
    source = "def handler(event, context): return open('/proc/1/status').read()\n"
    status = dict(line.split(":\t", 1) for line in staged_cloud.run(source).json.splitlines())
    assert set(status["Uid"].split()) == {"993"}
    assert (int(status["CapEff"], 16), int(status["CapPrm"], 16), status["NoNewPrivs"]) == (0, 0, "1")


def test_function_that_cannot_read_its_interpreter_may_read_and_no_more(clouds):
    """Without namespaces, where the interpreter lies in root's home: not root because of that."""
    if os.geteuid() != 0 or not may_read_everything():
        pytest.skip("only root with CAP_DAC_READ_SEARCH can let functions read everything")
    cloud = clouds(PROCESS_EXECUTOR_ISOLATION="process")
    uid, groups, capabilities, no_new_privileges = cloud.run(STATUS).json
    assert uid >= 60000
    assert 0 not in groups
    assert int(capabilities, 16) in {0, READ_EVERYTHING}
    assert no_new_privileges == "1"


def test_host_is_out_of_sight(staged_cloud):
    """No home, no state folder, no other processes."""
    source = """
    import os
    def handler(event, context):
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        return {"pids": len(pids), "home": os.listdir("/home") , "host": os.path.exists("/host/etc"),
                "state": os.path.exists(event["folder"])}
    """
    found = staged_cloud.run(source, {"folder": str(staged_cloud.folder)}).json
    assert found == {"pids": 2, "home": [], "host": False, "state": False}


@pytest.mark.parametrize("folder", ["/var/task", "/var/runtime", "/var/lang", "/opt", "/etc", "/usr", ""])
def test_only_tmp_can_be_written_to(cloud, folder):
    """Everything but /tmp is read-only, in the kernel's words."""
    found = cloud.run(f"def handler(event, context): open('{folder}/new', 'w')\n").json
    assert found["errorType"] == "OSError"
    assert found["errorMessage"] == f"[Errno 30] Read-only file system: '{folder}/new'"


def test_tmp_is_private_and_kept_while_warm(cloud):
    """/tmp is the environment's own, has AWS's mode, and survives from one invocation to the next, even a crash."""
    source = """
    import os, tempfile
    def handler(event, context):
        path = os.path.join(tempfile.gettempdir(), "kept")
        known = os.path.exists(path)
        open(path, "a").close()
        return [known, oct(os.stat(tempfile.gettempdir()).st_mode)]
    """
    name = cloud.deploy(source)
    assert [cloud.invoke(name).json for _ in range(2)] == [[False, "0o40700"], [True, "0o40700"]]
    assert cloud.run(source).json[0] is False


def test_tmp_is_limited_to_its_configured_size(cloud):
    """A full /tmp is the function's problem, in the kernel's words."""
    source = """
    def handler(event, context):
        with open("/tmp/big", "wb") as file:
            for _ in range(event["mb"]):
                file.write(bytes(1 << 20))
        return "fits"
    """
    name = cloud.deploy(source, EphemeralStorage={"Size": 512}, MemorySize=1024, Timeout=30)
    assert cloud.invoke(name, {"mb": 500}).json == "fits"
    found = cloud.invoke(name, {"mb": 600}).json
    assert (found["errorType"], found["errorMessage"]) == ("OSError", "[Errno 28] No space left on device")


def test_fork_bomb_is_limited(staged_cloud):
    """Processes run out for the function, not for LocalStack."""
    source = """
    import os, threading
    def handler(event, context):
        count = 0
        try:
            while True:
                if os.fork() == 0:
                    threading.Event().wait()
                count += 1
        except BlockingIOError:
            return count
    """
    name = staged_cloud.deploy(source, Timeout=30, MemorySize=10240)
    assert 100 < staged_cloud.invoke(name).json < 1024
    staged_cloud.awslambda.delete_function(FunctionName=name)
    assert staged_cloud.run("def handler(event, context): return 'served'").json == "served"


OUTLIVING = """
import os, subprocess
def session(seconds):
    subprocess.Popen(["sleep", seconds], start_new_session=True)
def daemon(seconds):
    executed, waits = os.pipe()
    if (child := os.fork()) == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", seconds])
        os._exit(0)
    os.close(waits)
    os.waitpid(child, 0)
    os.read(executed, 1)  # ends when sleep has replaced the last copy of this process
def handler(event, context):
    globals()[event["kind"]](event["seconds"])
"""


def test_function_leads_its_own_session_and_group(cloud):
    """No signal to a group of LocalStack's reaches it."""
    source = "import os\ndef handler(event, context): return [os.getpid(), os.getsid(0), os.getpgrp()]\n"
    assert len(set(cloud.run(source).json)) == 1


@pytest.mark.parametrize("kind", ["session", "daemon"])
def test_child_that_outlives_the_handler_goes_with_its_environment(cloud, kind):
    """The answer does not wait for it, and neither a session of its own nor another parent saves it."""
    marker = str(uuid.uuid4().int)[:9]
    name = cloud.deploy(OUTLIVING)
    assert cloud.invoke(name, {"kind": kind, "seconds": marker}).error is None
    assert sleeps(marker)
    cloud.awslambda.delete_function(FunctionName=name)
    eventually(lambda: sleeps(marker), lambda alive: not alive)


def test_environment_of_a_deleted_function_is_stopped(cloud):
    """Deleting a function ends its processes and takes it off the list."""
    name = cloud.deploy("def handler(event, context): pass")
    cloud.invoke(name)
    process = Path(f"/proc/{cloud.environments(name)[0]['pid']}")
    assert process.exists()
    cloud.awslambda.delete_function(FunctionName=name)
    eventually(lambda: (cloud.environments(name), process.exists()), lambda found: found == ([], False))


def test_function_is_awss_user(cloud):
    """By name, for Python and for programs, and its files are root's."""
    source = """
    import getpass, subprocess
    from pathlib import Path
    def handler(event, context):
        return [getpass.getuser(), subprocess.getoutput("whoami"), *(Path(path).owner() for path in event)]
    """
    cloud.run(source, [])
    mapped = os.geteuid() != 0 or cloud.isolation == "user-namespaces"  # LocalStack's files are the function's there
    folders = [] if mapped else ["/var/task", "/opt", "/lambda-entrypoint.sh"]
    assert cloud.run(source, folders).json == ["sbx_user1051", "sbx_user1051", *["root" for _ in folders]]


NUMBERS = """
import os, pwd, subprocess
from pathlib import Path
def handler(event, context):
    mine = Path("/tmp/mine")
    mine.touch()
    os.chown(mine, os.getuid(), os.getgid())
    os.setresuid(-1, os.geteuid(), os.getuid())
    os.setresgid(-1, os.getegid(), os.getgid())
    os.chdir("/tmp")
    with mine.open() as file, os.scandir("/tmp") as entries, os.scandir() as others:
        found = next(others)
        assert (found.path, found.name) == ("./mine", "mine")
        statuses = [os.stat(mine), os.lstat(mine), os.fstat(file.fileno()), next(entries).stat(), found.stat()]
    subprocess.run(["true"], user=os.getuid(), group=os.getgid(), check=True)
    users = [os.getuid(), os.geteuid(), *os.getresuid(), *(status.st_uid for status in statuses)]
    groups = [os.getgid(), os.getegid(), *os.getresgid(), *(status.st_gid for status in statuses)]
    times = {status.st_mtime_ns for status in statuses}
    return [sorted(set(users)), sorted(set(groups)), len(times), pwd.getpwuid(os.getuid()).pw_name, mine.owner()]
"""


@pytest.mark.parametrize("runtime", ["python3.9", "python3.13"])
def test_function_has_awss_numbers(cloud, runtime):
    """Of its user and group; so have the files that it makes, and what it is told is what it may say."""
    assert cloud.run(NUMBERS, Runtime=runtime).json == [[993], [990], 1, "sbx_user1051", "sbx_user1051"]


def test_environments_have_users_of_their_own(cloud):
    """On this machine, when root runs LocalStack: none can reach another's processes."""
    cloud.run("def handler(event, context): pass")
    if os.geteuid() != 0 or cloud.isolation == "user-namespaces":
        pytest.skip("only root can give each environment a user")
    found = set()
    for _ in range(2):
        name = cloud.deploy("def handler(event, context): pass")
        cloud.invoke(name)
        [environment] = cloud.environments(name)
        [child] = Path(f"/proc/{environment['pid']}/task/{environment['pid']}/children").read_text().split()
        found.add(Path(f"/proc/{child}").stat().st_uid)
    assert len(found) == 2
    assert min(found) >= 60000


def test_python_of_the_path_is_the_runtimes(cloud):
    """What a function starts as ``python3`` is what it runs on."""
    source = """
    import subprocess, sys
    def handler(event, context):
        found = [subprocess.check_output([name, "-V"], text=True).split()[1] for name in event]
        return [*found, sys.version.split()[0]]
    """
    assert len(set(cloud.run(source, ["python", "python3", "python3.13"]).json)) == 1


def test_variables_are_in_proc(cloud):
    """The kernel tells of the function's process what it would of one that was started with these variables."""
    source = """
    def handler(event, context):
        with open("/proc/self/environ") as file:
            return dict(line.split("=", 1) for line in file.read().split("\\0") if line)
    """
    found = cloud.run(source, Environment={"Variables": {"MINE": "grüße"}}).json
    assert set(found) == (VARIABLES | {"MINE"}) - {"_X_AMZN_TRACE_ID"}
    assert found["MINE"] == "grüße"


@pytest.mark.parametrize("place", ["/dev/stdout", "/dev/stderr", "/dev/fd/1", "/proc/self/fd/2"])
def test_streams_can_be_opened_by_their_names(cloud, place):
    """By the function and by the programs that it starts."""
    source = f"""
    import subprocess
    def handler(event, context):
        with open("{place}", "w") as stream:
            stream.write("by python\\n")
        subprocess.run("echo by sh >{place}", shell=True, check=True)
    """
    log = cloud.run(source).log
    assert "by python\n" in log
    assert "by sh\n" in log


def test_custom_runtime_gets_no_variables_of_a_shell(cloud):
    """PWD and SHLVL are what the managed runtimes' start script leaves behind."""
    bootstrap = """\
    #!/usr/bin/env python3
    import json, os, urllib.request
    found = json.dumps(sorted(os.environ)).encode()
    api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"
    while True:
        with urllib.request.urlopen(f"{api}/next") as answer:
            request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        urllib.request.urlopen(f"{api}/{request_id}/response", found).close()
    """
    files = {"bootstrap": textwrap.dedent(bootstrap)}
    found = cloud.invoke(cloud.deploy(files, Runtime="provided.al2023", Handler="h", MemorySize=256)).json
    assert {"LAMBDA_TASK_ROOT", "_HANDLER", "PATH", "LANG"} <= set(found)
    assert not {"PWD", "SHLVL", "PYTHONPATH", "AWS_EXECUTION_ENV"} & set(found)


def test_limits_are_awss(cloud):
    """Of locked memory, descriptors, processes, as on AWS; the rest has none."""
    source = """
    import resource
    def handler(event, context):
        return {name: resource.getrlimit(getattr(resource, name)) for name in event}
    """
    names = ["RLIMIT_MEMLOCK", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_FSIZE"]
    expected = [[65536] * 2, [1024] * 2, [742] * 2, [-1, -1]]
    assert cloud.run(source, names).json == dict(zip(names, expected, strict=True))


def test_limit_that_a_function_sets_is_its_own(cloud):
    """It can be lowered, and then that is what it is."""
    source = """
    import resource
    def handler(event, context):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        return resource.getrlimit(resource.RLIMIT_FSIZE)
    """
    assert cloud.run(source).json == [1 << 20, 1 << 20]


def test_entry_point_is_there(cloud):
    """AWS's image has a script of this name at its root."""
    source = "import os\ndef handler(event, context): return oct(os.stat('/lambda-entrypoint.sh').st_mode)\n"
    assert cloud.run(source).json == "0o100755"


@pytest.mark.parametrize("host", ["localhost.localstack.cloud", "s3.localhost.localstack.cloud", "sync-127.0.0.1"])
def test_names_of_localstack_are_this_machine(cloud, host):
    """Also where no DNS server knows them, and with the prefix that an SDK puts before some operations' host."""
    source = """
    import urllib.request
    def handler(event, context):
        with urllib.request.urlopen(event) as answer:
            return answer.status
    """
    assert cloud.run(source, f"http://{host}:{cloud.port}/_localstack/health").json == 200


def test_name_that_is_not_known_fails_in_the_library(cloud):
    """The stack trace has nothing but Python's own frames."""
    source = "import socket\ndef handler(event, context): socket.create_connection(('nowhere.invalid', 80))\n"
    found = cloud.run(source, Timeout=30).json
    assert found["errorType"] == "gaierror"
    places = [re.match(r'  File "(.*)", line \d+, in (\w+)', frame).groups() for frame in found["stackTrace"]]
    library = "/var/lang/lib/python3.13/socket.py"
    expected = [("/var/task/app.py", "handler"), (library, "create_connection"), (library, "getaddrinfo")]
    assert places == expected
    assert "for res in _socket.getaddrinfo(" in found["stackTrace"][-1]


def test_crash_does_not_lose_what_tmp_holds(cloud):
    """A reset keeps /tmp, as AWS documents."""
    source = """
    import os, tempfile
    def handler(event, context):
        path = os.path.join(tempfile.gettempdir(), "kept")
        known = os.path.exists(path)
        open(path, "a").close()
        if event:
            os._exit(1)
        return known
    """
    name = cloud.deploy(source)
    assert_error(cloud.invoke(name, {"crash": True}), "Runtime.ExitError", "Runtime exited with error: exit status 1")
    assert cloud.invoke(name).json is True


def sleeps(seconds):
    """Whether a process sleeps for exactly that long."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == f"sleep\0{seconds}\0".encode():
                return True
    return False
