"""`python -m testbed`: whatever is under way, Ctrl-C and SIGTERM end it in one sentence."""

import sys

from testbed import signals

INTERRUPTED = 130


def main() -> int:
    """Run one command; everything else is imported in here, so that a signal at any moment is answered the same."""
    try:
        signals.interrupt_once()
        from testbed import cli  # noqa: PLC0415 -- see above

        return cli.main()
    except KeyboardInterrupt:
        from testbed.commands import end_running  # noqa: PLC0415 -- see above

        end_running()
        print("\ninterrupted: nothing is left half-started; the same command begins again.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
