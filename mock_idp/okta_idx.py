"""Okta's Identity Engine (IDX): interact, introspect, identify, challenge, re-enroll, cancel."""

from dataclasses import replace
from typing import Any

from mock_idp.authorize import RedirectedError, check_request
from mock_idp.base import OktaHandler
from mock_idp.errors import OAuthError, OktaError
from mock_idp.issuance import issue_code, new_grant
from mock_idp.issuer import oauth_url
from mock_idp.okta_classic import COMPLEXITY, password_problems, timestamp
from mock_idp.personas import Persona, okta_id
from mock_idp.state import Interaction, Session
from mock_idp.token_endpoint import ClientHandler
from mock_idp.tokens import random_id

ION = "application/ion+json; okta-version=1.0.0"
_ACCEPTS = "application/json; okta-version=1.0.0"
_PASSWORD_ID = okta_id("aut", "okta_password")
_ENROLLMENT_ID = okta_id("lae", "okta_password")

Json = dict[str, Any]


class Interact(ClientHandler):
    """`POST /v1/interact`: begins an interaction for a client of the interaction-code grant."""

    def post(self) -> None:
        """Check the request as the authorization endpoint would, and answer a handle."""
        fields = self.form()
        client = self.authenticate(fields)
        if "interaction_code" not in client.grant_types:
            raise OAuthError(
                "unauthorized_client",
                "The client is not authorized to use the grant type 'interaction_code'.",
            )
        if not client.allows_redirect(fields.get("redirect_uri", "")):
            raise OAuthError(
                "invalid_request",
                "The 'redirect_uri' parameter must be a Login redirect URI in the client app settings.",
            )
        try:
            request = check_request(self.server, client, {**fields, "response_type": "code"})
        except RedirectedError as error:
            raise OAuthError(error.error, error.description) from error
        handle = random_id(nbytes=32)
        interaction = Interaction(request, f"02.id.{random_id(nbytes=24)}")
        self.ns.interactions.put(handle, interaction)
        self.ns.state_handles.put(interaction.state_handle, interaction)
        self.write_json({"interaction_handle": handle})


