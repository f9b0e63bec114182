"""PyPI's okta-jwt-verifier, which insists on https: good tokens pass, hostile ones do not."""

import asyncio
import json
import ssl
import sys
import urllib.request

from okta_jwt_verifier import AccessTokenVerifier, IDTokenVerifier

ISSUER = sys.argv[1]


def mint(**order: object) -> str:
    url = ISSUER.split("/oauth2/", 1)[0] + "/mock/tokens"
    request = urllib.request.Request(url, json.dumps(order).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, context=ssl.create_default_context()) as response:
        return json.load(response)["token"]


async def main() -> None:
    verifier = AccessTokenVerifier(ISSUER, audience="api://default")
    await verifier.verify(mint())
    await IDTokenVerifier(ISSUER, client_id="0oatestbed", audience="0oatestbed").verify(
        mint(kind="id_token", nonce="n"), nonce="n"
    )
    faults = ["expired", "tampered_signature", "tampered_payload", "alg_none", "hs256_public_key", "forged_key"]
    for fault in [*faults, "wrong_issuer", "wrong_audience", "unknown_kid", "embedded_key", "id_token"]:
        try:
            await verifier.verify(mint(fault=fault))
        except Exception:  # noqa: BLE001 - any refusal counts, whatever its class
            continue
        raise AssertionError(f"{fault} was accepted")


asyncio.run(main())
