"""Why a token was refused, check by check, for whoever runs this API on a network of their own.

To everybody else RFC 6750 section 3.1 has one code for all reasons, and no more is said: what an API checks, and what
it expects, is of use to somebody who forges tokens.
"""

import json
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

from messages.responses import Checks
from messages.settings import Network
from messages.tokens import Check, TokenRefused

MAX_SHOWN_CHARACTERS = 200

TEXTS = {
    Check.PRESENCE: "A token came with the request.",
    Check.FORMAT: "It is three parts of base64url, at most 8 KiB.",
    Check.HEADER: "Its header is JSON with alg, kid and typ only.",
    Check.ALGORITHM: "Its algorithm (alg) is one that this API takes.",
    Check.TYPE: "Its type (typ) is one that this API takes.",
    Check.KEY: "Its key (kid) is the issuer's, and is for this algorithm.",
    Check.SIGNATURE: "The key verifies its signature.",
    Check.CLAIMS: "Its claims are JSON.",
    Check.ISSUER: "It is from the issuer that this API trusts (iss).",
    Check.EXPIRY: "It has not expired (exp).",
    Check.NOT_BEFORE: "It is valid already (nbf).",
    Check.ISSUED_AT: "It was issued before now, and not too long ago (iat).",
    Check.AUDIENCE: "It is meant for this API (aud).",
    Check.KIND: "It is an access token, and stands for itself.",
    Check.CLIENT: "It was issued to a client that this API serves (cid).",
    Check.SUBJECT: "It names a person (sub).",
    Check.SCOPE: "It has the scopes that this API requires (scp).",
}


def may_know(callers: Sequence[str], networks: Sequence[Network]) -> bool:
    """Say whether a request is from trusted networks only.

    Args:
        callers: every address that is named as a source of the request. One of a stranger is enough to be a stranger's:
            LocalStack names 127.0.0.1 for everybody, and the true address beside it.
        networks: the trusted ones.
    """
    return bool(callers) and all(_is_within(caller, networks) for caller in callers)


def _is_within(caller: str, networks: Sequence[Network]) -> bool:
    try:
        address = ip_address(caller)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def checks(refused: TokenRefused | None) -> Checks:
    """List all checks: those done, the one that failed with what it expected and got, and those not reached.

    Args:
        refused: None when there was no token at all.
    """
    failed = {
        "outcome": "failed",
        "reason": refused.refusal.value if refused else "missing_token",
        "expected": refused.expected if refused else "a token in the form or in the header Authorization",
        "got": _shown(refused.got) if refused else None,
    }
    order = list(Check)
    at = order.index(refused.check if refused else Check.PRESENCE)
    return [
        {"check": check.value, "text": TEXTS[check]}
        | (failed if place == at else {"outcome": "done" if place < at else "not_reached"})
        for place, check in enumerate(order)
    ]


def _shown(value: Any) -> str | None:
    # What does not print, or may be read in another order than it is written in, is shown escaped.
    if value is None:
        return None
    text = value if isinstance(value, str) and value.isprintable() else json.dumps(value)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"