class IdxHandler(OktaHandler):
    """What the steps of an interaction share."""

    def write_ion(self, value: Json, status: int = 200) -> None:
        """Answer an ION document."""
        self.set_status(status)
        self.write_json(value)
        self.set_header("Content-Type", ION)

    def interaction(self, body: Json) -> Interaction | None:
        """Return the interaction of a state handle; answers by itself when it is over."""
        handle = body.get("stateHandle")
        interaction = self.ns.state_handles.get(handle) if isinstance(handle, str) else None
        if interaction is None or interaction.finished:
            self.write_expired_session()
            return None
        self.client_id = interaction.request.client_id
        return interaction

    def write_expired_session(self) -> None:
        """Answer that the interaction is over; without a form, so that the widget starts again."""
        self.write_ion(
            {
                "version": "1.0.0",
                "messages": _messages("idx.session.expired", "The session has expired."),
            },
            401,
        )

    def write_state(self, interaction: Interaction, *, message: Json | None = None, status: int = 200) -> None:
        """Answer where the interaction stands: the next form, with an error if there is one."""
        handle = interaction.state_handle
        expires = self.ns.state_handles.expires_at(handle) or 0
        client = self.ns.clients.get(interaction.request.client_id)
        document: Json = {
            "version": "1.0.0",
            "stateHandle": handle,
            "expiresAt": timestamp(expires),
            "intent": "LOGIN",
            **({"messages": message} if message else {}),
            "remediation": {"type": "array", "value": [self._form(interaction)]},
            **self._authenticators(interaction),
            "cancel": {
                "rel": ["create-form"],
                "name": "cancel",
                "href": f"{self.base_url}/idp/idx/cancel",
                "method": "POST",
                "produces": ION,
                "value": [_state_handle(handle)],
                "accepts": _ACCEPTS,
            },
            "app": {
                "type": "object",
                "value": {
                    "name": "oidc_client",
                    "label": client.name if client else "",
                    "id": interaction.request.client_id,
                },
            },
        }
        self.write_ion(document, status)

    def _form(self, interaction: Interaction) -> Json:
        handle = _state_handle(interaction.state_handle)
        form: Json = {
            "rel": ["create-form"],
            "name": interaction.step,
            "href": f"{self.base_url}/idp/idx/challenge/answer",
            "method": "POST",
            "produces": ION,
            "accepts": _ACCEPTS,
        }
        if interaction.step == "identify":
            form["href"] = f"{self.base_url}/idp/idx/identify"
            form["value"] = [
                {"name": "identifier", "label": "Username", "required": True},
                _passcode("Password"),
                {"name": "rememberMe", "type": "boolean", "label": "Remember this device"},
                handle,
            ]
        elif interaction.step == "challenge-authenticator":
            form["relatesTo"] = ["$.currentAuthenticatorEnrollment"]
            form["value"] = [_passcode("Password"), handle]
        else:
            form["relatesTo"] = ["$.currentAuthenticator"]
            form["value"] = [_passcode("New password"), handle]
        return form

    def _authenticators(self, interaction: Interaction) -> Json:
        password: Json = {
            "type": "password",
            "key": "okta_password",
            "id": _PASSWORD_ID,
            "displayName": "Password",
            "methods": [{"type": "password"}],
        }
        if interaction.step == "identify":
            return {"currentAuthenticator": {"type": "object", "value": password}}
        persona = self.ns.personas.get(interaction.login or "")
        identifier = persona.login if persona else interaction.login
        user: Json = {"identifier": identifier}
        if persona is not None:
            user = {
                "id": persona.uid,
                "identifier": persona.login,
                "profile": {
                    "firstName": persona.first_name,
                    "lastName": persona.last_name,
                    "timeZone": persona.time_zone,
                    "locale": persona.locale,
                },
            }
        enrollment = {**password, "id": _ENROLLMENT_ID}
        documents: Json = {
            "user": {"type": "object", "value": user},
            "authenticatorEnrollments": {"type": "array", "value": [enrollment]},
            "authenticators": {"type": "array", "value": [password]},
        }
        if interaction.step == "challenge-authenticator":
            documents["currentAuthenticatorEnrollment"] = {"type": "object", "value": enrollment}
        else:
            settings = {"complexity": COMPLEXITY, "age": {"minAgeMinutes": 0, "historyCount": 0}}
            documents["currentAuthenticator"] = {
                "type": "object",
                "value": {**password, "settings": settings},
            }
        return documents

    def write_problem(self, interaction: Interaction, key: str, sentence: str, status: int) -> None:
        """Answer the same form again with an error."""
        self.write_state(interaction, message=_messages(key, sentence), status=status)

    def check_password(self, interaction: Interaction, persona: Persona | None, passcode: str) -> None:
        """Go on with a name and a password: to the end, to a new password, or back with an error."""
        if persona is not None and persona.status == "LOCKED_OUT":
            self.write_problem(interaction, "errors.E0000119", "User locked out", 401)
            return
        if persona is None or not persona.password_matches(passcode):
            second = interaction.step == "challenge-authenticator"
            key, sentence = ("errors.E0000004", "Authentication failed")
            if second:
                key, sentence = ("incorrectPassword", "Password is incorrect")
            self.write_problem(interaction, key, sentence, 401)
            return
        self.persona_login = persona.login
        if not persona.may_use(interaction.request.client_id):
            self.write_problem(
                interaction,
                "idx.error.user.not.assigned.to.app",
                "User is not assigned to the client application.",
                400,
            )
            return
        interaction.login = persona.login
        if persona.status == "PASSWORD_EXPIRED":
            interaction.step = "reenroll-authenticator"
            self.write_state(interaction)
            return
        self.succeed(interaction, persona)

    def succeed(self, interaction: Interaction, persona: Persona) -> None:
        """End the interaction: sign the browser in and hand out an interaction code, or a way back."""
        self.persona_login = persona.login
        session = self.start_session(persona)
        self.write_success(interaction, session)

    def write_success(self, interaction: Interaction, session: Session) -> None:
        """Answer the end of an interaction."""
        interaction.finished = True
        request = interaction.request
        grant = new_grant(request, session, request.nonce)
        code = issue_code(self.ns, grant, request.redirect_uri, request.code_challenge, "interaction_code")
        self.write_ion(
            {
                "version": "1.0.0",
                "stateHandle": interaction.state_handle,
                "intent": "LOGIN",
                "successWithInteractionCode": {
                    "rel": ["create-form"],
                    "name": "issue",
                    "href": f"{oauth_url(self.base_url, request.server_id)}/token",
                    "method": "POST",
                    "value": [
                        {"name": "grant_type", "required": True, "value": "interaction_code"},
                        {"name": "interaction_code", "required": True, "value": code},
                        {"name": "client_id", "required": True, "value": request.client_id},
                        {"name": "client_secret", "required": True},
                        {"name": "code_verifier", "required": True},
                    ],
                    "accepts": "application/x-www-form-urlencoded",
                },
            }
        )


