"""Set-up: made once, made again when its inputs change, made anew after an interruption."""

import io
from pathlib import Path

import pytest

from testbed.progress import PlainRenderer, Progress
from testbed.settings import ROOT, Settings
from testbed.setup import Piece, Setup, other_pythons


class Workshop:
    """A set-up of one piece that counts how often it was made."""

    def __init__(self, home: Path) -> None:
        self.made = 0
        self.fail = False
        self.input = home / "input"
        self.input.write_text("1")
        settings = Settings.from_environment({"STACK": "unused"}, home / ".env")
        self.setup = Setup(settings, Progress(PlainRenderer(io.StringIO())))
        self.setup._home = home
        self.setup._pieces = {
            "piece": Piece(name="piece", title="A piece", target=home / "target", inputs=(self.input,), make=self.make)
        }

    def make(self) -> None:
        self.made += 1
        (self.input.parent / "target").write_text("half")
        if self.fail:
            raise KeyboardInterrupt


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    monkeypatch.setattr("testbed.setup.ROOT", tmp_path)
    return Workshop(tmp_path)


def test_piece_is_made_once(workshop):
    """A second set-up has nothing to do."""
    workshop.setup.ensure("piece")
    workshop.setup.ensure("piece")
    assert workshop.made == 1


def test_piece_is_made_again_when_its_input_changes(workshop):
    """A changed lock file makes the environment anew."""
    workshop.setup.ensure("piece")
    workshop.input.write_text("2")
    workshop.setup.ensure("piece")
    assert workshop.made == 2


def test_piece_is_made_anew_after_an_interruption(workshop):
    """What was half made when somebody pressed Ctrl-C does not pass for whole."""
    workshop.fail = True
    with pytest.raises(KeyboardInterrupt):
        workshop.setup.ensure("piece")
    workshop.fail = False
    workshop.setup.ensure("piece")
    assert workshop.made == 2


def test_every_piece_is_made_from_files_that_exist():
    """No piece depends on a file that is not in the repository."""
    setup = Setup(Settings.from_environment({}, ROOT / "none"), Progress(PlainRenderer(io.StringIO())))
    inputs = [path for piece in setup._pieces.values() for path in piece.inputs]
    assert inputs
    assert [path for path in inputs if not path.exists()] == []


def test_other_pythons_are_those_of_path_and_pyenv(tmp_path, monkeypatch):
    """Versions that functions may be written for, but this one; whether they run is seen when they are asked to."""
    for program in ("bin/python3.11", "bin/python3.8", "pyenv/versions/3.14.2/bin/python3.14"):
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert other_pythons() == ["3.11", "3.14"]
