"""The function: from an event to an answer.

OPTIONS  the preflight
GET      list the messages                      limit, cursor
POST     store a message, then list             message, id, limit, cursor
DELETE   delete a message of one's own, then list   id
"""

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from messages import cors, credentials, events, forms, journal, responses
from messages.board import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    BadCursor,
    Board,
    IdInUse,
    NoSuchMessage,
    StoreUnavailable,
)
from messages.events import Pairs, Request
from messages.keys import KeySet, KeySource, KeysUnavailable, UnusableKeys
from messages.responses import Problem, Response
from messages.settings import ConfigurationError, Settings
from messages.tokens import AccessToken, Refusal, TokenRefused, Verifier

MAX_MESSAGE_BYTES = 4096
MAX_ID_CHARACTERS = 64
HOW_TO_SET_KEYS = "Set it to the base64 of the issuer's key set: curl -s ISSUER/v1/keys | base64 -w0"

_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_ONCE = frozenset({"message", "id", "limit", "cursor"})
_LIMIT_DIGITS = 3

Clock = Callable[[], float]
OpenBoard = Callable[[Settings], Board]


def open_keys(settings: Settings) -> KeySource:
    """Read the keys the settings name.

    Raises:
        ConfigurationError: no token could be trusted with them.
    """
    offline = _offline_keys(settings.keys) if settings.keys.strip() else None
    if settings.keys_url:
        # Imported here: verifying offline needs no HTTP client.
        from messages.remote_keys import RemoteKeys  # noqa: PLC0415

        return RemoteKeys(settings.keys_url, seed=offline, clock=time.monotonic)
    if offline is None:
        raise ConfigurationError("OKTA_KEYS", "it is missing or empty", HOW_TO_SET_KEYS)
    return offline


def _offline_keys(text: str) -> KeySet:
    try:
        keys = KeySet.from_base64(text)
    except UnusableKeys as fault:
        raise ConfigurationError("OKTA_KEYS", str(fault), HOW_TO_SET_KEYS) from None
    if keys.left_out:
        journal.warn("keys_left_out", keys=keys.left_out)
    return keys


def open_board(settings: Settings) -> Board:
    """Open the table the settings name."""
    # Imported here: with it comes botocore, which a request without a good token is not to pay for.
    from messages.store import MessageStore, open_client  # noqa: PLC0415

    return MessageStore(client=open_client(region=settings.region), table=settings.table)


class Application:
    """A configured function: lives as long as its execution environment."""

    def __init__(self, settings: Settings, *, clock: Clock = time.time, open_board: OpenBoard = open_board) -> None:
        self.settings = settings
        self._clock = clock
        self._open_board = open_board
        self._verifier = Verifier(policy=settings.policy, keys=open_keys(settings))

    @cached_property
    def _board(self) -> Board:
        return self._open_board(self.settings)

    def answer(self, request: Request, entry: journal.Entry) -> Response:
        """Answer a request.

        Raises:
            Problem: with the error to answer.
        """
        if request.method == "OPTIONS":
            return cors.preflight()
        if request.method not in ("GET", "POST", "DELETE"):
            raise Problem("method_not_allowed")
        body = forms.fields(request) if request.method != "GET" else ()
        token = self._verify(request, credentials.token_of(request, body), entry)
        parameters = _parameters(request.query if request.method != "POST" else body)
        started = time.perf_counter()
        try:
            return responses.ok(self._act(request.method, token, parameters))
        except StoreUnavailable as fault:
            entry.note(cause=str(fault))
            raise Problem("store_unavailable") from fault
        finally:
            entry.took("StoreMs", started)

    def _verify(self, request: Request, token: str | None, entry: journal.Entry) -> AccessToken:
        if token is None:
            raise Problem("missing_token", checks=self._checks(request, None))
        started = time.perf_counter()
        try:
            verified = self._verifier.verify(token, now=self._clock())
        except TokenRefused as refused:
            if refused.refusal is Refusal.INSUFFICIENT_SCOPE:
                scope = " ".join(sorted(self.settings.policy.scopes))
                raise Problem("insufficient_scope", scope=scope, checks=self._checks(request, refused)) from None
            verdict, checks = refused.refusal.value, self._checks(request, refused)
            raise Problem("invalid_token", verdict=verdict, checks=checks) from None
        except KeysUnavailable:
            raise Problem("keys_unavailable") from None
        finally:
            entry.took("VerifyMs", started)
        entry.subject(verified.issuer, verified.subject)
        return verified

    def _checks(self, request: Request, refused: TokenRefused | None) -> responses.Checks:
        networks = self.settings.explain_refusals_to
        if not networks:
            return ()
        # Imported here: only a testbed explains.
        from messages import explanation  # noqa: PLC0415

        return explanation.checks(refused) if explanation.may_know(request.callers, networks) else ()

    def _act(self, method: str, token: AccessToken, parameters: Mapping[str, str]) -> dict[str, Any]:
        limit, cursor = _limit(parameters), parameters.get("cursor")
        posted = None
        try:
            if method == "DELETE":
                self._board.delete(author=token.subject, message_id=_id(parameters))
            elif method == "POST" and "message" in parameters:
                text = _text(parameters["message"])
                message_id = _id(parameters) if "id" in parameters else None
                posted = self._board.post(author=token.subject, text=text, message_id=message_id, now=self._clock())
            page = self._board.page(limit=limit, cursor=cursor)
        except BadCursor:
            raise Problem("invalid_cursor") from None
        except IdInUse:
            raise Problem("id_in_use") from None
        except NoSuchMessage:
            raise Problem("not_found") from None
        messages = [message.public() for message in page.messages]
        # The repeat of an old message finds it before the newest ones.
        if posted and posted.public() not in messages:
            messages.insert(0, posted.public())
        return {"messages": messages, "next": page.next}


