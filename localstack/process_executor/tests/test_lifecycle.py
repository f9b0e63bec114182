"""Starting, stopping and watching environments; what is left when LocalStack goes."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cloud import PYTHON, Cloud, eventually, running, zipped

SPAWNING = """
import subprocess
def handler(event, context):
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    subprocess.Popen(["sleep", "1000"])
"""
MEETING = """
import socket
def handler(event, context):
    with socket.create_connection(("127.0.0.1", event)) as connection:
        return connection.recv(1).decode()
"""


def processes_below(pid):
    """All descendants of a process, from /proc."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def alive(pids):
    """Those that are neither gone nor zombies."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(pid)
    return found


@pytest.fixture(params=["auto", "process"])
def short_lived(request):
    """A LocalStack of this test's own."""
    yield from running(PROCESS_EXECUTOR_ISOLATION=request.param)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_localstack(short_lived, number):
    """Neither kill -9 nor a plain stop leaves a process behind, whatever a function has started."""
    name = short_lived.deploy(SPAWNING)
    assert short_lived.invoke(name).error is None
    below = processes_below(short_lived.process.pid)
    assert len(below) >= 5, "a nursery, a keeper, a function and its two children"
    short_lived.process.send_signal(number)
    short_lived.process.wait(timeout=20)
    eventually(lambda: alive(below), lambda pids: not pids)


EMBEDDING = """
import sys, threading, time
from localstack.runtime import current
runtime = current.initialize_runtime()
threading.Thread(target=runtime.run).start()
runtime.ready.wait(60)
runtime.shutdown()
stopped = runtime.stopped.wait(60)
threading.Thread(target=time.sleep, args=[2]).start()  # as those of LocalStack's that go on
sys.exit(3 if stopped else 4)
"""


def test_program_with_localstack_in_a_thread_keeps_its_exit_status(clouds):
    """As pytest does, which LocalStack's own tests have it in."""
    clouds()  # there is one to be had
    cloud = Cloud()
    command = [PYTHON, "-c", EMBEDDING]
    ended = subprocess.run(command, env=cloud.variables(), capture_output=True, timeout=120, check=False)
    cloud.forget()
    assert ended.returncode == 3


def test_stop_leaves_no_folder(short_lived):
    """A plain stop takes the environments' folders along."""
    short_lived.run("import tempfile\ndef handler(event, context): tempfile.mkdtemp()\n")
    short_lived.process.terminate()
    short_lived.process.wait(timeout=20)
    left = [path.name for path in (short_lived.folder / "tmp").iterdir()]
    assert [name for name in left if name.startswith(("lambda-tmp-", "process-executor-"))] == []


def test_nursery_that_died_is_replaced(short_lived):
    """If the nursery is killed its environments are gone, and the next invocation starts anew."""
    name = short_lived.deploy("def handler(event, context): return 'served'")
    assert short_lived.invoke(name).json == "served"
    below = processes_below(short_lived.process.pid)
    for pid in below:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: alive(below), lambda pids: not pids)
    assert short_lived.invoke(name).json == "served"


def waiting_below(cloud):
    """The environments that are made but not asked for: a nursery's forks in sessions of their own, without forks."""
    children = [child for nursery in children_of(cloud.process.pid) for child in children_of(nursery)]
    return [pid for pid in alive(children) if leads_a_session(pid) and not children_of(pid)]


def leads_a_session(pid):
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid) == pid
    return False


def children_of(pid):
    with contextlib.suppress(OSError):
        return [int(each) for path in Path(f"/proc/{pid}/task").glob("*/children") for each in path.read_text().split()]
    return []


