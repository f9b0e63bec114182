"""The issuer's own sign-in page, and the page where a device's code is entered."""

from mock_idp.authorize import Responder
from mock_idp.clients import origin_of
from mock_idp.errors import PageError
from mock_idp.issuance import new_grant
from mock_idp.pages import PageHandler
from mock_idp.personas import Persona
from mock_idp.state import AuthorizationRequest, DeviceRequest


class PersonForm(PageHandler):
    """A form in which a person signs in: by one click, or with name and password."""

    def own_form(self) -> dict[str, str]:
        """Return the fields of a form that a page of this issuer sent.

        Raises:
            PageError: another site's page sent it.
        """
        if not self.is_own_page():
            raise PageError("foreign_form", "The form was not sent by a page of this issuer.", status=403)
        return self.form()

    def person(self, fields: dict[str, str]) -> tuple[Persona | None, str]:
        """Return who signed in, or nobody and the reason in a sentence."""
        clicked = fields.get("persona")
        password = fields.get("password", "")
        persona = self.ns.persona(clicked or fields.get("username", ""))
        if persona is None or (not clicked and not persona.password_matches(password)):
            return None, "Name or password is wrong."
        if persona.status == "LOCKED_OUT":
            return None, "This account is locked."
        if persona.status == "PASSWORD_EXPIRED":
            new = fields.get("new_password", "")
            if not new:
                return None, "The password has expired. Enter it, and a new one, to sign in."
            if not persona.password_matches(password) or new == persona.password:
                return None, "The old password is wrong, or the new one is the same."
            persona = self.ns.change_password(persona.login, new)
        return persona, ""


class SignIn(Responder, PersonForm):
    """Sign in, continue with the session there is, or deny."""

    def _request(self, flow: str) -> AuthorizationRequest:
        request = self.ns.signins.get(flow) if flow else None
        if request is None:
            raise PageError(
                "expired_sign_in",
                "This sign-in is over: it was used, it expired, or the issuer restarted.",
                hint="Go back to the application and sign in again.",
            )
        self.client_id = request.client_id
        return request

    def get(self) -> None:
        """Show the page."""
        flow = self.single(self.request.query_arguments).get("flow", "")
        self._show(flow, self._request(flow))

    def post(self) -> None:
        """Take the decision."""
        fields = self.own_form()
        flow = fields.get("flow", "")
        request = self._request(flow)
        action = fields.get("action")
        session = self.session()
        if action == "deny":
            self.ns.signins.pop(flow)
            denied = {"error": "access_denied", "error_description": "The person denied the request."}
            self.respond(request, denied)
        elif action == "continue" and session is not None and request.accepts(session, self.ns.now()):
            self.ns.signins.pop(flow)
            self.complete(request, session)
        else:
            persona, problem = self.person(fields)
            if persona is None:
                self.set_status(401)
                self._show(flow, request, problem, fields.get("username") or fields.get("persona", ""))
                return
            self.ns.signins.pop(flow)
            self.complete(request, self.start_session(persona))

    def _show(self, flow: str, request: AuthorizationRequest, problem: str = "", username: str = "") -> None:
        self.allow(form_action=origin_of(request.redirect_uri))
        session = self.session()
        self.render_page(
            "signin.html",
            title="Sign in",
            flow=flow,
            asked=request,
            client=self.ns.clients.get(request.client_id),
            personas=list(self.ns.personas.values()),
            session=session if session is not None and request.accepts(session, self.ns.now()) else None,
            problem=problem,
            username=username or request.login_hint,
        )


class Activate(PersonForm):
    """Where the code that a device shows is entered. Source: RFC 8628 section 3.3."""

    def get(self) -> None:
        """Show the form, filled in when the link carries the code."""
        user_code = self.single(self.request.query_arguments).get("user_code", "")
        self._show(user_code)

    def post(self) -> None:
        """Look the code up; with a person, approve or deny."""
        fields = self.own_form()
        user_code = fields.get("user_code", "").strip().upper()
        device = self.ns.device_user_codes.get(user_code)
        if device is None or device.grant is not None or device.denied:
            self.set_status(400)
            self._show(user_code, "That code is unknown, used or expired. Look at the device again.")
            return
        self.client_id = device.client_id
        if fields.get("action") == "deny":
            device.denied = True
            self._show(user_code, done="Denied. The device gets nothing.")
            return
        if "persona" not in fields and "username" not in fields:
            self._show(user_code)
            return
        persona, problem = self.person(fields)
        if persona is not None and not persona.may_use(device.client_id):
            problem = f"{persona.login} is not assigned to this application."
        if persona is None or problem:
            self.set_status(401)
            self._show(user_code, problem)
            return
        device.grant = new_grant(device, self.start_session(persona))
        self.persona_login = persona.login
        self._show(user_code, done=f"The device is signed in as {persona.login}. You can close this page.")

    def _show(self, user_code: str, problem: str = "", done: str = "") -> None:
        device: DeviceRequest | None = self.ns.device_user_codes.get(user_code) if user_code else None
        if device is not None and (device.grant is not None or device.denied):
            device = None
        self.render_page(
            "activate.html",
            title="Connect a device",
            user_code=user_code,
            device=device,
            client=self.ns.clients.get(device.client_id) if device else None,
            personas=list(self.ns.personas.values()),
            problem=problem,
            done=done,
        )
