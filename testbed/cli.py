"""The commands behind `make`."""

import argparse
import json
import os
import subprocess
import sys
import webbrowser
from collections.abc import Callable

from testbed import doctor, lifecycle, suites
from testbed.errors import StackError, disk_trouble
from testbed.progress import Progress, progress_for
from testbed.settings import ROOT, Settings, misspelt_settings
from testbed.smoke import mint_token


def main() -> int:
    """Run one command; 0, or non-zero with the cause and the command that mends it on stderr."""
    arguments = _parser().parse_args()
    progress = progress_for(sys.stdout, dict(os.environ))
    try:
        for word in misspelt_settings(dict(os.environ), ROOT / ".env"):
            print(f"note: {word}", file=sys.stderr)
        run: Callable[[argparse.Namespace, Settings, Progress], int] = arguments.run
        return run(arguments, Settings.from_environment(), progress)
    except StackError as error:
        progress.close()
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        progress.close()
        print(f"\nerror: {disk_trouble(error)}", file=sys.stderr)
        return 1
    finally:
        progress.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="testbed", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(
        name: str, run: Callable[[argparse.Namespace, Settings, Progress], int], text: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    command("up", _up, "set up, start, deploy and check everything")
    command("down", _down, "stop everything")
    command("reset", _reset, "stop everything and delete data and keys")
    command("status", _status, "health, URLs, versions, mode and key ids")
    command("doctor", _doctor, "look for what could keep the stack from starting")
    command("open", _open, "open the page in the browser")
    command("console", _console, "open the issuer's console in the browser")
    command("trace", _trace, "open the newest trace of a failed browser test")
    token = command("token", _token, "print one access token")
    token.add_argument("persona", help="login or short name: alice")
    token.add_argument("--fault", help="break it: expired, …; GET /mock/faults lists them")
    command("ca", _ca, "print the certificate to trust for the issuer's https")
    logs = command("logs", _logs, "follow a service's output")
    logs.add_argument("service", nargs="?", help="localstack, mock-idp, frontend, deployer, lambda; all without it")
    setup = command("setup", _setup, "make pieces of the set-up")
    setup.add_argument("pieces", nargs="+", help="stack, localstack, runtime, function, widget, dev, peers")
    test = command("test", _test, "run all tests")
    test.add_argument("--rooms", action="store_true", help="only the rooms' own, which need no stack")
    test.add_argument("pytest", nargs="*", help="further arguments for pytest")
    e2e = command("e2e", _e2e, "run the browser tests")
    e2e.add_argument("--own", action="store_true", help="against a stack of their own")
    e2e.add_argument("pytest", nargs="*", help="further arguments for pytest")
    return parser


def _up(_: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    lifecycle.up(settings, progress)
    return 0


def _down(_: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    lifecycle.down(settings, progress)
    return 0


def _reset(_: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    lifecycle.reset(settings, progress)
    return 0


def _status(_: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    found = lifecycle.status(settings, progress)
    if os.environ.get("JSON") == "1":
        print(json.dumps(found, indent=2))
        return 0 if found["healthy"] else 1
    progress.say(f"{'Up' if found['healthy'] else 'Not up'}, mode: {found['mode'] or 'none'}")
    for name, service in found["services"].items():
        mark = "ok  " if service["healthy"] else "FAIL"
        progress.say(f"  {mark} {name:<11} {service['state']:<9} {service['url'] or ''}")
    for title, value in {
        "API": found["api_url"],
        "issuer": found["issuer"],
        "console": found["console_url"],
        "keys of the issuer": ", ".join(found["key_ids"]["issuer"]) or "none",
        "keys of the function": ", ".join(found["key_ids"]["function"]) or "none",
        "versions": ", ".join(f"{name} {version or '-'}" for name, version in found["versions"].items()),
    }.items():
        progress.say(f"  {title + ':':<22} {value}")
    if found["mode"] == "native" and not found["supervised"]:
        progress.say("\nIt is not supervised: its supervisor is gone. make up ends what is left and starts afresh.")
    if found["deployment_reason"]:
        progress.say(f"\n{found['deployment']}: {found['deployment_reason']}")
    if found["lost"]:
        progress.say(f"\n{found['lost']}")
    return 0 if found["healthy"] else 1


def _doctor(_: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    return doctor.examine(settings, progress)


def _open(_: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    return _browse("the page", settings.frontend_url, progress)


def _console(_: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    return _browse("the console", settings.console_url, progress)


def _browse(what: str, url: str, progress: Progress) -> int:
    if not webbrowser.open(url):
        progress.say(f"No browser could be opened here; {what} is at {url}")
    return 0


def _trace(_: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    trace = lifecycle.newest_trace()
    if trace is None:
        progress.say("There is no trace: traces are kept of failed browser tests only.")
        return 0
    return subprocess.call([settings.home / "env/dev/bin/playwright", "show-trace", trace])


def _token(arguments: argparse.Namespace, settings: Settings, _: Progress) -> int:
    print(mint_token(settings, arguments.persona, arguments.fault))
    return 0


def _ca(_: argparse.Namespace, settings: Settings, __: Progress) -> int:
    print(lifecycle.ca_certificate(settings), end="")
    return 0


def _logs(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    return lifecycle.follow_logs(settings, progress, arguments.service)


def _setup(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    lifecycle.set_up(settings, progress, *arguments.pieces)
    return 0


def _test(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    run = suites.run_rooms if arguments.rooms else suites.run_all
    return run(settings, progress, arguments.pytest)


def _e2e(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    return suites.run_end_to_end(settings, progress, arguments.pytest, own=arguments.own)
