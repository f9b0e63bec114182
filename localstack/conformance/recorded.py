"""A pytest plugin: what LocalStack's tests expect of the machine, which of them apply, and where answers differ."""

import os
import re
import socket
import sys
import tomllib
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

# Imported by tests of other services.
for name in ("aws_cdk", "aws_cdk.aws_events", "aws_cdk.aws_lambda", "aws_cdk.aws_lambda_destinations"):
    sys.modules[name] = MagicMock()
sys.modules["tests.aws.test_terraform"] = MagicMock()

DIFFERENCES = tomllib.loads((Path(__file__).parent / "differences.toml").read_text())
# Those whose answers AWS has changed, when these are compared.
ONLY = os.environ.get("CONFORMANCE_ONLY", "").split()
RUNTIMES = re.compile(r"\[(?:java|dotnet|ruby|go|provided|python3\.8|nodejs1[68])|Java")
getaddrinfo = socket.getaddrinfo


def resolve(host: Any, *arguments: Any, **named: Any) -> Any:
    """Resolve LocalStack's names, which public DNS servers would."""
    near = isinstance(host, str) and host.endswith("localhost.localstack.cloud")
    return getaddrinfo("127.0.0.1" if near else host, *arguments, **named)


socket.getaddrinfo = resolve


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run what LocalStack itself skips, too; leave out what cannot run here; mark what is known to differ."""
    left_out = []
    for item in items:
        name = item.nodeid.rpartition("::")[2]
        for node in item.listchain():
            node.own_markers = [mark for mark in node.own_markers if mark.name not in ("skip", "skipif")]
        if RUNTIMES.search(item.nodeid) or name in DIFFERENCES["left-out"] or (ONLY and name not in ONLY):
            left_out.append(item)
        elif name in DIFFERENCES["differs"] and not ONLY:
            item.add_marker(pytest.mark.xfail(reason=DIFFERENCES["differs"][name], strict=True))
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
