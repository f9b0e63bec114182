"""Calling the function: its environment variables, its events, and its answers as a caller sees them."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from forgery.issuer import AUDIENCE, CLIENT_ID, ISSUER, Issuer

ORIGIN = "http://localhost:8080"
REGION = "us-east-1"


class Reply:
    """The function's answer, as a caller sees it."""

    def __init__(self, event: dict[str, Any]) -> None:
        self.event = event
        self.status: int = event["statusCode"]
        self.headers: dict[str, str] = event.get("headers", {})
        self.json: Any = json.loads(event["body"]) if event["body"] else None

    @property
    def error(self) -> str:
        return self.json["error"]

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.json["messages"]]


def rest_event(method: str, **parts: Any) -> dict[str, Any]:
    """An API Gateway REST event with only what differs from a bare one."""
    headers = parts.get("headers", {})
    query = parts.get("query", {})
    return {
        "resource": "/api/messages",
        "path": "/api/messages",
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": query or None,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} or None,
        "requestContext": {"requestId": "request-1", "httpMethod": method, "stage": "Prod"},
        "body": parts.get("body"),
        "isBase64Encoded": False,
    }


class Caller:
    """Calls a function the ways that pages and programs do."""

    def __init__(self, function: Callable[[Any, Any], dict[str, Any]]) -> None:
        self.function = function

    def event(self, event: Any) -> Reply:
        return Reply(self.function(event, None))

    def form(self, *, headers: dict[str, str] | None = None, **fields: str) -> Reply:
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Origin": ORIGIN} | (headers or {})
        return self.event(rest_event("POST", headers=sent, body=urlencode(fields)))

    def request(self, method: str, token: str | None = None, **query: str) -> Reply:
        headers = {"Origin": ORIGIN} | ({"Authorization": f"Bearer {token}"} if token else {})
        return self.event(rest_event(method, headers=headers, query=query))


def settings_of(issuer: Issuer, **changes: str) -> dict[str, str]:
    """The function's environment variables."""
    return {
        "OKTA_KEYS": base64.b64encode(issuer.jwks()).decode(),
        "OKTA_ISSUER": ISSUER,
        "OKTA_AUDIENCE": AUDIENCE,
        "OKTA_CLIENT_ID": CLIENT_ID,
        "ALLOWED_ORIGINS": f"{ORIGIN},https://app.example",
        "MESSAGES_TABLE": "messages",
        "AWS_REGION": REGION,
    } | changes
