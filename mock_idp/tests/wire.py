"""Talking to a started issuer over real HTTP, as a client would."""

import base64
import hashlib
import http.client
import itertools
import json
import re
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
        self._printed: list[str] = []
        self.line = self.wait_for_line("mock_idp: issuer http")
        where = re.search(r"issuer (\S+)/oauth2/default(?:, https (\S+)/oauth2/default)?", self.line)
        assert where is not None
        self.origin, self.tls_origin = where.group(1), where.group(2)

    def wait_for_line(self, text: str) -> str:
        """Read the output up to a line; fail, with what was printed, when it ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._printed.append(line)
            if text in line:
                return line
        self.process.wait(timeout=10)
        raise AssertionError(f"the issuer ended without saying {text!r}: {''.join(self._printed)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> str:
        """End the process and return what it printed."""
        if self.process.stdout is not None and not self.process.stdout.closed:
            self.process.terminate()
            output, _ = self.process.communicate(timeout=10)
            self._printed.append(output)
        return "".join(self._printed)

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


class Client:
    """A relying party that walks the flows by plain HTTP, in a browser and namespace of its own.

    Args:
        browser: what carries the cookies.
        client_id: the registered client.
        redirect_uri: where answers go.
        server: path of the authorization server.
    """

    def __init__(
        self,
        browser: Browser,
        client_id: str = "demo-spa",
        redirect_uri: str = "http://localhost:5555/callback",
        server: str = "/oauth2/default",
    ) -> None:
        self.browser = browser
        self.client_id = client_id
        self.redirect_uri = redirect_uri
        self.server = server
        self.pkce = Pkce()

    def request(self, **changes: str | None) -> dict[str, str]:
        """The parameters of an authorization request; a change to None leaves one out."""
        parameters: dict[str, str | None] = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": "openid profile email offline_access",
            "state": "st4te",
            "nonce": "n0nce",
            "code_challenge": self.pkce.challenge,
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def authorize(self, **changes: str | None) -> Answer:
        """Send the browser to the authorization endpoint."""
        return self.browser.get(f"{self.server}/v1/authorize", **self.request(**changes))

    def sign_in(self, persona: str = "alice@example.com", **changes: str | None) -> Answer:
        """Go to the authorization endpoint and click a persona on the sign-in page; the last answer."""
        page = self.authorize(**changes)
        assert page.status == 302, page.text
        assert "/signin?flow=" in page.location, page.location
        return self.browser.post("/signin", flow=page.redirect["flow"], persona=persona)

    def code(self, persona: str = "alice@example.com", **changes: str | None) -> str:
        """Sign in and return the code."""
        return self.sign_in(persona, **changes).redirect["code"]

    def exchange(self, code: str | None, **changes: str | None) -> Answer:
        """Exchange a code at the token endpoint."""
        fields: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "code": code,
            "code_verifier": self.pkce.verifier,
            **changes,
        }
        return self.token(**fields)

    def token(self, **fields: str | None) -> Answer:
        """Post to the token endpoint."""
        sent = {name: value for name, value in fields.items() if value is not None}
        return self.browser.post(f"{self.server}/v1/token", **sent)

    def tokens(self, persona: str = "alice@example.com", **changes: str | None) -> dict[str, Any]:
        """Walk the whole code flow."""
        answer = self.exchange(self.code(persona, **changes))
        assert answer.status == 200, answer.text
        return answer.json

    def userinfo(self, access_token: str) -> Answer:
        """Ask who the token speaks for."""
        return self.browser.request(
            "GET", f"{self.server}/v1/userinfo", headers={"Authorization": f"Bearer {access_token}"}
        )
