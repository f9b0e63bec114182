"""The distribution: built, installed from its wheel into empty environments, and used there as its README says."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

import pytest

from mock_idp.tests.conftest import ROOT
from mock_idp.tests.wire import Browser, RunningIssuer

PACKAGE = ROOT / "mock_idp"
PROJECT = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = ROOT / "requirements-dev.txt"
NOT_IN_THE_WHEEL = {
    "tests",
    "pyproject.toml",
    "requirements.txt",
    "README.md",
    "LICENSE",
    "Dockerfile",
    "docker-entrypoint",
}

PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
PROMISED = ("3.11", "3.12", "3.13", "3.14")
OWN = "{}.{}".format(*sys.version_info)

# Stands for the API of a project that uses the plugin: it checks what an API has to check of an access token.
API = """
import base64, json, time, urllib.request
from types import SimpleNamespace

from jwcrypto.jwk import JWKSet
from jwcrypto.jws import JWS


class Api:
    def __init__(self, issuer, audience, jwks_url):
        self.issuer, self.audience, self.jwks_url = issuer, audience, jwks_url

    def get(self, token):
        return SimpleNamespace(status_code=200 if self.accepts(token) else 401)

    def accepts(self, token):
        if len(token) > 8192:
            return False
        try:
            header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "==="))
            with urllib.request.urlopen(self.jwks_url) as answer:
                key = JWKSet.from_json(answer.read()).get_key(header["kid"])
            signed = JWS()
            signed.allowed_algs = ["RS256"]
            signed.deserialize(token, key)
            claims = json.loads(signed.payload)
            return (
                header["typ"] == "at+jwt"
                and claims["iss"] == self.issuer
                and claims["aud"] == self.audience
                and claims["cid"] == "0oatestbed"
                and claims.get("nbf", 0) <= time.time() < claims["exp"]
            )
        except Exception:
            return False
"""

# A project that does not use the plugin, with a fixture of the same name; it runs where no dependency can be imported.
UNRELATED = """
import sys

import pytest


@pytest.fixture
def idp():
    return "the project's own"


def test_own_fixture(idp):
    assert idp == "the project's own"


def test_nothing_of_the_issuer_is_imported():
    imported = {name for name in sys.modules if name.startswith("mock_idp")}
    assert imported == {"mock_idp", "mock_idp.plugin"}
    assert not {"tornado", "jwcrypto", "cryptography", "yaml"} & set(sys.modules)
"""


def programs(version: str) -> list[Path]:
    """Every program that may be that version of Python; what is on PATH may be pyenv's stand-in, which fails.

    Links are followed: an environment made of one looks for the library beside the link.
    """
    on_path = [Path(folder) / f"python{version}" for folder in os.get_exec_path()]
    pyenvs = PYENV.glob(f"{version}.*/bin/python{version}")
    return [path.resolve() for path in (*on_path, *pyenvs) if path.is_file()]


def newer_versions() -> list[str]:
    """Versions on this machine that came after the newest promised one."""
    folders = [Path(folder) for folder in os.get_exec_path()] + list(PYENV.glob("*/bin"))
    found = {
        int(match[1])
        for folder in folders
        for path in folder.glob("python3.*")
        if (match := re.fullmatch(r"python3\.(\d+)", path.name))
    }
    return [f"3.{minor}" for minor in sorted(found) if minor > int(PROMISED[-1].split(".")[1])]


def interpreter(version: str) -> Path | None:
    """Return a Python of that version that really runs."""
    question = "import sys; print('{}.{}'.format(*sys.version_info))"
    for program in programs(version):
        asked = subprocess.run([program, "-c", question], capture_output=True, text=True, timeout=20, check=False)
        if asked.returncode == 0 and asked.stdout.strip() == version:
            return program
    return None


def run(*command: str | Path, **options: object) -> str:
    """Run a command to its end and return what it printed; fail with that when it fails."""
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False, **options
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


@pytest.fixture(scope="session")
def built(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and with the wheel that was made of that sdist."""
    folder = tmp_path_factory.mktemp("built")
    build(uv, folder)
    return folder


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    """The wheel."""
    (path,) = built.glob("*.whl")
    return path


