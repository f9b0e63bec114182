"""The zip: reproducible, compiled, and complete."""

import importlib.util
import io
import marshal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

BUILD = Path(__file__).parent.parent / "build.py"
MAIN = "messages/__pycache__/__init__.cpython-313.pyc"


@pytest.fixture(scope="module")
def dependencies(tmp_path_factory) -> Path:
    """A folder that looks like the unpacked packages, with all that must stay out of the zip."""
    folder = tmp_path_factory.mktemp("dependencies")
    files = {
        "jwcrypto/__init__.py": "NAME = 'jwcrypto'\n",
        "jwcrypto/tests.py": "raise AssertionError\n",
        "jwcrypto/tests/test_it.py": "raise AssertionError\n",
        "jwcrypto/types.pyi": "NAME: str\n",
        "jwcrypto/__pycache__/__init__.cpython-313.pyc": "stale",
        "jwcrypto-1.dist-info/RECORD": "paths of this machine",
        "jwcrypto-1.dist-info/INSTALLER": "uv",
        "jwcrypto-1.dist-info/licenses/LICENSE": "a licence",
        "native.so": "binary",
        "bin/tool": "a script with a path of this machine",
        ".lock": "",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def build(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BUILD), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def archive(dependencies, tmp_path_factory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("out") / "function.zip"
    done = build("--dependencies", dependencies, "--out", out)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(io.BytesIO(out.read_bytes()))


def test_two_builds_give_the_same_bytes(dependencies, tmp_path, archive):
    """Whatever the hash seed, the folder, and what an earlier build has kept."""
    for seed in ("1", "2"):
        out = tmp_path / seed / "function.zip"
        done = build("--dependencies", dependencies, "--out", out, environment={"PYTHONHASHSEED": seed})
        assert done.returncode == 0, done.stderr
    one, two = (tmp_path / seed / "function.zip" for seed in "12")
    assert one.read_bytes() == two.read_bytes() == archive.fp.getvalue()


def test_zip_holds_the_function_and_its_packages_only(archive):
    names = set(archive.namelist())
    assert {"messages/__init__.py", MAIN, "jwcrypto/__init__.py", "native.so"} <= names
    assert "jwcrypto-1.dist-info/licenses/LICENSE" in names
    outside = {name for name in names if not name.startswith("messages/")}
    assert outside == {
        "jwcrypto/__init__.py",
        "jwcrypto/__pycache__/__init__.cpython-313.pyc",
        "jwcrypto-1.dist-info/licenses/LICENSE",
        "native.so",
    }


def test_entries_are_sorted_and_carry_no_time_and_no_owner(archive):
    infos = archive.infolist()
    assert [info.filename for info in infos] == sorted(info.filename for info in infos)
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr >> 16 for info in infos} == {0o100644}


def test_modules_are_compiled_and_loaded_without_a_look_at_their_source(archive):
    bytecode = archive.read(MAIN)
    assert bytecode[:4] == importlib.util.MAGIC_NUMBER
    assert bytecode[4:8] == (1).to_bytes(4, "little")
    assert marshal.loads(bytecode[16:]).co_filename == "/var/task/messages/__init__.py"


def test_every_module_of_the_function_is_compiled(archive):
    names = archive.namelist()
    sources = [name for name in names if name.endswith(".py")]
    assert len([name for name in names if name.endswith(".pyc")]) == len(sources) > 15


def test_stale_bytecode_of_the_packages_is_not_shipped(archive):
    assert archive.read("jwcrypto/__pycache__/__init__.cpython-313.pyc") != b"stale"


def test_template_points_at_the_zip_and_is_otherwise_the_same(dependencies, tmp_path):
    out, template = tmp_path / "zip" / "f.zip", tmp_path / "t" / "template.yaml"
    done = build("--dependencies", dependencies, "--out", out, "--template", template)
    assert done.returncode == 0, done.stderr
    original = (BUILD.parent / "template.yaml").read_text()
    assert template.read_text() == original.replace("CodeUri: messages/", "CodeUri: ../zip/f.zip")


def test_folder_without_the_packages_is_refused_with_the_next_step(tmp_path):
    done = build("--dependencies", tmp_path, "--out", tmp_path / "f.zip")
    assert done.returncode == 1
    assert "Install them there" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "f.zip").exists()
