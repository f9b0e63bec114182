"""Access tokens: what is believed of one, and every reason to refuse it.

A token is refused before anything in it is looked at more closely than needed: its shape before its header, its header
before a key is chosen, its signature before its claims are read.
Source: RFC 8725, RFC 9068, RFC 7515, RFC 7519; Okta's claims `cid` and `scp`.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from messages import base64url, strict_json
from messages.keys import ALGORITHMS, MAX_KID_CHARACTERS, KeySource

MAX_TOKEN_BYTES = 8192
MAX_SUBJECT_CHARACTERS = 255
MAX_TIME_S = 253_402_300_800  # the year 10000: past what a date can say
MAX_KNOWN_HEADERS = 64

_COMPACT_PARTS = 3
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ"})
# Members that only an ID token, a logout token, a refresh token or a token bound to a client's own key carries.
_ID_TOKEN_CLAIMS = ("nonce", "at_hash", "c_hash", "s_hash")
_TOKEN_USE_CLAIMS = ("token_use", "token_type", "typ")
_ACCESS_TOKEN_USES = frozenset({"access", "access_token", "bearer", "jwt", "at+jwt"})
_CLIENT_CLAIMS = ("cid", "client_id", "azp")


class Refusal(StrEnum):
    """Why a token was refused: a stable code for the log and the metrics; a stranger never sees it."""

    TOO_LONG = "too_long"
    NOT_COMPACT = "not_compact_jws"
    BAD_BASE64URL = "bad_base64url"
    BAD_UTF8 = "bad_utf8"
    BAD_JSON = "bad_json"
    DUPLICATE_NAME = "duplicate_name"
    TOO_DEEP = "too_deep"
    NUMBER_OUT_OF_BOUNDS = "number_out_of_bounds"
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_HEADER = "unknown_header"
    WRONG_ALGORITHM = "wrong_algorithm"
    WRONG_TYPE = "wrong_type"
    BAD_KID = "bad_kid"
    UNKNOWN_KEY = "unknown_key"
    KEY_ALGORITHM_MISMATCH = "key_algorithm_mismatch"
    BAD_SIGNATURE = "bad_signature"
    WRONG_ISSUER = "wrong_issuer"
    NO_EXPIRY = "no_expiry"
    BAD_TIME = "bad_time"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUED_IN_FUTURE = "issued_in_future"
    TOO_OLD = "too_old"
    WRONG_AUDIENCE = "wrong_audience"
    NOT_AN_ACCESS_TOKEN = "not_an_access_token"  # noqa: S105 - a code
    SENDER_CONSTRAINED = "sender_constrained"
    WRONG_CLIENT = "wrong_client"
    BAD_SCOPE = "bad_scope"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    BAD_SUBJECT = "bad_subject"


class Check(StrEnum):
    """What is looked at, in this order: what stands before a check that failed has passed."""

    PRESENCE = "presence"
    FORMAT = "format"
    HEADER = "header"
    ALGORITHM = "algorithm"
    TYPE = "type"
    KEY = "key"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    ISSUER = "issuer"
    EXPIRY = "expiry"
    NOT_BEFORE = "not_before"
    ISSUED_AT = "issued_at"
    AUDIENCE = "audience"
    KIND = "kind"
    CLIENT = "client"
    SUBJECT = "subject"
    SCOPE = "scope"


class TokenRefused(Exception):
    """The token is not believed.

    Answered as 401 `invalid_token`, except `insufficient_scope`, which is 403 (RFC 6750 section 3.1).

    Args:
        refusal: why.
        check: the one that failed.
        expected: what it asks for, in words.
        got: what the token has instead, a claim's value or words; None when it has nothing.
    """

    def __init__(self, refusal: Refusal, check: Check, *, expected: str, got: Any = None) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal
        self.check = check
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """What a verified token says."""

    issuer: str
    subject: str
    client_id: str
    scopes: frozenset[str]
    expires_at: float
    issued_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPolicy:
    """What this API asks of a token.

    Args:
        issuer: compared to `iss` character by character.
        audience: must be `aud`, or one of its members.
        client_ids: the clients whose tokens are taken (`cid`, or `client_id`, or `azp`).
        scopes: all of them are required; empty requires none.
        algorithms: the `alg` values taken, further bound by the key that `kid` names.
        token_types: the `typ` values taken, in lower case and without `application/`; "" stands for no `typ`.
        leeway_s: how far the issuer's clock may be off.
        max_age_s: the greatest age by `iat`; None for any.
    """

    issuer: str
    audience: str
    client_ids: frozenset[str]
    scopes: frozenset[str] = frozenset()
    algorithms: frozenset[str] = frozenset(ALGORITHMS)
    token_types: frozenset[str] = frozenset({"", "jwt", "at+jwt"})
    leeway_s: float = 30
    max_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Header:
    alg: str
    kid: str


class Verifier:
    """Checks access tokens against an issuer's keys and this API's policy."""

    def __init__(self, *, policy: TokenPolicy, keys: KeySource) -> None:
        self._policy = policy
        self._keys = keys
        self._known_headers: dict[bytes, _Header] = {}

    def verify(self, token: str, *, now: float) -> AccessToken:
        """Check a compact JWS access token.

        Args:
            token: three base64url parts, at most 8 KiB.
            now: seconds since the epoch.

        Raises:
            TokenRefused: with the first reason found.
        """
        # The length is looked at first: encoding an endless text would cost its length.
        if len(token) > MAX_TOKEN_BYTES:
            expected, got = f"at most {MAX_TOKEN_BYTES} characters", f"{len(token)} characters"
            raise TokenRefused(Refusal.TOO_LONG, Check.FORMAT, expected=expected, got=got)
        try:
            compact = token.encode("ascii")
        except UnicodeEncodeError:
            raise TokenRefused(
                Refusal.NOT_COMPACT, Check.FORMAT, expected="ASCII", got="characters outside of ASCII"
            ) from None
        parts = compact.split(b".")
        if len(parts) != _COMPACT_PARTS or not all(parts):
            expected, got = "three parts with dots between", f"{len(parts)} parts, {parts.count(b'')} of them empty"
            raise TokenRefused(Refusal.NOT_COMPACT, Check.FORMAT, expected=expected, got=got)
        header_part, claims_part, signature_part = parts
        raw_claims = _decode(claims_part)
        signature = _decode(signature_part)
        header = self._known_headers.get(header_part) or self._read_header(header_part)
        key = self._keys.find(header.kid)
        if key is None:
            known = f"a key of the issuer's: {', '.join(self._keys.kids())}"
            raise TokenRefused(Refusal.UNKNOWN_KEY, Check.KEY, expected=known, got=header.kid)
        if key.alg != header.alg:
            expected = f"{key.alg}, which the key {key.kid} is for"
            raise TokenRefused(Refusal.KEY_ALGORITHM_MISMATCH, Check.KEY, expected=expected, got=header.alg)
        if not key.verifies(signature, compact[: -len(signature_part) - 1]):
            expected = f"a signature by the key {key.kid}"
            raise TokenRefused(Refusal.BAD_SIGNATURE, Check.SIGNATURE, expected=expected, got="one that is not")
        # Every token of one key has the same header. It is remembered only once the issuer has signed it, so that
        # nobody else can fill the memory.
        if len(self._known_headers) < MAX_KNOWN_HEADERS:
            self._known_headers[header_part] = header
        return self._check(_object(raw_claims, Check.CLAIMS), now)

    def _read_header(self, part: bytes) -> _Header:
        header = _object(_decode(part), Check.HEADER)
        if not _HEADER_MEMBERS.issuperset(header):
            raise TokenRefused(
                Refusal.UNKNOWN_HEADER, Check.HEADER, expected="nothing but alg, kid and typ", got="something else, too"
            )
        alg, kid = header.get("alg"), header.get("kid")
        if not isinstance(alg, str) or alg not in self._policy.algorithms:
            expected = _listed(self._policy.algorithms)
            raise TokenRefused(Refusal.WRONG_ALGORITHM, Check.ALGORITHM, expected=expected, got=alg)
        if _media_type(header) not in self._policy.token_types:
            expected = _listed(name or "none" for name in self._policy.token_types)
            raise TokenRefused(Refusal.WRONG_TYPE, Check.TYPE, expected=expected, got=header.get("typ"))
        if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARACTERS:
            expected = f"1 to {MAX_KID_CHARACTERS} characters"
            raise TokenRefused(Refusal.BAD_KID, Check.KEY, expected=expected, got=kid)
        return _Header(alg, kid)

    def _check(self, claims: dict[str, Any], now: float) -> AccessToken:
        policy = self._policy
        issuer: Any = claims.get("iss")
        if issuer != policy.issuer:
            raise TokenRefused(Refusal.WRONG_ISSUER, Check.ISSUER, expected=policy.issuer, got=issuer)
        expires_at, issued_at = _check_times(claims, now, policy)
        _check_audience(claims.get("aud"), policy.audience)
        _check_kind(claims)
        client_id = _client(claims, policy.client_ids)
        subject: Any = claims.get("sub")
        if not _is_subject(subject):
            expected = f"1 to {MAX_SUBJECT_CHARACTERS} printable characters"
            raise TokenRefused(Refusal.BAD_SUBJECT, Check.SUBJECT, expected=expected, got=subject)
        scopes = _scopes(claims)
        if not policy.scopes <= scopes:
            expected, got = " ".join(sorted(policy.scopes)), " ".join(sorted(scopes))
            raise TokenRefused(Refusal.INSUFFICIENT_SCOPE, Check.SCOPE, expected=expected, got=got or None)
        return AccessToken(
            issuer=issuer,
            subject=subject,
            client_id=client_id,
            scopes=scopes,
            expires_at=expires_at,
            issued_at=issued_at,
        )


def _decode(part: bytes) -> bytes:
    try:
        return base64url.decode(part)
    except ValueError:
        expected, got = "base64url without padding in each part", "something else"
        raise TokenRefused(Refusal.BAD_BASE64URL, Check.FORMAT, expected=expected, got=got) from None


def _object(raw: bytes, check: Check) -> dict[str, Any]:
    try:
        return strict_json.read_object(raw)
    except strict_json.NotStrictJson as fault:
        expected, got = "a JSON object with one meaning", fault.code.replace("_", " ")
        raise TokenRefused(Refusal(fault.code), check, expected=expected, got=got) from None


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))


def _media_type(header: dict[str, Any]) -> str | None:
    # RFC 7515 section 4.1.9: compared without regard to case, and "application/" may be left out.
    if "typ" not in header:
        return ""
    typ = header["typ"]
    if not isinstance(typ, str) or not typ:
        return None
    return typ.lower().removeprefix("application/")


def _time(claims: dict[str, Any], name: str, check: Check) -> float | None:
    if name not in claims:
        return None
    value: Any = claims[name]
    # bool is an int to Python, and no time.
    if type(value) not in (int, float) or not 0 <= value < MAX_TIME_S:
        raise TokenRefused(Refusal.BAD_TIME, check, expected="seconds since 1970", got=value)
    return float(value)


def _shown(time_s: float | None) -> str | None:
    if time_s is None:
        return None
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time_s))


def _check_times(claims: dict[str, Any], now: float, policy: TokenPolicy) -> tuple[float, float | None]:
    earliest, latest = now - policy.leeway_s, now + policy.leeway_s
    expires_at = _time(claims, "exp", Check.EXPIRY)
    if expires_at is None or earliest >= expires_at:
        refusal = Refusal.NO_EXPIRY if expires_at is None else Refusal.EXPIRED
        raise TokenRefused(refusal, Check.EXPIRY, expected=f"after {_shown(earliest)}", got=_shown(expires_at))
    not_before = _time(claims, "nbf", Check.NOT_BEFORE)
    if not_before is not None and latest < not_before:
        expected = f"{_shown(latest)} at the latest"
        raise TokenRefused(Refusal.NOT_YET_VALID, Check.NOT_BEFORE, expected=expected, got=_shown(not_before))
    issued_at = _time(claims, "iat", Check.ISSUED_AT)
    if issued_at is not None and latest < issued_at:
        expected = f"{_shown(latest)} at the latest"
        raise TokenRefused(Refusal.ISSUED_IN_FUTURE, Check.ISSUED_AT, expected=expected, got=_shown(issued_at))
    if policy.max_age_s is not None and (issued_at is None or earliest - policy.max_age_s >= issued_at):
        expected = f"after {_shown(earliest - policy.max_age_s)}"
        raise TokenRefused(Refusal.TOO_OLD, Check.ISSUED_AT, expected=expected, got=_shown(issued_at))
    return expires_at, issued_at


def _is_list_of_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(member, str) for member in value)


def _check_audience(audience: Any, wanted: str) -> None:
    if audience == wanted:
        return
    if not _is_list_of_strings(audience) or wanted not in audience:
        raise TokenRefused(Refusal.WRONG_AUDIENCE, Check.AUDIENCE, expected=wanted, got=audience)


def _check_kind(claims: dict[str, Any]) -> None:
    for name in _ID_TOKEN_CLAIMS:
        if name in claims:
            raise _not_an_access_token(f"an ID token: it has the claim {name}")
    for name in _TOKEN_USE_CLAIMS:
        if name in claims and not _is_access_token_use(claims[name]):
            raise _not_an_access_token(claims[name])
    if "events" in claims:
        raise _not_an_access_token("a logout token: it has the claim events")
    token_id = claims.get("jti", "")
    # Okta names its tokens by their kind: AT. access, ID. identity, RT. refresh.
    if not isinstance(token_id, str) or token_id.startswith(("ID.", "RT.")):
        raise _not_an_access_token("another token, by the claim jti")
    # RFC 9449 section 7.2, RFC 8705 section 3: such a token is worth nothing without the proof that goes with it.
    if "cnf" in claims:
        expected, got = "a token that stands for itself", "one that is bound to a key: it has the claim cnf"
        raise TokenRefused(Refusal.SENDER_CONSTRAINED, Check.KIND, expected=expected, got=got)


def _not_an_access_token(got: Any) -> TokenRefused:
    return TokenRefused(Refusal.NOT_AN_ACCESS_TOKEN, Check.KIND, expected="an access token", got=got)


def _is_access_token_use(value: Any) -> bool:
    return isinstance(value, str) and value.lower() in _ACCESS_TOKEN_USES


def _client(claims: dict[str, Any], allowed: frozenset[str]) -> str:
    named = [claims[name] for name in _CLIENT_CLAIMS if name in claims]
    if not named or not all(isinstance(client, str) and client in allowed for client in named):
        got = None if not named else named[0] if len(named) == 1 else named
        raise TokenRefused(Refusal.WRONG_CLIENT, Check.CLIENT, expected=_listed(allowed), got=got)
    return str(named[0])


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    # Okta's `scp` is a list; RFC 9068's `scope` is one text. A token with both must mean the same by both.
    granted: list[frozenset[str]] = []
    if "scp" in claims:
        if not _is_list_of_strings(claims["scp"]):
            raise _bad_scope("a list of strings in scp", claims["scp"])
        granted.append(frozenset(claims["scp"]))
    if "scope" in claims:
        if not isinstance(claims["scope"], str):
            raise _bad_scope("a string in scope", claims["scope"])
        granted.append(frozenset(claims["scope"].split(" ")) - {""})
    if not granted:
        return frozenset()
    if granted[0] != granted[-1]:
        raise _bad_scope("the same in scp and in scope", [claims["scp"], claims["scope"]])
    return granted[0]


def _bad_scope(expected: str, got: Any) -> TokenRefused:
    return TokenRefused(Refusal.BAD_SCOPE, Check.SCOPE, expected=expected, got=got)


def _is_subject(value: Any) -> bool:
    # It is shown as the author's name: nothing in it may hide, reorder or break the text around it.
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_SUBJECT_CHARACTERS
        and value.isprintable()
        and not value.isspace()
    )
