"""What a new execution environment imports, and when."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from calling import settings_of
from forgery.issuer import Issuer

SIGNER = Issuer()
SOURCE = Path(__file__).parent.parent / "messages"
HEAVY = (
    *("boto3", "botocore", "messages.store", "messages.remote_keys", "multipart", "urllib.request"),
    # The name of the deferred module stands there from the start; what it imports does not.
    "cryptography.x509.base",
)
PROGRAM = """
import json, sys
import messages
events = json.load(sys.stdin)
statuses = [messages.message(event, None)["statusCode"] for event in events]
print(json.dumps({"statuses": statuses, "modules": sorted(sys.modules)}))
"""


def modules_after(*events: dict, **environment: str) -> tuple[list[int], set[str]]:
    """The statuses of some events' answers, and what a new interpreter has imported by then."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(events),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | settings_of(SIGNER) | {"PYTHONPATH": str(SOURCE)} | environment,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    return result["statuses"], set(result["modules"])


def get(token: str) -> dict:
    return {"httpMethod": "GET", "headers": {"Authorization": f"Bearer {token}"}}


def test_nothing_heavy_is_imported_before_a_token_has_passed():
    """Whoever sends rubbish pays for no DynamoDB client, and neither do we."""
    rubbish = SIGNER.token(exp=1)
    form = {"httpMethod": "POST", "headers": {"Content-Type": "application/json"}, "body": '{"token":"x"}'}
    statuses, modules = modules_after({"httpMethod": "OPTIONS"}, {"httpMethod": "GET"}, get(rubbish), form)
    assert statuses == [204, 401, 401, 401]
    assert modules.isdisjoint(HEAVY)


def test_store_is_imported_once_a_token_has_passed():
    statuses, modules = modules_after(get(SIGNER.token()))
    assert statuses == [503]
    assert {"botocore", "messages.store"} <= modules
    assert "boto3" not in modules


def test_http_client_is_imported_only_for_keys_by_url():
    _, modules = modules_after(get(SIGNER.token(exp=1)), OKTA_KEYS_URL="http://127.0.0.1:9/keys")
    assert "messages.remote_keys" in modules
    assert "botocore" not in modules


@pytest.mark.parametrize(
    "use",
    [
        "from cryptography import x509; x509.Name([])",
        "import cryptography.x509 as x509; x509.Name([])",
        "from cryptography.x509.oid import NameOID; assert NameOID.COMMON_NAME",
        "from cryptography.hazmat.primitives.serialization import Encoding; assert Encoding.PEM",
        "import jwcrypto.jwk as j; k = j.JWK.generate(kty='RSA', size=2048); assert k.export_to_pem()",
        "import jwcrypto.jwk as j; k = j.JWK.generate(kty='EC', crv='P-256'); j.JWK.from_pem(k.export_to_pem())",
    ],
)
def test_deferred_module_is_the_real_one_for_whoever_uses_it(use):
    """Putting an import off changes when it happens, and nothing else."""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import messages; {use}"],
        check=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )
