"""Answers and problems: the code decides the status and the `WWW-Authenticate` line, here and nowhere else.

Source: RFC 6750 section 3, RFC 9110.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PROBLEMS: dict[str, tuple[int, str]] = {
    "invalid_request": (400, "The request is malformed."),
    "malformed_form": (400, "The body is not a well-formed form. Send application/x-www-form-urlencoded."),
    "malformed_json": (400, "The body is not a JSON object of strings."),
    "empty_message": (400, "The message is empty. Write something and send it again."),
    "message_too_long": (400, "The message is longer than 4096 bytes. Shorten it and send it again."),
    "invalid_id": (400, "The id must be 1 to 64 letters, digits, hyphens or underscores."),
    "invalid_limit": (400, "The limit must be a whole number from 1 to 100."),
    "invalid_cursor": (400, "The cursor is not one that this API gave. Start again without a cursor."),
    "missing_token": (401, "No access token was sent. Sign in and send the token with the request."),
    "invalid_token": (
        401,
        "The access token is expired, revoked, malformed, or invalid for other reasons. Sign in again.",
    ),
    "insufficient_scope": (403, "The access token lacks a scope that this API requires."),
    "not_found": (404, "There is no message of yours with this id."),
    "method_not_allowed": (405, "Use GET, POST, DELETE or OPTIONS."),
    "id_in_use": (409, "This id belongs to another message of yours. Choose a new id."),
    "body_too_large": (413, "The body is larger than 64 KiB."),
    "unsupported_media_type": (
        415,
        "Send the body as application/x-www-form-urlencoded, multipart/form-data or application/json, in UTF-8.",
    ),
    "internal_error": (500, "Something went wrong here. Try again; if it stays, the log has the reason."),
    "not_configured": (503, "This API is not configured. Its operator finds the reason in the log."),
    "keys_unavailable": (503, "The issuer's keys cannot be read just now. Try again in a moment."),
    "store_unavailable": (503, "The messages cannot be reached just now; nothing is known to be stored. Try again."),
}

_TOKEN_CODES = frozenset({"invalid_token", "insufficient_scope"})
_TOKEN_VERDICTS = frozenset({"many_tokens", "token_in_url"})
_RETRY_AFTER_S = "2"

Checks = Sequence[Mapping[str, str | None]]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, before it takes the shape of the caller's event."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


class Problem(Exception):
    """A request that is answered with an error.

    Args:
        code: one of `PROBLEMS`; stable, on the wire.
        description: a plain sentence in place of the usual one.
        verdict: what the log calls it, when that says more than the code.
        scope: the scopes to name to a caller that lacks one.
        checks: what became of each check of the token, for a caller who may know.
    """

    def __init__(
        self, code: str, description: str = "", *, verdict: str = "", scope: str = "", checks: Checks = ()
    ) -> None:
        status, sentence = PROBLEMS[code]
        super().__init__(code)
        self.code = code
        self.status = status
        self.description = description or sentence
        self.verdict = verdict or code
        self.scope = scope
        self.checks = checks

    def response(self) -> Response:
        """The answer that tells of it."""
        body: dict[str, Any] = {"error": self.code, "error_description": self.description}
        if self.checks:
            body["checks"] = self.checks
        return Response(self.status, _JSON | self._headers(), _text(body))

    def _headers(self) -> dict[str, str]:
        if self.code == "missing_token":
            # RFC 6750 section 3.1: no error code for a request without any authentication information.
            return {"WWW-Authenticate": "Bearer"}
        if self.code in _TOKEN_CODES or self.verdict in _TOKEN_VERDICTS:
            challenge = f'Bearer error="{self.code}", error_description="{self.description}"'
            return {"WWW-Authenticate": f'{challenge}, scope="{self.scope}"' if self.scope else challenge}
        if self.code == "method_not_allowed":
            return {"Allow": "GET, POST, DELETE, OPTIONS"}
        if self.status == PROBLEMS["store_unavailable"][0]:
            return {"Retry-After": _RETRY_AFTER_S}
        return {}


_JSON = {
    "Content-Type": "application/json; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


def _text(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def ok(body: Any) -> Response:
    """Answer 200 with a JSON body."""
    return Response(200, _JSON, _text(body))
