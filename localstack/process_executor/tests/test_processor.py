"""The share of a processor that AWS gives a function by its memory, and when functions have it here."""

import os
import signal
import subprocess
import sys

import pytest

from process_executor import processor

SHARE = 128 / 1769
# What the module does before it fails takes more than the share of seven seconds, and much less than ten.
FAILING = """
import time
while time.process_time() < 1:
    pass
raise RuntimeError("got there")
"""
WAITING = """
import os, signal, time
def spend(event):
    used = time.process_time()
    while time.process_time() < used + event:
        pass
def waited(event, context):
    time.sleep(1)
    begin = time.monotonic()
    spend(event)
    return time.monotonic() - begin
def forgotten(event, context):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    begin = time.monotonic()
    for _ in range(4):
        if (pid := os.fork()) == 0:
            spend(event / 4)
            os._exit(0)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass
    return time.monotonic() - begin
"""
BUSY = """
import subprocess, sys, time
def handler(event, context):
    begin, used = time.monotonic(), time.process_time()
    while time.process_time() < used + event:
        pass
    return time.monotonic() - begin
def started(event, context):
    begin = time.monotonic()
    program = f"import time\\nwhile time.process_time() < {event}: pass"
    subprocess.run([sys.executable, "-S", "-c", program], check=True)
    return time.monotonic() - begin
"""


@pytest.fixture(scope="module")
def cloud_of_shares(clouds):
    """Whose functions have AWS's share in every invocation."""
    return clouds(PROCESS_EXECUTOR_CPU_SHARE="2")


def test_initialization_that_is_repeated_in_an_invocation_has_its_share(cloud):
    """It failed with all of a processor; with the share it does not come that far within the function's timeout."""
    answer = cloud.run(FAILING, Timeout=5, MemorySize=128)
    assert answer.json["errorMessage"].endswith(" Task timed out after 5.00 seconds")


def test_short_initialization_that_is_repeated_is_not_slowed_down(cloud):
    """Its own error is told within the shortest timeout."""
    answer = cloud.run("raise RuntimeError('at once')", Timeout=1, MemorySize=128)
    assert answer.json["errorMessage"] == "at once"


def test_changed_code_is_initialized_anew(cloud, source_folder):
    """With all of a processor, although what was there before has failed."""
    (source_folder / "app.py").write_text(FAILING)
    name = cloud.create({"S3Bucket": "hot-reload", "S3Key": str(source_folder)}, Timeout=3, MemorySize=128)
    assert cloud.invoke(name).timed_out
    (source_folder / "app.py").write_text(FAILING.replace("raise RuntimeError", "handler = lambda *_:"))
    assert cloud.invoke(name).json == "got there"


def test_share_can_be_left_out(clouds):
    """Then a repeated initialization comes as far as the first."""
    cloud = clouds(PROCESS_EXECUTOR_CPU_SHARE="0")
    assert cloud.run(FAILING, Timeout=7, MemorySize=128).json["errorMessage"] == "got there"


@pytest.mark.parametrize("handler", ["handler", "started"])
def test_invocation_has_its_share(cloud_of_shares, handler):
    """Of the function's process and of those it starts, together."""
    name = cloud_of_shares.deploy(BUSY, Handler=f"app.{handler}", Timeout=30, MemorySize=128)
    assert cloud_of_shares.invoke(name, 0.1).json > 0.5 * 0.1 / SHARE
    assert cloud_of_shares.invoke(name, 0.1).json > 0.5 * 0.1 / SHARE


@pytest.mark.parametrize("handler", ["waited", "forgotten"])
def test_share_is_neither_saved_up_nor_forgotten(cloud_of_shares, handler):
    """Time without work is no credit, and children that nobody waits for have used it, too."""
    name = cloud_of_shares.deploy(WAITING, Handler=f"app.{handler}", Timeout=30, MemorySize=256)
    assert cloud_of_shares.invoke(name, 0.2).json > 0.5 * 0.2 / (2 * SHARE)


def test_share_grows_with_the_memory(cloud_of_shares):
    """What times out with little memory has the time with more."""
    name = cloud_of_shares.deploy(BUSY, Timeout=2, MemorySize=128)
    assert cloud_of_shares.invoke(name, 0.3).timed_out
    cloud_of_shares.awslambda.update_function_configuration(FunctionName=name, MemorySize=1769)
    cloud_of_shares.awslambda.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert cloud_of_shares.invoke(name, 0.3).error is None


def test_first_initialization_has_all_of_a_processor(cloud_of_shares):
    """As on AWS, however little memory there is."""
    source = "import time\nwhile time.process_time() < 1: pass\ndef handler(event, context): return 'ready'"
    assert cloud_of_shares.run(source, Timeout=3, MemorySize=128).json == "ready"


def test_only_what_is_below_the_keeper_is_halted():
    """A number that another process has by now is not the function's."""
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert processor.halt([child.pid], keeper=child.pid) == []
        assert processor.halt([child.pid], keeper=os.getpid()) == [child.pid]
        processor.send_signal([child.pid], signal.SIGCONT)
        child.kill()
