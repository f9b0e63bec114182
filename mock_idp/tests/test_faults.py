"""Every hostile token is refused by a careful verifier, and only by the check that it is meant for."""

import base64
import json

import pytest
from jwcrypto import jwk, jws
from jwcrypto.common import JWException

from mock_idp.faults import CATALOGUE, UnknownFault, find_fault
from mock_idp.tests.wire import Browser

ISSUER_FAULTS = [fault.name for fault in CATALOGUE.values() if fault.group == "token"]


class Refused(Exception):
    """The verifier's word for no."""


def verify(token: str, keys: dict, issuer: str, now: float) -> dict:
    """A short but careful verifier, as an API should have one."""
    if len(token) > 8192:
        raise Refused("too long")
    head, _, _ = token.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    key = next((key for key in keys["keys"] if key["kid"] == header["kid"]), None)
    if key is None:
        raise Refused("unknown kid")
    if header.get("typ") != "at+jwt":
        raise Refused("typ")
    parsed = jws.JWS()
    parsed.allowed_algs = [key["alg"]]
    try:
        parsed.deserialize(token, jwk.JWK(**key))
    except JWException as error:
        raise Refused("signature") from error
    claims = json.loads(parsed.payload)
    if not {"iss", "aud", "exp", "sub", "cid"} <= claims.keys():
        raise Refused("missing claim")
    if (claims["iss"], claims["aud"], claims["cid"]) != (issuer, "api://default", "0oatestbed"):
        raise Refused("not for here")
    if claims["exp"] <= now or claims.get("nbf", 0) > now:
        raise Refused("time")
    return claims


@pytest.mark.parametrize("fault", [None, *ISSUER_FAULTS])
@pytest.mark.parametrize("server", ["default", "es256", "eddsa", "ps256"])
def test_hostile_token_is_refused_and_a_good_one_is_not(agent: Browser, server: str, fault: str | None):
    """For every algorithm, the good token passes and every broken one is refused."""
    minted = agent.send("/mock/tokens", server=server, **({"fault": fault} if fault else {})).json
    keys = agent.get(f"/oauth2/{server}/v1/keys").json
    now = agent.get("/mock/clock").json["now"]
    issuer = f"{agent.origin}/oauth2/{server}"
    if fault is None:
        assert verify(minted["token"], keys, issuer, now)["sub"] == "alice@example.com"
        return
    with pytest.raises(Refused):
        verify(minted["token"], keys, issuer, now)


def test_missing_claim_can_be_chosen(agent: Browser):
    """The parameter says which claim goes."""
    minted = agent.send("/mock/tokens", fault="missing_claim", parameters={"claim": "sub"}).json
    assert "sub" not in minted["claims"]
    assert "exp" in minted["claims"]


def test_unknown_fault_lists_what_there_is():
    """A wrong name is answered with the right ones."""
    with pytest.raises(UnknownFault, match="expired, not_yet_valid"):
        find_fault("banana")
