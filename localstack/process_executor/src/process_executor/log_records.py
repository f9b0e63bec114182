"""Log lines that are what they look like: nobody adds one of their own with a line break in a path."""

import logging
from typing import Any

BREAKS = {ord("\r"): r"\r", ord("\n"): r"\n", 0x85: r"\x85", 0x2028: r"\u2028", 0x2029: r"\u2029"}


def keep_to_one_line() -> None:
    """Write line breaks in what is logged of requests and answers as two characters, in every logger's lines."""
    make = logging.getLogRecordFactory()

    def factory(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = make(*arguments, **named)
        if isinstance(record.args, tuple):
            record.args = tuple(arg.translate(BREAKS) if isinstance(arg, str) else arg for arg in record.args)
        return record

    logging.setLogRecordFactory(factory)
