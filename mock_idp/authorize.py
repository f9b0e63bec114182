"""The authorization endpoint: checks first, then a session or a sign-in, then the answer in its response mode."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mock_idp.base import with_query
from mock_idp.clients import (
    RESPONSE_TYPES,
    Client,
    canonical_response_type,
    origin_of,
    registered_uris,
)
from mock_idp.config import AuthorizationServer
from mock_idp.errors import OAuthError, PageError
from mock_idp.issuance import (
    OFFERED_SCOPES,
    Realm,
    access_token_draft,
    id_token_draft,
    issue_code,
    mint,
    new_grant,
)
from mock_idp.namespaces import Namespace
from mock_idp.pages import PageHandler
from mock_idp.personas import Persona
from mock_idp.state import AuthorizationRequest, Grant, Session
from mock_idp.tokens import random_id

RESPONSE_MODES = ("query", "fragment", "form_post", "okta_post_message")
PROMPTS = ("none", "login", "consent")
REQUEST_URI_PREFIX = "urn:ietf:params:oauth:request_uri:"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(eq=False)
class RedirectedError(Exception):
    """An authorization error that is told to the client at its redirect URI."""

    error: str
    description: str
    redirect_uri: str
    response_mode: str
    state: str | None


def identify_client(ns: Namespace, parameters: dict[str, str]) -> Client:
    """Find the client and make sure of its redirect URI; before that nothing may be redirected.

    Raises:
        PageError: unknown client, missing or foreign redirect URI: shown, not redirected to.
    """
    client_id = parameters.get("client_id", "")
    client = ns.clients.get(client_id)
    if client is None:
        raise PageError(
            "invalid_client",
            "The client that sent you here is not registered."
            if client_id
            else "The request names no client (client_id).",
            hint="Add it to personas.yaml or register it at /oauth2/v1/clients, and reload.",
            details=[("client_id received", client_id or "(none)"), ("registered", ", ".join(ns.clients))],
        )
    redirect_uri = parameters.get("redirect_uri", "")
    if not redirect_uri or not client.allows_redirect(redirect_uri):
        raise PageError(
            "invalid_redirect_uri",
            "The redirect URI is not one that this client registered."
            if redirect_uri
            else "The request names no redirect URI.",
            hint="It must match a registered one character by character: scheme, host, port, path, last slash.",
            details=[
                ("client_id", client.client_id),
                ("redirect_uri received", redirect_uri or "(none)"),
                *(("redirect_uri registered", uri) for uri in registered_uris(client)),
            ],
        )
    return client


Refuse = Callable[[str, str], Exception]


def check_request(server: AuthorizationServer, client: Client, parameters: dict[str, str]) -> AuthorizationRequest:
    """Check everything about a request whose client and redirect URI are sure.

    Raises:
        RedirectedError: with the code of RFC 6749 section 4.1.2.1 or OIDC Core section 3.1.2.6.
    """
    response_type = canonical_response_type(parameters.get("response_type", ""))
    default_mode = "query" if response_type in {"code", ""} else "fragment"
    mode = parameters.get("response_mode", default_mode)

    def refuse(error: str, description: str) -> RedirectedError:
        usable_mode = mode if mode in RESPONSE_MODES and mode != "query" else default_mode
        return RedirectedError(error, description, parameters["redirect_uri"], usable_mode, parameters.get("state"))

    _check_response(client, response_type, mode, refuse)
    if "request" in parameters:
        raise refuse("request_not_supported", "Request objects are not supported.")
    if "request_uri" in parameters:
        raise refuse("request_uri_not_supported", "Only request URIs pushed to this server are supported.")
    scopes = checked_scopes(server, parameters.get("scope", ""), refuse)
    nonce = parameters.get("nonce")
    if "id_token" in response_type.split():
        if "openid" not in scopes:
            raise refuse("invalid_scope", "An ID token needs the scope openid.")
        if not nonce:
            raise refuse("invalid_request", "A nonce is required when an ID token is asked for directly.")
    return AuthorizationRequest(
        client_id=client.client_id,
        server_id=server.server_id,
        redirect_uri=parameters["redirect_uri"],
        response_type=response_type,
        response_mode=mode,
        scopes=scopes,
        state=parameters.get("state"),
        nonce=nonce,
        code_challenge=_challenge(client, response_type, parameters, refuse),
        prompt=_prompt(parameters, refuse),
        max_age_s=_max_age(parameters, refuse),
        login_hint=parameters.get("login_hint", ""),
    )


def _check_response(client: Client, response_type: str, mode: str, refuse: Refuse) -> None:
    if not response_type:
        raise refuse("invalid_request", "The response_type is missing.")
    if response_type not in RESPONSE_TYPES:
        raise refuse("unsupported_response_type", "The response_type is not supported.")
    if not client.allows_response_type(response_type):
        raise refuse("unauthorized_client", f"The client is not registered for response_type {response_type!r}.")
    if mode not in RESPONSE_MODES:
        raise refuse("invalid_request", f"The response_mode must be one of {', '.join(RESPONSE_MODES)}.")
    if mode == "query" and response_type != "code":
        raise refuse("invalid_request", "Tokens are never sent in a query: use response_mode fragment.")


def checked_scopes(server: AuthorizationServer, scope: str, refuse: Refuse) -> tuple[str, ...]:
    """Return the scopes asked for, each once, in their order.

    Raises:
        Exception: what `refuse` makes of invalid_scope.
    """
    scopes = tuple(dict.fromkeys(scope.split()))
    if not scopes:
        raise refuse("invalid_scope", "The scope is missing; ask at least for openid.")
    if not all(name in OFFERED_SCOPES or name in server.scopes for name in scopes):
        raise refuse("invalid_scope", "One or more scopes are not configured for the authorization server resource.")
    return scopes


def _challenge(client: Client, response_type: str, parameters: dict[str, str], refuse: Refuse) -> str | None:
    challenge = parameters.get("code_challenge")
    method = parameters.get("code_challenge_method")
    if "code" not in response_type.split():
        return None
    if challenge is None:
        if method is not None:
            raise refuse("invalid_request", "A code_challenge_method without a code_challenge makes no sense.")
        if client.pkce_required:
            raise refuse("invalid_request", "PKCE code challenge is required.")
        return None
    if method != "S256":
        raise refuse("invalid_request", "The code_challenge_method must be S256.")
    if not _CHALLENGE.fullmatch(challenge):
        raise refuse("invalid_request", "The code_challenge must be 43 base64url characters.")
    return challenge


def _prompt(parameters: dict[str, str], refuse: Refuse) -> tuple[str, ...]:
    prompt = tuple(parameters.get("prompt", "").split())
    if any(word not in PROMPTS for word in prompt):
        raise refuse("invalid_request", f"The prompt must be one of {', '.join(PROMPTS)}.")
    if "none" in prompt and len(prompt) > 1:
        raise refuse("invalid_request", "The prompt none stands alone.")
    return prompt


def _max_age(parameters: dict[str, str], refuse: Refuse) -> int | None:
    max_age = parameters.get("max_age")
    if max_age is None:
        return None
    if not max_age.isdecimal() or len(max_age) > 9:
        raise refuse("invalid_request", "The max_age must be a number of seconds.")
    return int(max_age)


class Responder(PageHandler):
    """What the authorization endpoint and the sign-in page share: answering the client."""

    def respond(self, request: AuthorizationRequest, answer: dict[str, Any]) -> None:
        """Send an answer, success or error, to the client's redirect URI in its response mode."""
        self.deliver(
            request.redirect_uri,
            request.response_mode,
            {name: value for name, value in {**answer, "state": request.state}.items() if value is not None},
        )

    def deliver(self, redirect_uri: str, mode: str, answer: dict[str, Any]) -> None:
        """Send values to a redirect URI, by redirect, by a form that posts itself, or by a message."""
        if mode in {"query", "fragment"}:
            self.redirect(with_query(redirect_uri, answer, fragment=mode == "fragment"))
        elif mode == "form_post":
            self.allow(form_action=origin_of(redirect_uri))
            self.render_page("form_post.html", action=redirect_uri, fields=answer)
        else:
            origin = origin_of(redirect_uri)
            self.allow(frame_ancestors=origin)
            self.render_page("post_message.html", payload=json.dumps(answer), target=origin)

    def complete(self, request: AuthorizationRequest, session: Session) -> None:
        """Answer for a signed-in person: codes and tokens, or access_denied."""
        ns = self.ns
        persona = ns.personas[session.login]
        client = ns.clients.get(request.client_id)
        server = ns.servers.get(request.server_id)
        self.client_id, self.persona_login = request.client_id, persona.login
        if client is None or server is None or not persona.may_use(request.client_id):
            self.respond(
                request,
                {
                    "error": "access_denied",
                    "error_description": "User is not assigned to the client application.",
                },
            )
            return
        grant = new_grant(request, session, request.nonce)
        realm = Realm(ns, self.base_url, server)
        self.respond(request, self._front_channel(realm, request, grant, persona))

    def _front_channel(
        self, realm: Realm, request: AuthorizationRequest, grant: Grant, persona: Persona
    ) -> dict[str, Any]:
        ns, kinds = self.ns, request.response_type.split()
        answer: dict[str, Any] = {}
        if "code" in kinds:
            answer["code"] = issue_code(ns, grant, request.redirect_uri, request.code_challenge, "authorization_code")
        if "token" in kinds:
            scopes = tuple(scope for scope in request.scopes if scope != "offline_access")
            access = access_token_draft(
                realm,
                request.client_id,
                scopes,
                persona,
                auth_time=grant.auth_time,
                grant_id=grant.grant_id,
            )
            answer |= {
                "access_token": mint(realm, access, request.client_id, persona, self.request.path),
                "token_type": "Bearer",
                "expires_in": ns.config.lifetimes.access_token_s,
                "scope": " ".join(scopes),
            }
        if "id_token" in kinds:
            identity = id_token_draft(
                realm,
                request.client_id,
                request.scopes,
                persona,
                auth_time=grant.auth_time,
                nonce=request.nonce,
                amr=grant.amr,
                access_token=answer.get("access_token"),
                code=answer.get("code"),
            )
            answer["id_token"] = mint(realm, identity, request.client_id, persona, self.request.path)
        return answer