def build(uv: str, folder: Path, *what: str) -> None:
    """Build with the backend that is pinned for the tests; nothing is fetched."""
    run(
        uv,
        "build",
        "--offline",
        "--no-build-isolation",
        "--python",
        sys.executable,
        PACKAGE,
        "--out-dir",
        folder,
        *what,
    )


@dataclass
class Environment:
    """An environment with the wheel, its dependencies and pytest in it.

    Attributes:
        project: an empty folder to work in.
    """

    folder: Path
    project: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    @property
    def variables(self) -> dict[str, str]:
        """Those of a new user of that environment."""
        return {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(self.folder / "home")}

    def pytest(self, *words: str, **variables: str) -> str:
        """Run the environment's pytest in its project."""
        command = (self.python, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *words)
        return run(*command, cwd=self.project, env=self.variables | variables)

    def start(self, *command: str | Path) -> RunningIssuer:
        """Start an issuer in the project's folder."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return RunningIssuer(subprocess.Popen(command, cwd=self.project, env=self.variables, **pipes))


def environments() -> list[object]:
    """One for each version with the lock file's pins, and for the oldest one with the lowest versions allowed."""
    cases = [(version, "pinned") for version in (*PROMISED, *newer_versions())]
    cases.insert(1, (PROMISED[0], "lowest"))
    return [pytest.param(case, id="-".join(case)) for case in cases]


@pytest.fixture(scope="session", params=environments())
def installed(request, uv: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment in which nothing was but what the wheel asks for, and pytest."""
    version, which = request.param
    program = interpreter(version)
    if program is None:
        pytest.skip(f"no Python {version} runs here: neither one on PATH nor one of pyenv's")
    folder = tmp_path_factory.mktemp(f"environment-{version}-{which}")
    run(uv, "venv", "--quiet", "--no-project", "--python", program, folder / "env")
    environment = Environment(folder / "env", folder / "project")
    environment.project.mkdir()
    install = (uv, "pip", "install", "--quiet", "--python", environment.python)
    if which == "lowest":
        # The wheel's own dependencies as low as they may be, theirs as they are pinned.
        pins = re.findall(r"^([\w.-]+==\S+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
        direct = {re.split(r"\W", name.replace("-", "_"))[0].lower() for name in PROJECT["dependencies"]}
        others = folder / "others.txt"
        others.write_text("\n".join(pin for pin in pins if pin.split("==")[0].replace("-", "_") not in direct))
        lowest = ("--resolution", "lowest-direct", "--constraint", others)
        run(*install, *lowest, "--requirement", PACKAGE / "pyproject.toml", "pytest")
        run(*install, "--no-deps", wheel)
    else:
        run(*install, "--constraint", LOCK, wheel, "pytest")
    return environment


def names_in(wheel: Path) -> list[str]:
    """The files of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if not name.endswith("/")]


def read_from(wheel: Path, pattern: str) -> bytes:
    """The one file of the wheel whose name ends so."""
    (name,) = [name for name in names_in(wheel) if name.endswith(pattern)]
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)


def test_wheel_holds_the_whole_package_and_nothing_else(wheel: Path):
    """Every module, template, static file and personas.yaml, and neither tests nor what is for the checkout only."""
    files = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.is_file()]
    ours = {
        f"mock_idp/{file}"
        for file in files
        if file.parts[0] not in NOT_IN_THE_WHEEL
        and not any(part.startswith((".", "__pycache__")) for part in file.parts)
    }
    assert {"mock_idp/personas.yaml", "mock_idp/py.typed", "mock_idp/templates/console.html"} < ours
    assert {name for name in names_in(wheel) if ".dist-info/" not in name} == ours