def test_environments_wait_in_a_pool(clouds):
    """As many as the setting says, and each that is taken is replaced; never one for two functions."""
    cloud = clouds(PROCESS_EXECUTOR_POOL_SIZE="3", PROCESS_EXECUTOR_ISOLATION="process")
    first = eventually(lambda: waiting_below(cloud), lambda pids: len(pids) == 3)
    keepers = {cloud.run("import os\ndef handler(event, context): return os.getppid()\n").json for _ in range(3)}
    assert keepers == set(first)
    eventually(lambda: waiting_below(cloud), lambda pids: len(pids) == 3 and not keepers & set(pids))


def test_pool_can_be_empty(clouds):
    """Then environments are made when they are asked for."""
    cloud = clouds(PROCESS_EXECUTOR_POOL_SIZE="0", PROCESS_EXECUTOR_ISOLATION="process")
    assert cloud.run("def handler(event, context): return 'served'\n").json == "served"
    assert waiting_below(cloud) == []


def test_environment_that_died_while_it_waited_is_not_handed_out(clouds):
    """The next one serves."""
    cloud = clouds(PROCESS_EXECUTOR_POOL_SIZE="3", PROCESS_EXECUTOR_ISOLATION="process")
    name = cloud.deploy("def handler(event, context): return 'served'\n")
    for pid in eventually(lambda: waiting_below(cloud), lambda pids: len(pids) == 3):
        os.kill(pid, signal.SIGKILL)
    assert cloud.invoke(name).json == "served"


def test_status_page_lists_environments(cloud):
    """The page says what runs, as what, how often and how long."""
    name = cloud.deploy("def handler(event, context): pass")
    for _ in range(3):
        cloud.invoke(name)
    [found] = cloud.environments(name)
    assert (found["version"], found["state"], found["invocations"]) == ("$LATEST", "idle", 3)
    assert Path(f"/proc/{found['pid']}").exists()
    assert 5 < found["memory_mb"] < 60
    assert 0 <= found["age_s"] < 60


def test_log_of_localstack_tells_start_stop_and_failure(cloud):
    """One line each, with the reason."""
    name = cloud.deploy("import os\ndef handler(event, context): os._exit(event)\n")
    cloud.invoke(name, 3)
    cloud.awslambda.delete_function(FunctionName=name)
    lines = eventually(
        lambda: [line for line in cloud.output if f"of {name}:$LATEST" in line], lambda found: len(found) >= 3
    )
    assert "is ready: pid" in lines[0]
    assert "Runtime exited with error: exit status 3" in lines[1]
    assert "is gone" in lines[2]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere\n", "failed to initialize: Runtime.ImportModuleError"),
        ("import os\nos._exit(4)\n", "failed to initialize: Runtime exited with error: exit status 4"),
        ("import time\ndef handler(event, context): time.sleep(9)\n", "Task timed out after 1.00 seconds"),
    ],
)
def test_log_of_localstack_tells_the_reason_first(cloud, source, reason):
    """Then that the process is gone."""
    name = cloud.deploy(source, Timeout=1)
    cloud.invoke(name)
    lines = [line.rstrip() for line in cloud.output if f"of {name}:$LATEST" in line]
    found = next(number for number, line in enumerate(lines) if line.endswith(reason))
    assert "is gone" in lines[found + 1]


def test_log_of_localstack_tells_of_extensions(cloud):
    """There is no Extensions API, and a layer may need it."""
    content = {"ZipFile": zipped({"extensions/agent": "#!/bin/sh\n"})}
    arn = cloud.awslambda.publish_layer_version(LayerName="agent", Content=content)["LayerVersionArn"]
    name = cloud.deploy("def handler(event, context): return 'served'\n", Layers=[arn])
    assert cloud.invoke(name).json == "served"
    assert any(f"{name}: the extensions of its layers are not run" in line for line in cloud.output)


def test_log_of_localstack_tells_the_isolation(cloud):
    """Which level was reached is said once, when the first function of a runtime needs it."""
    cloud.run("def handler(event, context): pass")
    lines = [line for line in cloud.output if "Nursery for python3.13 is up" in line]
    assert len(lines) == 1
    assert lines[0].rstrip().endswith(f"isolation: {cloud.isolation}")


