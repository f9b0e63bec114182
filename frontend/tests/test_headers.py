"""The security headers, on every answer."""

import re

import pytest

EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
        "img-src 'self' http://localhost:9400; connect-src 'self' http://localhost:9400 http://localhost:4566; "
        "frame-src http://localhost:9400; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
}


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/", "GET", 200), ("/config.json", "GET", 200), ("/nowhere", "GET", 404), ("/", "POST", 405)],
)
def test_every_answer_carries_the_security_headers(server, path, method, status):
    """Errors are no exception."""
    answer = server.request(path, method, Content_Length="0")
    assert answer.status == status
    assert answer.headers.items() >= EVERYWHERE.items()


def test_server_does_not_say_what_it_runs_on(server):
    """No Server header with a version to look up."""
    assert "Server" not in server.request("/").headers


@pytest.mark.parametrize("path", ["/", "/nowhere"])
def test_html_holds_nothing_that_the_policy_forbids(server, path):
    """No inline script, style or handler, and nothing from another host."""
    html = server.request(path, Accept="text/html").text
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert not re.search(r"<style|\sstyle=|\son\w+=", html)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', html)


def test_policy_names_the_configured_issuer_and_api_by_origin(start, widget_dir):
    """With a real organisation, the page may talk to that and to nobody else."""
    server = start(
        WIDGET_DIR=widget_dir,
        FRONTEND_URL="https://board.example",
        OKTA_ISSUER="https://dev-1.okta.example/oauth2/aus1",
        API_URL="https://api1.execute-api.eu-north-1.amazonaws.example/Prod/api/messages",
    )
    answer = server.request("/")
    policy = answer.headers["Content-Security-Policy"]
    assert (
        "connect-src 'self' https://dev-1.okta.example https://api1.execute-api.eu-north-1.amazonaws.example;" in policy
    )
    assert "frame-src https://dev-1.okta.example;" in policy
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
