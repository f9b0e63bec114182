"""Run LocalStack's own tests of Lambda, whose answers were recorded on AWS, on the process executor.

`make conformance` sets up and runs this, once with the isolation that the kernel allows and once without namespaces;
each time with AWS's answers of 2024, which the archive has, and then with those of 2026 where they are others.
The tests start a LocalStack of their own on port 4566. Words on the command line go to pytest.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HOME = ROOT / ".gatehouse"
TOOLS = HOME / "conformance"
ARCHIVE = "localstack_core-4.0.1"
SUITE = "tests/aws/services/lambda_"
FILES = (
    *("test_lambda.py", "test_lambda_common.py", "test_lambda_runtimes.py", "test_lambda_developer_tools.py"),
    *("test_lambda_destinations.py", "test_lambda_integration_xray.py"),
    "event_source_mapping/test_lambda_integration_sqs.py",
)
ISOLATIONS = ("auto", "process")
NONE_CHOSEN = 5  # as pytest says that no test was left by the words on the command line


def main() -> int:
    """Fetch the tests, run them under each isolation; 0 if all answers are AWS's, but for the known differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isolation", choices=ISOLATIONS, action="append", help="only this one")
    given, words = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        suite = fetch(Path(folder))
        isolations = given.isolation or ISOLATIONS
        codes = [run(suite, isolation, 2024, words) for isolation in isolations]
        changed = renew(suite / SUITE / "test_lambda.py")
        codes += [run(suite, isolation, 2026, words, only=changed) for isolation in isolations]
    return max((code for code in codes if code != NONE_CHOSEN), default=NONE_CHOSEN)


def fetch(folder: Path) -> Path:
    """Have pip fetch the archive, checked against its hash, and unpack its tests; where they are."""
    words = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary=:all:", "--no-build-isolation"]
    lock = str(HERE / "recordings.txt")
    command = [sys.executable, "-m", "pip", "download", *words, "--require-hashes", "-r", lock, "-d", str(folder)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(TOOLS)}, check=True)
    with tarfile.open(folder / f"{ARCHIVE}.tar.gz") as archive:
        wanted = [member for member in archive if member.name.startswith(f"{ARCHIVE}/tests/")]
        archive.extractall(folder, wanted, filter="data")
    return folder / ARCHIVE


def renew(tests: Path) -> list[str]:
    """Put what AWS has answered since then in the place of what was recorded; the tests of that."""
    newer = tomllib.loads((HERE / "newer.toml").read_text())
    text = tests.read_text()
    for edit in newer["edits"]:
        if edit["old"] not in text:
            raise LookupError(f"{tests.name} does not have {edit['old']!r}: mend newer.toml")
        text = text.replace(edit["old"], edit["new"])
    tests.write_text(text)
    recordings = tests.with_suffix(".snapshot.json")
    recorded = json.loads(recordings.read_text())
    by_test = {name.rpartition("::")[2]: recording["recorded-content"] for name, recording in recorded.items()}
    for test, answers in newer["answers"].items():
        merge(by_test[test], answers)
    recordings.write_text(json.dumps(recorded))
    return list(newer["answers"])


def merge(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Write what is new over what is old, deep down."""
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            merge(old[name], value)
        else:
            old[name] = value


def run(suite: Path, isolation: str, year: int, words: list[str], only: Sequence[str] = ()) -> int:
    """Run all tests, or only these, once; pytest's exit status."""
    folder = suite.parent
    print(f"== isolation: {isolation}, AWS's answers of {year}", flush=True)
    state = folder / f"{isolation}-{year}"
    for name in ("tmp", "cache", "files"):
        (state / name).mkdir(parents=True)
    folder.chmod(0o755)
    settings = {
        "PYTHONPATH": os.pathsep.join([str(HERE), str(TOOLS)]),
        "HOME": str(state),
        "TMPDIR": str(state / "tmp"),
        "XDG_CACHE_HOME": str(state / "cache"),
        "FILESYSTEM_ROOT": str(state / "files"),
        "PYENV_ROOT": os.environ.get("PYENV_ROOT") or str(Path.home() / ".pyenv"),
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        "PROVIDER_OVERRIDE_DYNAMODB": "moto",
        "PROCESS_EXECUTOR_RUNTIMES_DIR": str(HOME / "runtimes"),
        "PROCESS_EXECUTOR_ISOLATION": isolation,
        "PROCESS_EXECUTOR_ANSWERS": str(year),
        "CONFORMANCE_ONLY": " ".join(only),
        # Its pollers wait for longer and longer, at random up to 15 s, where tests give the next message 10.
        "LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_EMPTY_POLL_SEC": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DISABLE_EVENTS": "1",
        "DNS_ADDRESS": "0",
    }
    files = [f"{SUITE}/{name}" for name in FILES]
    options = ["-p", "recorded", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "-W", "ignore"]
    shown = ["-q", "-rfEsX", "--tb=short", "--show-capture=no", "--timeout=240"]
    command = [sys.executable, "-m", "pytest", *options, *shown, *files, *words]
    return subprocess.run(command, cwd=suite, env=os.environ | settings, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