def test_background_threads_and_children_rest_between_invocations(cloud):
    """An environment is frozen once the runtime asks for the next invocation, and goes on with that."""
    source = """
    import subprocess, threading
    count = 0
    def work():
        global count
        while not threading.Event().wait(0.01):
            count += 1
    threading.Thread(target=work, daemon=True).start()
    child = subprocess.Popen(["sleep", "1000"])
    def handler(event, context):
        before = count
        threading.Event().wait(0.1)
        return [before, count, child.poll()]
    """
    name = cloud.deploy(source)
    _, first, _ = cloud.invoke(name).json
    threading.Event().wait(1)
    before, after, ended = cloud.invoke(name).json
    assert before - first < 10
    assert after > before
    assert ended is None


def test_environments_run_in_parallel(cloud):
    """Simultaneous invocations each get an environment."""
    parallel(cloud, 8)


def test_two_hundred_environments_leave_nothing_behind(clouds):
    """Threads and descriptors of LocalStack are as many after 200 parallel environments as before."""
    cloud = clouds(PROCESS_EXECUTOR_ISOLATION="auto")
    parallel(cloud, 10)
    before = descriptors(cloud)
    parallel(cloud, 200)
    assert eventually(lambda: descriptors(cloud), lambda found: found <= before) <= before
    ours = [name for name in thread_names(cloud) if name.startswith(("process-exec", "nursery"))]
    assert len(ours) <= 3


def test_start_without_a_program_leaves_no_descriptor(clouds):
    """A custom runtime that has no bootstrap, again and again."""
    cloud = clouds(PROCESS_EXECUTOR_ISOLATION="auto")
    name = cloud.deploy({"other": ""}, Runtime="provided.al2023")
    cloud.invoke(name)
    before = descriptors(cloud)
    assert {cloud.invoke(name).error for _ in range(10)} == {"Unhandled"}
    assert eventually(lambda: descriptors(cloud), lambda found: found <= before) <= before


LISTENING = "0A"  # the state in /proc/net/tcp


def descriptors(cloud: Cloud) -> int:
    """The executor's: pipes, pollers, local sockets and those that listen; LocalStack's connections come and go."""
    process = Path(f"/proc/{cloud.process.pid}")
    links = []
    for path in (process / "fd").iterdir():
        with contextlib.suppress(OSError):
            links.append(str(path.readlink()))
    local = [line.split()[6] for line in (process / "net/unix").read_text().splitlines()[1:]]
    tcp = [line.split() for line in (process / "net/tcp").read_text().splitlines()[1:]]
    inodes = {*local, *(fields[9] for fields in tcp if fields[3] == LISTENING)}
    ours = [link for link in links if link.startswith(("pipe:", "anon_inode:")) or link[8:-1] in inodes]
    return len(ours)


def thread_names(cloud: Cloud) -> list[str]:
    return [path.read_text() for path in Path(f"/proc/{cloud.process.pid}/task").glob("*/comm")]


def parallel(cloud: Cloud, count: int) -> None:
    """Invoke a function that often at once: nobody is answered before all are there."""
    name = cloud.deploy(MEETING, Timeout=300)
    cloud.awslambda = cloud.client("lambda")  # the old one's idle connections LocalStack may close at this moment
    with (
        ThreadPoolExecutor(count) as pool,
        socket.create_server(("127.0.0.1", 0), backlog=count) as server,
        contextlib.ExitStack() as guests,
    ):
        server.settimeout(1)
        answers = [pool.submit(cloud.invoke, name, server.getsockname()[1]) for _ in range(count)]
        connections: list[socket.socket] = []
        while len(connections) < count:
            with contextlib.suppress(TimeoutError):
                connections.append(guests.enter_context(server.accept()[0]))
            assert [answer.result() for answer in answers if answer.done()] == [], "nobody was told to leave yet"
        assert len([each for each in cloud.environments(name) if each["state"] == "invoking"]) == count
        for connection in connections:
            connection.send(b"k")
        assert [answer.result().json for answer in answers] == ["k"] * count
    cloud.awslambda.delete_function(FunctionName=name)
    eventually(lambda: cloud.environments(name), lambda environments: not environments)


def test_stopping_during_the_initialization_leaves_nothing(cloud):
    """An environment that is provisioned for a function which is then deleted is gone at once, with its children."""
    source = "import subprocess, threading\nsubprocess.Popen(['sleep', '1000'])\nthreading.Event().wait()\n"
    name = cloud.deploy(source)
    version = cloud.awslambda.publish_version(FunctionName=name)["Version"]
    ask = cloud.awslambda.get_function_configuration
    eventually(lambda: ask(FunctionName=name, Qualifier=version)["State"], lambda state: state == "Active")
    cloud.awslambda.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=version, ProvisionedConcurrentExecutions=1
    )
    [environment] = eventually(
        lambda: cloud.environments(name), lambda found: [bool(each["pid"]) for each in found] == [True]
    )
    below = eventually(lambda: processes_below(environment["pid"]), lambda found: len(found) >= 2)
    assert environment["state"] == "starting"
    cloud.awslambda.delete_function(FunctionName=name)
    eventually(lambda: alive(below), lambda pids: not pids, timeout_s=5)
    eventually(lambda: cloud.environments(name), lambda environments: not environments)


MEETING_LATE = """
import socket
def handler(event, context):
    with socket.create_connection(("127.0.0.1", event)) as connection:
        word = connection.recv(1).decode()
    import late
    return [word, late.word]
"""


@pytest.mark.parametrize("change", ["delete", "update"])
def test_invocation_that_runs_is_finished_by_the_code_it_began_with(cloud, change):
    """As on AWS, deleting or updating a function interrupts nothing; the environment goes afterwards."""
    name = cloud.deploy({"app.py": MEETING_LATE, "late.py": "word = 'old'\n"}, Timeout=60)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(cloud.invoke, name, server.getsockname()[1])
        connection, _ = server.accept()
        with connection:
            [environment] = cloud.environments(name)
            if change == "delete":
                cloud.awslambda.delete_function(FunctionName=name)
            else:
                files = {"app.py": "def handler(event, context): return 'new'\n"}
                cloud.awslambda.update_function_code(FunctionName=name, ZipFile=zipped(files))
                eventually(lambda: cloud.configuration(name)["LastUpdateStatus"], lambda status: status == "Successful")
                assert cloud.invoke(name).json == "new"
            assert alive([environment["pid"]])
            connection.send(b"k")
        assert answer.result(timeout=20).json == ["k", "old"]
    eventually(lambda: alive([environment["pid"]]), lambda pids: not pids)


def test_invocation_at_the_moment_of_an_update_is_served(cloud):
    """By the old code or the new, never with an error."""
    name = cloud.deploy("def handler(event, context): return 0\n")
    for number in range(1, 15):
        code = {"app.py": f"def handler(event, context): return {number}\n"}
        cloud.awslambda.update_function_code(FunctionName=name, ZipFile=zipped(code))
        answer = cloud.invoke(name)
        assert answer.error is None, answer
        assert answer.json in (number - 1, number)
        eventually(lambda: cloud.configuration(name)["LastUpdateStatus"], lambda status: status == "Successful")


def test_code_is_deleted_with_its_last_environment(cloud):
    """What LocalStack wanted to delete while it was in use does not stay."""
    name = cloud.deploy(MEETING, Timeout=60)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(cloud.invoke, name, server.getsockname()[1])
        connection, _ = server.accept()
        with connection:
            [folder] = cloud.folder.glob(f"tmp/lambda/*/{name}-*")
            cloud.awslambda.delete_function(FunctionName=name)
            connection.send(b"k")
        assert answer.result(timeout=20).json == "k"
    eventually(folder.exists, lambda there: not there)
