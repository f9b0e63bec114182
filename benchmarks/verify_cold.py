"""What a cold start costs the function: the time its imports take, before a token has passed and after.

    python benchmarks/verify_cold.py [rounds]

Builds the zip, unpacks it, and imports from there, compiled, as Lambda does; botocore comes from this environment as it
comes from Lambda's. `-X importtime` counts a module's imports whole; the best of the rounds is printed, beside a bare
interpreter's and that of boto3 alone.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "lambda" / "build.py"
# What set-up has unpacked; without it the build fetches the packages itself.
DEPENDENCIES = ROOT / ".gatehouse" / "function"
BEFORE = "import messages"
AFTER = "import messages, messages.store"
STATEMENTS = {
    "before a token has passed": BEFORE,
    "after a token has passed": AFTER,
    "boto3 alone": "import boto3",
    "jwcrypto's keys alone": "import jwcrypto.jwk",
}


def import_ms(statement: str, folder: Path) -> float:
    """Milliseconds in which a new interpreter carries out the imports of a statement."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    top_level = 0
    after_site = False
    for line in done.stderr.splitlines():
        _, _, rest = line.partition("import time:")
        own, cumulative, name = rest.split("|")
        if own.strip() == "self [us]":
            continue
        # Modules of the outermost level have one space before their name; the interpreter's own end with `site`.
        if after_site and name.startswith(" ") and not name.startswith("  "):
            top_level += int(cumulative)
        after_site = after_site or name.strip() == "site"
    return top_level / 1000


def main() -> None:
    """Print the size of the zip and the times."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        packages: list[str | Path] = ["--dependencies", DEPENDENCIES] if DEPENDENCIES.is_dir() else []
        subprocess.run([sys.executable, BUILD, "--out", folder / "function.zip", *packages], check=True)
        size = (folder / "function.zip").stat().st_size
        print(f"{'zip':28} {size / 1e6:7.1f} MB")
        zipfile.ZipFile(folder / "function.zip").extractall(folder / "task")
        best = dict.fromkeys(STATEMENTS, float("inf"))
        for _ in range(rounds):
            for label, statement in STATEMENTS.items():
                best[label] = min(best[label], import_ms(statement, folder / "task"))
        for label, figure in best.items():
            print(f"{label:28} {figure:7.1f} ms")


if __name__ == "__main__":
    main()
