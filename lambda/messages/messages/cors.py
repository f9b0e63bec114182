"""Which pages on other origins may read the answers.

The function answers preflights itself, so they are the same on AWS, on LocalStack and behind a load balancer.
Source: the Fetch standard, section 3.2.
"""

from messages.responses import Response

PREFLIGHT_MAX_AGE_S = 7200  # the most that Chromium keeps
_METHODS = "GET, POST, DELETE, OPTIONS"
_REQUEST_HEADERS = "Authorization, Content-Type"


def headers(origin: str | None, allowed: tuple[str, ...]) -> dict[str, str]:
    """The CORS headers of an answer to a request from `origin`.

    A request without an Origin is told the first allowed origin: that lets nobody read more, and a cache or a probe
    sees the policy. A request from an origin that is not allowed is told nothing.
    """
    if not allowed:
        return {}
    named = allowed[0] if origin is None else origin if origin in allowed else None
    if named is None:
        return {"Vary": "Origin"}
    return {
        "Access-Control-Allow-Origin": named,
        "Access-Control-Expose-Headers": "WWW-Authenticate, Retry-After",
        "Vary": "Origin",
    }


def preflight() -> Response:
    """Answer OPTIONS; `headers` adds the origin."""
    return Response(
        204,
        {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _REQUEST_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE_S),
            "Allow": _METHODS,
        },
    )