def test_wheel_is_the_same_from_the_sdist_and_from_the_checkout(uv: str, wheel: Path, tmp_path: Path):
    """Building is reproducible, and the sdist lacks nothing."""
    build(uv, tmp_path, "--wheel")
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_metadata_says_what_a_package_index_shows(wheel: Path):
    """Licence with its text, README as Markdown, and exactly the versions of Python that are tried here."""
    metadata = message_from_bytes(read_from(wheel, ".dist-info/METADATA"))
    assert (metadata["Name"], metadata["Version"]) == ("gatehouse-mock-idp", PROJECT["version"])
    assert metadata["License-Expression"] == "Apache-2.0"
    assert read_from(wheel, ".dist-info/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Requires-Python"] == f">={PROMISED[0]}"
    classifiers = metadata.get_all("Classifier")
    assert not [line for line in classifiers if line.startswith("Private")]
    named = [line.rsplit(" ", 1)[1] for line in classifiers if re.search(r":: 3\.\d+$", line)]
    assert named == list(PROMISED)


def test_installation_brings_all_that_it_needs(uv: str, installed: Environment):
    """Every dependency is there in a version that fits."""
    assert "All installed packages are compatible" in run(uv, "pip", "check", "--python", installed.python)


@pytest.mark.parametrize("command", [("mock-idp",), ("python", "-m", "mock_idp")], ids=" ".join)
def test_issuer_starts_and_answers(installed: Environment, command: Sequence[str]):
    """The console, its static files and the sign-in page are there, and the keys go into the user's state folder."""
    with installed.start(installed.folder / "bin" / command[0], *command[1:], "--port", "0") as issuer:
        browser = Browser(issuer.origin)
        console = browser.get("/")
        assert console.status == 200
        static = re.findall(r'(?:href|src)="(/static/[^"]+)"', console.text)
        assert len(static) >= 3
        assert {browser.get(path).status for path in static} == {200}
        token = browser.send("/mock/tokens", persona="alice").json["token"]
        headers = {"Authorization": f"Bearer {token}"}
        assert browser.request("GET", "/oauth2/default/v1/userinfo", headers=headers).json["name"] == "Alice Archer"
        printed = issuer.stop()
    assert "Traceback" not in printed
    assert (installed.folder / "home/.local/state/mock-idp/keys.json").is_file()
    assert list(installed.project.iterdir()) == []


def test_command_says_its_version(installed: Environment):
    """It is the one of the metadata: pyproject.toml is not in the wheel."""
    printed = run(installed.folder / "bin/mock-idp", "--version", env=installed.variables)
    assert printed == f"mock-idp {PROJECT['version']}\n"


def test_readmes_example_passes(installed: Environment):
    """The README's test file, as it stands there, with warnings as errors in an empty project."""
    (example,) = re.findall(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    files = {"test_readme.py": example, "my_api.py": API}
    for name, text in files.items():
        (installed.project / name).write_text(text, encoding="utf-8")
    printed = installed.pytest("-q")
    for name in files:
        (installed.project / name).unlink()
    assert re.search(r"^1[0-9] passed in", printed, re.MULTILINE), printed


def test_plugin_is_harmless_to_other_projects(installed: Environment):
    """A project that does not use it keeps its own `idp`, even where nothing that the issuer needs can be imported."""
    broken = installed.folder / "broken"
    broken.mkdir()
    for name in ("tornado", "jwcrypto", "cryptography", "yaml"):
        (broken / f"{name}.py").write_text("raise ImportError('broken')\n")
    test = installed.project / "test_unrelated.py"
    test.write_text(UNRELATED)
    assert "2 passed" in installed.pytest("-q", PYTHONPATH=str(broken))
    assert "usage: " in installed.pytest("--help", PYTHONPATH=str(broken))
    test.unlink()
