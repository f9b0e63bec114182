"""The smoke test: real requests through everything that a person's first message passes."""

from testbed.errors import StackError
from testbed.http import Answer, fetch
from testbed.settings import Settings

COLD_START_TIMEOUT_S = 20
FOREIGN_HOST = "rebound.invalid"


def smoke_test(settings: Settings) -> None:
    """Ask the page, the issuer and the API what a browser would ask them; store nothing.

    Raises:
        StackError: the first answer that is not as it must be (`smoke_failed`).
    """
    _expect("the page", fetch(settings.frontend_url + "/"), 200)
    config = _expect("the page's settings", fetch(settings.frontend_url + "/config.json"), 200).json()
    for name, wanted in {"issuer": settings.issuer, "apiUrl": settings.api_url}.items():
        if config.get(name) != wanted:
            raise _failed(f"/config.json says {name} {config.get(name)!r} where {wanted!r} was expected")
    refused = _expect("the API without a token", fetch(settings.api_url, timeout_s=COLD_START_TIMEOUT_S), 401)
    if not refused.headers.get("www-authenticate", "").startswith("Bearer"):
        raise _failed("the API's 401 has no WWW-Authenticate: Bearer")
    for what, url in _own_servers(settings).items():
        _expect(f"{what} to a foreign host name", fetch(url, headers={"Host": FOREIGN_HOST}), 421)
    if settings.uses_mock_issuer:
        token = mint_token(settings, None, None)
        answer = fetch(settings.api_url, headers={"Authorization": f"Bearer {token}"}, timeout_s=COLD_START_TIMEOUT_S)
        _expect("the API with a token", answer, 200)


def _own_servers(settings: Settings) -> dict[str, str]:
    """What must turn away a page whose name was pointed here."""
    issuer = {"the issuer": settings.idp_url + "/"} if settings.uses_mock_issuer else {}
    return {"the page": settings.frontend_url + "/", "the cloud": settings.cloud_url + "/_localstack/health"} | issuer


def mint_token(settings: Settings, persona: str | None, fault: str | None) -> str:
    """An access token for a persona (login or short name; else the first), broken on purpose where a fault is named.

    Raises:
        StackError: the issuer does not answer or refuses (`no_token`), or knows no such fault (`unknown_fault`).
    """
    wanted = {"persona": persona, "client_id": settings.client_id, "fault": fault}
    body = {name: value for name, value in wanted.items() if value is not None}
    answer = fetch(settings.idp_url + "/mock/tokens", body=body)
    document = answer.json()
    if isinstance(document, dict) and document.get("error") in {"unknown_fault", "not_a_token_fault"}:
        raise StackError(
            code="unknown_fault",
            sentence=f"There is no fault {fault!r} that a token can have. These there are:",
            detail="\n".join(_token_faults(settings)),
            mend="make token FAULT=expired, say",
        )
    if answer.status != 200:
        said = document.get("error_description") if isinstance(document, dict) else answer.body.decode(errors="replace")
        raise StackError(
            code="no_token",
            sentence=f"The issuer gave no token: {str(said or answer.status).rstrip('.')}.",
            mend="make status shows whether the stack is up; GET /mock/faults lists the faults",
        )
    token: str = document["access_token"]
    return token


def _token_faults(settings: Settings) -> list[str]:
    """A line for each way in which a token can be broken."""
    document = fetch(settings.idp_url + "/mock/faults").json()
    catalogue = document.get("catalogue", []) if isinstance(document, dict) else []
    return [f"{each['name']:<20} {each['summary']}" for each in catalogue if each["group"] == "token"]


def _expect(what: str, answer: Answer, status: int) -> Answer:
    if answer.status != status:
        body = answer.body.decode(errors="replace")[:200]
        raise _failed(f"{what} answers {answer.status or 'not at all'} instead of {status}: {body}")
    return answer


def _failed(sentence: str) -> StackError:
    return StackError(
        code="smoke_failed",
        sentence=f"The stack is up, but {sentence}.",
        mend="make logs S=localstack and make logs S=deployer say more; make down and make up start afresh",
    )
