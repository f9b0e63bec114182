"""Leaving when LocalStack has shut down, rather than when the last of its threads has given up.

Some of them retry requests to the gateway that is already closed, for a minute and more, and the interpreter waits for
them; whoever stops LocalStack waits too, or kills it.
"""

import logging
import os
import sys
import threading

from localstack.runtime import get_current_runtime

PROGRAM = "localstack.runtime.main"


def leave_with_the_main_thread() -> None:
    """From now on the process ends when its main thread does, if it is LocalStack's.

    A program that has LocalStack in a thread, such as pytest, ends by itself, and with an exit status of its own.
    """
    if getattr(sys.modules["__main__"].__spec__, "name", "") != PROGRAM:
        return
    threading.Thread(target=_leave, name="process-executor-departure", daemon=True).start()


def _leave() -> None:
    code = get_current_runtime().exit_code
    threading.main_thread().join()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
