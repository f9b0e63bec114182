"""A message board that takes messages only from people whose access token it has verified, offline.

`message` is the function's handler. Its state lives as long as the execution environment does: the settings are read
and the keys are parsed at the first request, and again only should the environment variables change.
"""

import os
from functools import lru_cache
from typing import Any

from messages.deferred import defer

defer("cryptography.x509", "cryptography.hazmat.primitives.serialization")

from messages.app import Function  # noqa: E402 - what it imports is to find those deferred

_SETTINGS = (
    "OKTA_KEYS",
    "OKTA_KEYS_URL",
    "OKTA_ISSUER",
    "OKTA_AUDIENCE",
    "OKTA_CLIENT_ID",
    "OKTA_SCOPE",
    "OKTA_ALGORITHMS",
    "OKTA_TOKEN_TYPES",
    "OKTA_LEEWAY_S",
    "OKTA_MAX_AGE_S",
    "ALLOWED_ORIGINS",
    "MESSAGES_TABLE",
    "EXPLAIN_REFUSALS_TO",
    "AWS_REGION",
)


@lru_cache(maxsize=1)
def _function(values: tuple[str, ...]) -> Function:
    return Function(dict(zip(_SETTINGS, values, strict=True)))


def message(event: Any, context: Any) -> dict[str, Any]:
    """Answer one request; the handler named in the template."""
    return _function(tuple(os.environ.get(name, "") for name in _SETTINGS))(event, context)
