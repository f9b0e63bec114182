"""The LocalStack that the tests run against: once with all the isolation there is, once with none."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Tests are imported by path (importmode=importlib), so what they share is made importable here.
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from cloud import PYTHON, RUNTIMES, Cloud

ABSENT = f"no LocalStack to test against: {PYTHON} (LOCALSTACK_PYTHON names another)"


def running(**settings: str) -> Iterator[Cloud]:
    """Start a LocalStack and end it."""
    if not PYTHON.exists():
        pytest.skip(ABSENT)
    if not (RUNTIMES / "python3.13").exists():
        pytest.skip(f"no function runtime in {RUNTIMES} (PROCESS_EXECUTOR_RUNTIMES_DIR names another folder)")
    cloud = Cloud(**settings)
    try:
        cloud.start()
        yield cloud
    finally:
        cloud.stop()


@pytest.fixture(scope="session", params=["auto", "process"])
def cloud(request) -> Iterator[Cloud]:
    """With the best isolation that the kernel allows, and without namespaces, as in an unprivileged container."""
    yield from running(PROCESS_EXECUTOR_ISOLATION=request.param)


@pytest.fixture(scope="session")
def staged_cloud(cloud) -> Cloud:
    """Only where namespaces are to be had."""
    cloud.run("def handler(event, context): pass")
    if cloud.isolation == "process":
        pytest.skip("needs namespaces: /var/task is a real path only there")
    return cloud