class Authorize(Responder):
    """RFC 6749 section 3.1 and OpenID Connect Core section 3.1.2."""

    def get(self) -> None:
        """Take the request from the query."""
        self._authorize(self.request.query_arguments)

    def post(self) -> None:
        """Take the request from a form. Source: OpenID Connect Core section 3.1.2.1."""
        self.form()
        self._authorize(self.request.body_arguments)

    def _authorize(self, arguments: dict[str, list[bytes]]) -> None:
        try:
            parameters = self.single(arguments)
        except OAuthError as error:
            raise PageError(error.error, error.description) from error
        session_token = parameters.pop("sessionToken", None)
        try:
            request = self._checked(parameters)
        except RedirectedError as error:
            answer = {
                "error": error.error,
                "error_description": error.description,
                **({"state": error.state} if error.state is not None else {}),
            }
            self.deliver(error.redirect_uri, error.response_mode, answer)
            return
        self.client_id = request.client_id
        self._decide(request, session_token)

    def _checked(self, parameters: dict[str, str]) -> AuthorizationRequest:
        request_uri = parameters.get("request_uri", "")
        if request_uri.startswith(REQUEST_URI_PREFIX):
            pushed = self.ns.pushed.pop(request_uri)
            here = self.server.server_id, parameters.get("client_id")
            if pushed is None or (pushed.server_id, pushed.client_id) != here:
                raise PageError(
                    "invalid_request_uri",
                    "The pushed request is unknown, used, expired, or of another client or authorization server.",
                    hint="Push it again; a request URI works once and for a minute.",
                )
            return pushed
        client = identify_client(self.ns, parameters)
        return check_request(self.server, client, parameters)

    def _decide(self, request: AuthorizationRequest, session_token: str | None) -> None:
        session = self.session()
        fresh = False
        if session_token is not None:
            login = self.ns.session_tokens.pop(session_token)
            persona = self.ns.personas.get(login) if login else None
            session = self.start_session(persona) if persona else None
            fresh = session is not None
        silent = session is not None and request.accepts(session, self.ns.now()) and "consent" not in request.prompt
        if session is not None and (fresh or silent):
            self.complete(request, session)
        elif "none" in request.prompt:
            self.respond(
                request,
                {
                    "error": "login_required",
                    "error_description": "The client specified not to prompt, but the user is not logged in.",
                },
            )
        else:
            flow = random_id(nbytes=24)
            self.ns.signins.put(flow, request)
            self.redirect(with_query(f"{self.prefix}/signin", {"flow": flow}))
