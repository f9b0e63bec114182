"""The pytest plugin: the fixtures `idp` and `idp_server`.

pytest loads this module in every test run of an environment that has the package, also in projects that do not use it:
so it imports nothing of the issuer before a test asks for one. `mock_idp.testing` has what tests import themselves.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mock_idp.testing import Idp, IdpServer


@pytest.fixture(scope="session")
def idp_settings() -> dict[str, str]:
    """Environment variables of the issuer; override it for a configuration of your own."""
    return {}


@pytest.fixture(scope="session")
def idp_server(idp_settings: dict[str, str]) -> "Iterator[IdpServer]":
    """One issuer for the whole session."""
    from mock_idp.testing import IdpServer  # noqa: PLC0415 - see above

    with tempfile.TemporaryDirectory(prefix="mock_idp-") as folder, IdpServer(Path(folder), idp_settings) as server:
        yield server


@pytest.fixture
def idp(idp_server: "IdpServer") -> "Idp":
    """The issuer as this test's own: people, clock, faults, keys and requests apart from other tests'."""
    return idp_server.namespace()
