"""The LocalStack that the tests run against: once with all the isolation there is, once with none."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest

# Tests are imported by path (importmode=importlib), so what they share is made importable here.
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from cloud import Cloud, running

STARTED: list[Cloud] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Say with a test that failed what the LocalStacks said last."""
    report = yield
    if report.failed:
        for cloud in STARTED:
            ended = cloud.process.poll()
            state = "runs" if ended is None else f"ended with {ended}"
            report.sections.append((f"LocalStack on port {cloud.port} {state}", "".join(cloud.output[-40:])))
    return report


@pytest.fixture(scope="session")
def clouds() -> Iterator[Callable[..., Cloud]]:
    """Starts a LocalStack with given settings, once for all who ask for the same."""
    with ExitStack() as stack:

        @cache
        def start(**settings: str) -> Cloud:
            STARTED.append(stack.enter_context(contextmanager(running)(**settings)))
            return STARTED[-1]

        yield start


@pytest.fixture(scope="session", params=["auto", "process"])
def cloud(request, clouds) -> Cloud:
    """With the best isolation that the kernel allows, and without namespaces, as in an unprivileged container."""
    return clouds(PROCESS_EXECUTOR_ISOLATION=request.param)


@pytest.fixture
def source_folder(cloud) -> Path:
    """Where functions can read, for what is hot-reloaded."""
    folder = cloud.folder / f"source-{os.urandom(4).hex()}"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture(scope="session")
def staged_cloud(clouds) -> Cloud:
    """Only where namespaces are to be had."""
    cloud = clouds(PROCESS_EXECUTOR_ISOLATION="auto")
    cloud.run("def handler(event, context): pass")
    if cloud.isolation == "process":
        pytest.skip("no namespaces here: /var/task is a real path only in one")
    return cloud


@pytest.fixture(scope="session")
def cloud_of_short_inits(clouds) -> Cloud:
    """With one second instead of AWS's ten for an initialization."""
    return clouds(PROCESS_EXECUTOR_INIT_TIMEOUT_S="1")