class IntrospectIdx(IdxHandler):
    """`POST /idp/idx/introspect`: where an interaction stands; a reload of the page resumes it."""

    def post(self) -> None:
        """Answer the state."""
        body = self.json_body()
        handle = body.get("interactionHandle")
        state_token = body.get("stateToken", body.get("stateHandle"))
        interaction = None
        if isinstance(handle, str):
            interaction = self.ns.interactions.get(handle)
        elif isinstance(state_token, str):
            interaction = self.ns.state_handles.get(state_token)
        else:
            raise OktaError("E0000001", "interactionHandle: The field cannot be left blank")
        if interaction is None or interaction.finished:
            self.write_expired_session()
            return
        self.client_id = interaction.request.client_id
        session = self.session()
        if session is not None and interaction.request.accepts(session, self.ns.now()):
            persona = self.ns.personas[session.login]
            if interaction.step == "identify" and persona.may_use(interaction.request.client_id):
                self.write_success(interaction, session)
                return
        self.write_state(interaction)


class Identify(IdxHandler):
    """`POST /idp/idx/identify`: the name, with or without the password."""

    def post(self) -> None:
        """Go on with name and perhaps password."""
        body = self.json_body()
        interaction = self.interaction(body)
        if interaction is None:
            return
        identifier = body.get("identifier")
        if not isinstance(identifier, str) or not identifier.strip():
            self.write_problem(interaction, "idx.identifier.required", "Enter a username.", 400)
            return
        interaction.step = "identify"
        persona = self.ns.persona(identifier)
        passcode = _passcode_of(body)
        if passcode is None:
            interaction.login = persona.login if persona else identifier
            interaction.step = "challenge-authenticator"
            self.write_state(interaction)
            return
        self.check_password(interaction, persona, passcode)


class Answer(IdxHandler):
    """`POST /idp/idx/challenge/answer`: the password, or a new one for an expired one."""

    def post(self) -> None:
        """Go on with a password."""
        body = self.json_body()
        interaction = self.interaction(body)
        if interaction is None:
            return
        passcode = _passcode_of(body)
        if passcode is None or interaction.step == "identify":
            self.write_problem(interaction, "idx.passcode.required", "Enter a password.", 400)
            return
        persona = self.ns.personas.get(interaction.login or "")
        if interaction.step == "challenge-authenticator":
            self.check_password(interaction, persona, passcode)
            return
        if persona is None:
            self.write_expired_session()
            return
        problems = password_problems(persona, None, passcode)
        if problems:
            self.write_problem(interaction, "password.passwordRequirementsNotMet", problems[0], 400)
            return
        self.succeed(interaction, self.ns.change_password(persona.login, passcode))


class CancelIdx(IdxHandler):
    """`POST /idp/idx/cancel`: back to the beginning."""

    def post(self) -> None:
        """Begin again under a new state handle."""
        body = self.json_body()
        interaction = self.interaction(body)
        if interaction is None:
            return
        interaction.finished = True
        fresh = replace(
            interaction,
            state_handle=f"02.id.{random_id(nbytes=24)}",
            login=None,
            step="identify",
            finished=False,
        )
        self.ns.state_handles.put(fresh.state_handle, fresh)
        self.write_state(fresh)


def _state_handle(handle: str) -> Json:
    return {"name": "stateHandle", "required": True, "value": handle, "visible": False, "mutable": False}


def _passcode(label: str) -> Json:
    return {
        "name": "credentials",
        "type": "object",
        "form": {"value": [{"name": "passcode", "label": label, "secret": True}]},
        "required": True,
    }


def _passcode_of(body: Json) -> str | None:
    credentials = body.get("credentials")
    passcode = credentials.get("passcode") if isinstance(credentials, dict) else None
    return passcode if isinstance(passcode, str) and passcode else None


def _messages(key: str, sentence: str) -> Json:
    return {
        "type": "array",
        "value": [{"message": sentence, "i18n": {"key": key, "params": []}, "class": "ERROR"}],
    }
