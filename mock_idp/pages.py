"""Pages for people: the base of all HTML answers, with its strict Content-Security-Policy."""

from collections.abc import Awaitable
from typing import Any

from tornado.web import StaticFileHandler

from mock_idp.base import BaseHandler
from mock_idp.errors import OAuthError, OktaError, PageError


class PageHandler(BaseHandler):
    """An HTML page: own styles and scripts only, in nobody's frame unless allowed."""

    _form_action = "'self'"
    _frame_ancestors = "'none'"

    def allow(self, *, form_action: str = "", frame_ancestors: str = "") -> None:
        """Let forms lead to one more origin, or one origin frame the page."""
        if form_action:
            self._form_action = f"'self' {form_action}"
        if frame_ancestors:
            self._frame_ancestors = frame_ancestors

    def render_page(self, template: str, **values: Any) -> None:
        """Render a template with the policy headers of a page."""
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            f"base-uri 'none'; form-action {self._form_action}; frame-ancestors {self._frame_ancestors}"
        )
        self.set_header("Content-Security-Policy", policy)
        self.set_header("Referrer-Policy", "same-origin")  # no-referrer would empty Origin, too
        if self._frame_ancestors == "'none'":
            self.set_header("X-Frame-Options", "DENY")
        values.setdefault("title", "Mock issuer")
        self.render(template, prefix=getattr(self, "prefix", ""), **values)

    def render_problem(self, error: PageError) -> None:
        """Show an error that explains itself."""
        self.render_page("problem.html", title="That did not work", problem=error)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Show any error as a page."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if status_code == 405:
            self.name_methods()
        if not isinstance(error, PageError):
            sentence = "Something is wrong here." if status_code >= 500 else "The request makes no sense."
            code = "server_error" if status_code >= 500 else "invalid_request"
            if isinstance(error, OAuthError):
                code, sentence = error.error, error.description
            elif isinstance(error, OktaError):
                code, sentence = error.code, error.summary
            error = PageError(code, sentence, status=status_code)
        self.render_problem(error)


class SignOut(PageHandler):
    """Ends the issuer's own session; by POST only, so that no link can do it."""

    def get(self) -> None:
        """Ask, or say that nobody is signed in."""
        self.render_page("signout.html", title="Sign out", session=self.session(), done=False)

    def post(self) -> None:
        """Sign out."""
        if not self.is_own_page():
            raise PageError("foreign_form", "The form was not sent by this page.", status=403)
        self.end_session()
        self.render_page("signout.html", title="Signed out", session=None, done=True)


class StaticFiles(BaseHandler, StaticFileHandler):
    """The pages' own styles and scripts, with the errors and the log of all other handlers."""

    captured = False
    faultable = False

    def set_extra_headers(self, path: str) -> None:
        """Let browsers keep a file, and ask whether it changed."""
        self.set_header("Cache-Control", "no-cache")

    def compute_etag(self) -> str | None:
        """Name a file by its content."""
        return StaticFileHandler.compute_etag(self)

    def head(self, path: str) -> Awaitable[None]:  # type: ignore[override]  # always a path, never anything else
        """Answer as GET does, without reading the file."""
        return StaticFileHandler.head(self, path)


class Health(BaseHandler):
    """Whether the server answers."""

    captured = False
    faultable = False

    def get(self) -> None:
        """Answer 200 with a status."""
        self.write_json({"status": "ok"})


class AuthorityCertificate(BaseHandler):
    """The generated CA that clients of the https port must trust."""

    captured = False
    faultable = False

    def get(self) -> None:
        """Answer the certificate in PEM, or 404 when https is off."""
        if not self.issuer.ca_pem:
            raise OktaError("E0000007", summary="Not found: https is off; set IDP_TLS_PORT")
        self.set_header("Content-Type", "application/x-pem-file")
        self.write(self.issuer.ca_pem)
