"""Talking to a started issuer over real HTTP, as a client would."""

import base64
import hashlib
import http.client
import itertools
import json
import secrets
import subprocess
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

_namespaces = itertools.count(1)


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.headers["Location"]

    @property
    def redirect(self) -> dict[str, str]:
        """The parameters of the redirect, from its query or fragment."""
        parts = urlsplit(self.location)
        return {name: values[0] for name, values in parse_qs(parts.fragment or parts.query).items()}


@dataclass
class Browser:
    """Requests to one origin, with a cookie jar of one cookie and a namespace."""

    origin: str
    namespace: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    def request(
        self,
        method: str,
        url: str,
        *,
        form: dict[str, str] | list[tuple[str, str]] | None = None,
        json_body: Any = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        parts = urlsplit(url if url.startswith("http") else self.origin + url)
        sent = dict(headers or {})
        if form is not None:
            body = urlencode(form).encode()
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        if json_body is not None:
            body = json.dumps(json_body).encode()
            sent.setdefault("Content-Type", "application/json")
        if self.namespace:
            sent.setdefault("X-Mock-Namespace", self.namespace)
        if self.cookies:
            sent.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        try:
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.split(";", 1)[0].partition("=")
            self.cookies.pop(name, None)
            if value not in {"", '""'}:
                self.cookies[name] = value
        return answer

    def get(self, url: str, **parameters: str) -> Answer:
        return self.request("GET", f"{url}?{urlencode(parameters)}" if parameters else url)

    def post(self, url: str, **fields: str) -> Answer:
        return self.request("POST", url, form=fields)

    def send(self, url: str, **fields: Any) -> Answer:
        return self.request("POST", url, json_body=fields)


class RunningIssuer:
    """A started process, and where it listens."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        if "issuer http" not in line:
            process.kill()
            raise AssertionError(f"the issuer did not start: {line}{process.stdout.read()}")
        self.origin = line.split("issuer ", 1)[1].split("/oauth2/", 1)[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> str:
        """End the process and return what it printed."""
        self.process.terminate()
        output, _ = self.process.communicate(timeout=10)
        return output

    def browser(self, *, shared: bool = False) -> Browser:
        """Return a browser, in a fresh namespace unless it is to share the default one."""
        return Browser(self.origin, "" if shared else f"t{next(_namespaces)}-{secrets.token_hex(3)}")


@dataclass(frozen=True)
class Pkce:
    """A verifier and its challenge."""

    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def basic(client_id: str, secret: str) -> dict[str, str]:
    """An Authorization header of HTTP Basic."""
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}