def _parameters(fields: Pairs) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in fields:
        if name in _ONCE and name in parameters:
            raise Problem("invalid_request", f"The field {name} stands there twice.")
        parameters[name] = value
    return parameters


def _text(text: str) -> str:
    if not text.strip():
        raise Problem("empty_message")
    if len(text.encode()) > MAX_MESSAGE_BYTES:
        raise Problem("message_too_long")
    return text


def _id(parameters: Mapping[str, str]) -> str:
    message_id = parameters.get("id", "")
    if not 0 < len(message_id) <= MAX_ID_CHARACTERS or not _ID_CHARACTERS.issuperset(message_id):
        raise Problem("invalid_id")
    return message_id


def _limit(parameters: Mapping[str, str]) -> int:
    text = parameters.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) <= _LIMIT_DIGITS and 0 < int(text) <= MAX_LIMIT):
        raise Problem("invalid_limit")
    return int(text)


class Function:
    """The whole function: never raises, and accepts nothing while it is not configured."""

    def __init__(
        self, environment: Mapping[str, str], *, clock: Clock = time.time, open_board: OpenBoard = open_board
    ) -> None:
        self._clock = clock
        self._open_board = open_board
        self._is_cold = True
        self._application: Application | None = None
        self._fault: ConfigurationError | None = None
        self._origins: tuple[str, ...] = ()
        self._configure(environment)

    def _configure(self, environment: Mapping[str, str]) -> None:
        try:
            settings = Settings.from_environment(environment)
            self._origins = settings.allowed_origins
            self._application = Application(settings, clock=self._clock, open_board=self._open_board)
        except ConfigurationError as fault:
            self._fault = fault

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Answer an event of any of the shapes that `events` knows."""
        entry = journal.Entry(function_request_id=str(getattr(context, "aws_request_id", "")), is_cold=self._is_cold)
        self._is_cold = False
        origin, verdict = None, "accepted"
        try:
            request = events.read(event)
            origin = request.header("origin")
            entry.note(request_id=request.request_id, method=request.method)
            response = self._answer(request, entry)
        except Problem as problem:
            response, verdict = problem.response(), problem.verdict
        except Exception as error:  # noqa: BLE001 - a traceback is never an answer
            entry.failure(error)
            response, verdict = Problem("internal_error").response(), "internal_error"
        response = Response(response.status, {**response.headers, **cors.headers(origin, self._origins)}, response.body)
        journal.write(entry.line(status=response.status, verdict=verdict))
        return events.write(response, events.shape_of(event))

    def _answer(self, request: Request, entry: journal.Entry) -> Response:
        if self._application is None:
            entry.note(level="ERROR", not_configured=str(self._fault))
            raise Problem("not_configured")
        return self._application.answer(request, entry)
