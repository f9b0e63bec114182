"""The headers that every answer carries, and the policy the page runs under.

Sources: Content Security Policy Level 3; HTML, section 7.13 (opener policy); Fetch, section 3.8 (resource policy).
"""

from frontend.settings import Settings, origin


def content_security_policy(settings: Settings) -> str:
    """Name the only places the page may load from and talk to.

    There is no unsafe-inline and no unsafe-eval. The issuer may be framed because tokens are renewed through a hidden
    frame where there is no refresh token, and may serve pictures because some organisations show one at sign-in.
    """
    issuer = origin(settings.okta_issuer)
    connect = dict.fromkeys(["'self'", issuer, origin(settings.api_url)])
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "font-src 'self'",
            f"img-src 'self' {issuer}",
            f"connect-src {' '.join(connect)}",
            f"frame-src {issuer}",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )


def security_headers(settings: Settings) -> dict[str, str]:
    """Answer the headers that do not depend on the request."""
    headers = {
        "Content-Security-Policy": content_security_policy(settings),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        # Not plain same-origin: Classic organisations open social sign-in in a pop-up that answers its opener.
        "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
    if settings.url.startswith("https:"):
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers
