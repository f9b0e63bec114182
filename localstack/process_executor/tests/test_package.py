"""The distribution, installed from its wheel into an empty environment; other tests have LocalStack load it."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
ROOT = HERE.parents[1]
PYPROJECT = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
MODULE = PYPROJECT["tool"]["uv"]["build-backend"]["module-name"]

# Imports nothing of the package: LocalStack, whose classes it extends, is not in this environment.
FIND = """
import ast, importlib.metadata, importlib.util, sys
for point in importlib.metadata.distribution(sys.argv[1]).entry_points:
    found = importlib.util.find_spec(point.module)
    module = ast.parse(open(found.origin, encoding="utf-8").read())
    names = {node.name for node in module.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    print(point.group, point.name, point.attr in names)
"""


def run(*command: str | Path) -> str:
    """Run a command to its end and return what it printed; fail with that when it fails."""
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.fixture(scope="session")
def uv() -> str:
    """The package installer, the machine's or set-up's own."""
    found = shutil.which("uv") or shutil.which(ROOT / ".gatehouse/env/uv/bin/uv")
    if found is None:
        pytest.skip("no uv here: `testbed/launch setup uv` fetches it")
    return found


def build(uv: str, folder: Path, *what: str) -> Path:
    """Build with the backend that uv brings along; return the wheel."""
    run(uv, "build", "--offline", "--python", sys.executable, HERE, "--out-dir", folder, *what)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheel(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made of the sdist."""
    return build(uv, tmp_path_factory.mktemp("built"))


def test_wheel_holds_the_whole_package_and_nothing_else(wheel: Path):
    """Every module, what Node.js loads included, and the marker that says it is typed."""
    source = HERE / "src"
    files = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    files = {name for name in files if "__pycache__" not in name}
    assert {f"{MODULE}/nodejs/index.mjs", f"{MODULE}/py.typed"} < files
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.endswith("/") and ".dist-info/" not in name}
    assert held == files


def test_wheel_is_the_same_from_the_sdist_and_from_the_checkout(uv: str, wheel: Path, tmp_path: Path):
    """Building is reproducible, and the sdist lacks nothing."""
    assert build(uv, tmp_path, "--wheel").read_bytes() == wheel.read_bytes()


def test_metadata_says_what_a_package_index_shows(wheel: Path):
    """Licence with its text, README as Markdown, nothing private."""
    with zipfile.ZipFile(wheel) as archive:
        (folder,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        metadata = message_from_bytes(archive.read(f"{folder}/METADATA"))
        assert archive.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert (metadata["Name"], metadata["Version"]) == (PROJECT["name"], PROJECT["version"])
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert not [line for line in metadata.get_all("Classifier") if line.startswith("Private")]


def test_every_entry_point_is_in_the_installed_wheel(uv: str, wheel: Path, tmp_path: Path):
    """In an empty environment it installs, is consistent, and what LocalStack is told to load is there."""
    python = tmp_path / "bin/python"
    run(uv, "venv", "--quiet", "--no-project", "--python", sys.executable, tmp_path)
    run(uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel)
    assert "All installed packages are compatible" in run(uv, "pip", "check", "--python", python)
    found = run(python, "-I", "-c", FIND, PROJECT["name"]).splitlines()
    assert len(found) == sum(map(len, PROJECT["entry-points"].values()))
    assert [line for line in found if not line.endswith(" True")] == []
    run(python, "-I", "-m", "compileall", "-q", *tmp_path.glob(f"lib/*/site-packages/{MODULE}"))
