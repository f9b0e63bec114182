"""Sparing LocalStack's gateway work that costs more than a function's invocation."""

import functools

from twisted.web import http  # type: ignore[import-not-found]  # it comes with LocalStack

CONTENT_TYPES = 256


def spare() -> None:
    """Parse each content type once: twisted has the e-mail package do it, for every request."""
    http._parseContentType = functools.lru_cache(CONTENT_TYPES)(http._parseContentType)  # noqa: SLF001
