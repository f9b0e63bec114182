"""How long `make up` takes on a machine that is set up: from nothing running, and on a running stack.

    python benchmarks/startup.py [native|compose] [rounds]

Runs a stack of its own on free ports and prints each step of each round. The peer is the same stack already running.
"""

import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from testbed.ports import free_ports

LAUNCH = Path(__file__).parent.parent / "testbed/launch"


def timed(command: str, environment: dict[str, str]) -> tuple[float, list[tuple[str, float]]]:
    """Seconds of one command as a person waits for it, and what its steps say."""
    began = time.monotonic()
    process = subprocess.run(
        [LAUNCH, command], env=os.environ | environment | {"JSON": "1"}, stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.monotonic() - began
    events = [json.loads(line) for line in process.stdout.splitlines()]
    return seconds, [(event["title"], event["seconds"]) for event in events if event["event"] == "StepFinished"]


def main() -> None:
    """Print the steps of each round and the medians."""
    mode = sys.argv[1] if len(sys.argv) > 1 else "native"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    environment = {"MODE": mode, "STACK": f"bench-{secrets.token_hex(3)}", **free_ports()}
    figures: dict[str, list[float]] = {"up from nothing": [], "up on a running stack": [], "down": []}
    try:
        timed("up", environment)  # the first one sets up and builds
        timed("down", environment)
        for turn in range(1, rounds + 1):
            for title, command in zip(figures, ("up", "up", "down"), strict=True):
                seconds, steps = timed(command, environment)
                figures[title].append(seconds)
                print(f"round {turn}: {title:<22} {seconds:6.2f} s")
                for step, step_seconds in steps:
                    print(f"           {step:<34} {step_seconds:6.2f} s")
    finally:
        timed("reset", environment)
    print(f"\n{mode}, median of {rounds}:")
    for title, values in figures.items():
        print(f"  {title:<22} {statistics.median(values):6.2f} s")


if __name__ == "__main__":
    main()
