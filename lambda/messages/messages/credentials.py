"""The one access token of a request.

Source: RFC 6750 section 2. Its form field is `access_token`; `token` is the name this API's pages have always used.
"""

from messages.events import Pairs, Request
from messages.responses import Problem

_FIELDS = ("token", "access_token")
_SCHEME = "bearer"


def token_of(request: Request, fields: Pairs) -> str | None:
    """Return the token that came with a request, unverified; None if there is none.

    Raises:
        Problem: `invalid_request` when the token stands in the URL, or when there are two.
    """
    if any(name in _FIELDS for name, _ in request.query):
        raise Problem(
            "invalid_request",
            "A token in the URL ends up in logs. Send it in the body or in the Authorization header.",
            verdict="token_in_url",
        )
    named = [value for name, value in fields if name in _FIELDS]
    candidates = [value for value in named if value] + _bearer_tokens(request)
    if len(candidates) > 1 or len(named) > 1:
        raise Problem("invalid_request", "Send the access token once, in one way.", verdict="many_tokens")
    return candidates[0] if candidates else None


def _bearer_tokens(request: Request) -> list[str]:
    found = []
    for value in request.headers.get("authorization", ()):
        scheme, _, rest = value.strip(" \t").partition(" ")
        if scheme.lower() == _SCHEME and rest.strip(" "):
            found.append(rest.strip(" "))
    return found
