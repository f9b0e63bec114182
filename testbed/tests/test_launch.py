"""The way in, before there is anything but a shell."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from testbed.settings import ROOT


def launch(*words: str, root: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [root / "testbed/launch", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def fresh(tmp_path):
    """A checkout where nothing is set up yet: there is only the way in."""
    (tmp_path / "fresh/testbed").mkdir(parents=True)
    shutil.copy(ROOT / "testbed/launch", tmp_path / "fresh/testbed/launch")
    return tmp_path / "fresh"


def only(folder: Path, *names: str) -> str:
    """A PATH with these commands and no other."""
    for name in names:
        for place in os.environ["PATH"].split(os.pathsep):
            if (Path(place) / name).exists():
                (folder / name).symlink_to(Path(place) / name)
                break
    return str(folder)


def test_launch_names_the_cure_without_python_313(fresh, tmp_path):
    """A machine without Python 3.13 gets one message that says what to install."""
    answer = launch("up", root=fresh, PATH=only(tmp_path, "sh", "dirname", "cat"), HOME=str(tmp_path))
    assert answer.returncode == 69
    assert "[no_python]" in answer.stderr
    assert "apt-get install" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_launch_passes_over_a_python_that_does_not_run(fresh, tmp_path):
    """A shim that fails, as pyenv leaves them, is passed over."""
    path = only(tmp_path, "sh", "dirname", "cat")
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert "[no_python]" in launch("up", root=fresh, PATH=path, HOME=str(tmp_path)).stderr


def test_command_refuses_a_bad_setting_with_one_sentence():
    """A setting that cannot be used is said, not traced back."""
    answer = launch("status", **(dict(os.environ) | {"IDP_PORT": "http"}))
    assert answer.returncode == 1
    assert "IDP_PORT='http' is not a port" in answer.stderr
    assert "Traceback" not in answer.stderr
