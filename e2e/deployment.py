"""What the browser tests know of the deployment under test: what its page is told, and nothing else."""

import json
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest


@dataclass(frozen=True)
class Deployment:
    """A running page and what it works with."""

    base_url: str
    issuer: str
    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    api_url: str

    @property
    def org(self) -> str:
        """The origin of the issuer."""
        return origin(self.issuer)

    @property
    def cloud(self) -> str | None:
        """Where LocalStack's AWS API is; None when the page's API is on AWS itself."""
        return origin(self.api_url) if urlsplit(self.api_url).path.startswith("/_aws/execute-api/") else None


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def read_deployment(base_url: str) -> Deployment:
    """Ask the page for its configuration; the tests end with a sentence when there is no page."""
    try:
        with urllib.request.urlopen(f"{base_url}/config.json", timeout=10) as answer:
            told = json.load(answer)
    except (OSError, ValueError) as error:
        pytest.fail(
            f"There is no page at {base_url} ({error}): make up starts one, BASE_URL names another.", pytrace=False
        )
    return Deployment(
        base_url=base_url,
        issuer=told["issuer"],
        client_id=told["clientId"],
        redirect_uri=told["redirectUri"],
        scopes=tuple(told["scopes"]),
        api_url=told["apiUrl"],
    )
