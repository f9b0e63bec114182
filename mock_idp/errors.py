"""The errors of the wire: RFC-shaped on OAuth endpoints, Okta-shaped (`E…` codes) on Okta's own."""

from dataclasses import dataclass, field


class IssuerError(Exception):
    """Anything that ends a request with an answer other than success."""

    status = 400


@dataclass(eq=False)
class OAuthError(IssuerError):
    """An error of RFC 6749 and its relatives: a stable code and a plain sentence.

    Attributes:
        error: the code on the wire, such as `invalid_grant`.
        description: one sentence for the person who reads the log.
        status: the HTTP status of the answer.
        headers: extra headers, such as `WWW-Authenticate`.
    """

    error: str
    description: str
    status: int = 400
    headers: dict[str, str] = field(default_factory=dict)


class BearerError(OAuthError):
    """A refused access token at a protected resource. Source: RFC 6750 section 3."""

    def __init__(self, error: str, description: str, status: int = 401) -> None:
        challenge = f'Bearer error="{error}", error_description="{description}"' if error else "Bearer"
        super().__init__(error or "invalid_token", description, status, {"WWW-Authenticate": challenge})


_OKTA_SUMMARIES = {
    "E0000001": (400, "Api validation failed"),
    "E0000003": (400, "The request body was not well-formed."),
    "E0000004": (401, "Authentication failed"),
    "E0000006": (403, "You do not have permission to perform the requested action"),
    "E0000007": (404, "Not found: Resource not found"),
    "E0000009": (500, "Internal Server Error"),
    "E0000011": (401, "Invalid token provided"),
    "E0000014": (403, "Update of credentials failed"),
    "E0000021": (415, "Bad request.  Accept and/or Content-Type headers are likely not set."),
    "E0000022": (405, "The endpoint does not support the provided HTTP method"),
    "E0000047": (429, "API call exceeded rate limit due to too many requests."),
}


class OktaError(IssuerError):
    """An error of Okta's own endpoints. Source: Okta's list of error codes.

    Args:
        code: an `E…` code of the table above.
        causes: sentences for `errorCauses`.
        status: overrides the status that belongs to the code.
        summary: overrides the sentence that belongs to the code.
    """

    def __init__(self, code: str, *causes: str, status: int | None = None, summary: str | None = None) -> None:
        default_status, default_summary = _OKTA_SUMMARIES[code]
        self.code = code
        self.status = status or default_status
        self.summary = summary or default_summary
        self.causes = causes
        super().__init__(f"{code}: {self.summary}")


def okta_code_for(status: int) -> str:
    """Return the `E…` code that Okta answers for a bare HTTP status."""
    by_status = {401: "E0000011", 403: "E0000006", 404: "E0000007", 405: "E0000022", 415: "E0000021"}
    by_status |= {429: "E0000047"}
    return by_status.get(status, "E0000009" if status >= 500 else "E0000003")


class PageError(IssuerError):
    """An error shown to the person in the browser, because redirecting would be unsafe.

    Attributes:
        error: the stable code.
        description: what is wrong, in one sentence.
        hint: what to do about it.
        details: label and value pairs worth showing (received, registered, ...).
    """

    def __init__(
        self,
        error: str,
        description: str,
        *,
        hint: str = "",
        details: list[tuple[str, str]] | None = None,
        status: int = 400,
    ) -> None:
        self.error = error
        self.description = description
        self.hint = hint
        self.details = details or []
        self.status = status
        super().__init__(f"{error}: {description}")


class ControlError(IssuerError):
    """A refused request of the control plane under `/mock/`."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        self.error = error
        self.description = description
        self.status = status
        super().__init__(f"{error}: {description}")
