"""Kill a random service of the running stack every few seconds, then see how soon the stack answers again.

    python benchmarks/chaos.py [minutes]        ten without a figure; STACK and the ports as for make

It stops services with SIGKILL: natively by the process id that `make status JSON=1` names, in Compose by `docker kill`.
After the last kill the API must answer a request with a token within ten seconds. Not part of `make bench`: it disturbs
the stack that runs, and what was stored in it is lost.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("frontend", "mock-idp", "localstack", "deployer")
PAUSE_S = 5.0
ALLOWED_S = 10.0
LOOK_S = 0.1


def status() -> dict[str, Any]:
    """What `make status JSON=1` says."""
    environment = os.environ | {"JSON": "1"}
    answer = subprocess.run(
        [ROOT / "testbed/launch", "status"], env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def kill(name: str, stack: str) -> bool:
    """Kill one service; False if it is not there just now."""
    found = status()
    if found["mode"] == "compose":
        words = ["docker", "compose", "--project-name", stack, "kill", name]
        return subprocess.run(words, cwd=ROOT, capture_output=True, check=False).returncode == 0
    pid = found["services"][name]["pid"]
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def request(url: str, body: dict[str, str] | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and body; status 0 when there is no answer."""
    data = None if body is None else json.dumps(body).encode()
    wanted = urllib.request.Request(url, data, headers | {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(wanted, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""
    except OSError:
        return 0, b""


def answers(found: dict[str, Any]) -> bool:
    """Whether page, issuer and API answer, the API with a token."""
    issuer = found["services"]["mock-idp"]["url"]
    minted, token = request(f"{issuer}/mock/tokens", {"persona": "alice"})
    if minted != 200 or request(found["page_url"])[0] != 200:
        return False
    bearer = f"Bearer {json.loads(token)['access_token']}"
    return request(found["api_url"], Authorization=bearer)[0] == 200


def wait_answering(found: dict[str, Any], limit_s: float) -> float:
    """The seconds until the stack answered; infinity when it did not in time."""
    began = time.monotonic()
    while not answers(found):
        if time.monotonic() - began > limit_s:
            return float("inf")
        time.sleep(LOOK_S)
    return time.monotonic() - began


def main() -> int:
    """Kill for the given time; 1 if the stack did not come back."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    before = status()
    if not before["healthy"]:
        print("The stack is not up. make up starts it.", file=sys.stderr)
        return 1
    killed: Counter[str] = Counter()
    back: list[float] = []
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        name = random.choice(SERVICES)
        if kill(name, os.environ.get("STACK") or "gatehouse"):
            killed[name] += 1
            began = time.monotonic()
            back.append(wait_answering(before, PAUSE_S))
            time.sleep(max(0.0, PAUSE_S - (time.monotonic() - began)))
    last_s = back[-1] if back and back[-1] < float("inf") else PAUSE_S + wait_answering(before, ALLOWED_S - PAUSE_S)
    soon = sorted(seconds for seconds in back if seconds < float("inf"))
    print(f"mode                                  {before['mode']}")
    print(f"kills in {minutes:g} minutes                  {sum(killed.values())}: {dict(killed.most_common())}")
    print(f"answering again before the next kill  {len(soon)} of {len(back)}")
    if soon:
        print(f"  median, slowest of these            {statistics.median(soon):.1f} s, {soon[-1]:.1f} s")
    print(f"after the last kill                   {last_s:.1f} s (at most {ALLOWED_S:g})")
    after = status()
    print(f"make status                           {'healthy' if after['healthy'] else 'not healthy'}; {after['lost']}")
    return 0 if last_s <= ALLOWED_S else 1


if __name__ == "__main__":
    sys.exit(main())
