"""The YAML file of clients, personas, authorization servers and lifetimes, checked line by line."""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from yaml.representer import SafeRepresenter

from mock_idp.clients import (
    AUTH_METHODS,
    GRANT_TYPES,
    RESPONSE_TYPES,
    Client,
    canonical_response_type,
    is_plain_url,
)
from mock_idp.personas import STATUSES, Persona

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_VARIABLE = re.compile(r"\$\{([A-Z_]+)\}")
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ConfigError(Exception):
    """The configuration file is wrong; the text names file, line and what would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long things live, in seconds."""

    access_token_s: int = 3600
    id_token_s: int = 3600
    refresh_token_s: int = 7 * 24 * 3600
    code_s: int = 60
    session_token_s: int = 300
    session_s: int = 2 * 3600
    interaction_s: int = 3600
    device_code_s: int = 600
    pushed_request_s: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationServer:
    """One issuer among several: `/oauth2/{server_id}`; the org server has the id `org`.

    Attributes:
        audience: the `aud` of access tokens.
        algorithm: RS256, PS256, ES256 or EdDSA.
        access_token_typ: the `typ` in the header of access tokens; empty for none.
        scopes: scopes beyond the standard ones, for access to APIs.
        default_scopes: what a client_credentials request without a scope receives.
    """

    server_id: str
    audience: str
    algorithm: str = "RS256"
    access_token_typ: str = "at+jwt"  # noqa: S105 - a media type, not a secret
    scopes: tuple[str, ...] = ()
    default_scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the file says."""

    clients: Mapping[str, Client]
    personas: Mapping[str, Persona]
    servers: Mapping[str, AuthorizationServer]
    lifetimes: Lifetimes = field(default_factory=Lifetimes)


class _Section:
    """One mapping of the file: its values are taken by name, and what is left over is an error."""

    def __init__(self, reader: "_Reader", node: yaml.Node | None, what: str) -> None:
        if not isinstance(node, yaml.MappingNode):
            raise reader.error(node, f"{what} must be a mapping of names to values.")
        self._reader = reader
        self.node = node
        self.what = what
        self._nodes: dict[str, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in self._nodes:
                raise reader.error(key_node, f"{what} has {key!r} twice.")
            self._nodes[key] = value_node
        self._known: list[str] = []

    def node_of(self, name: str) -> yaml.Node | None:
        self._known.append(name)
        return self._nodes.get(name)

    def error(self, name: str, sentence: str) -> ConfigError:
        return self._reader.error(self._nodes.get(name) or self.node, sentence)

    def value(self, name: str, default: Any = None) -> Any:
        node = self.node_of(name)
        return default if node is None else self._reader.plain(node)

    def text(self, name: str, default: str | None = None) -> str:
        value = self.value(name, default)
        if value is None:
            close = difflib.get_close_matches(name, self._nodes, 1)
            instead = f", but has {close[0]!r}" if close else ""
            raise self.error(close[0] if close else name, f"{self.what} lacks {name!r}{instead}.")
        if not isinstance(value, str):
            raise self.error(name, f"{name!r} of {self.what} must be text; quote it.")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.value(name, default)
        if not isinstance(value, bool):
            raise self.error(name, f"{name!r} of {self.what} must be true or false.")
        return value

    def seconds(self, name: str, default: int) -> int:
        value = self.value(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.error(name, f"{name!r} of {self.what} must be a whole number of seconds, 1 or more.")
        return value

    def texts(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = self.value(name, list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(name, f"{name!r} of {self.what} must be a list of texts.")
        return tuple(value)

    def choices(self, name: str, allowed: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
        values = self.texts(name, default)
        for value in values:
            if value not in allowed:
                raise self.error(name, f"{value!r} in {name!r} of {self.what}: {_one_of(value, allowed)}")
        return values

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise self.error(name, f"{name!r} of {self.what} is {value!r}: {_one_of(value, allowed)}")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        value = self.value(name, {})
        if not isinstance(value, dict):
            raise self.error(name, f"{name!r} of {self.what} must be a mapping.")
        return value

    def subsection(self, name: str, node: yaml.Node) -> "_Section":
        return _Section(self._reader, node, f"{name!r} of {self.what}")

    def done(self) -> None:
        for key, node in self._nodes.items():
            if key not in self._known:
                raise self._reader.error(node, f"{self.what} has {key!r}: {_one_of(key, tuple(self._known))}")


def _one_of(value: str, allowed: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(value, allowed, 1)
    return f"did you mean {close[0]!r}?" if close else f"it must be one of {', '.join(allowed)}."


class _Reader:
    """Turns YAML nodes into values, filling in `${VARIABLES}`, and errors into lines."""

    def __init__(self, source: str, variables: Mapping[str, str]) -> None:
        self._source = source
        self._variables = variables

    def error(self, node: yaml.Node | None, sentence: str) -> ConfigError:
        line = f", line {node.start_mark.line + 1}" if node is not None and node.start_mark else ""
        return ConfigError(f"{self._source}{line}: {sentence}")

    def plain(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return {str(key.value): self.plain(value) for key, value in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item) for item in node.value]
        if node.tag == "tag:yaml.org,2002:str":
            return _VARIABLE.sub(lambda match: self._fill(node, match.group(1)), node.value)
        try:
            return yaml.safe_load(yaml.serialize(node))
        except yaml.YAMLError as error:
            raise self.error(node, f"{node.value!r} cannot be read.") from error

    def _fill(self, node: yaml.Node, name: str) -> str:
        if name not in self._variables:
            known = ", ".join(self._variables)
            raise self.error(node, f"${{{name}}} is unknown here; known are {known}.")
        return self._variables[name]


def _items(
    section: _Section, name: str, reader: _Reader, build: Callable[[_Section], tuple[str, Any]]
) -> dict[str, Any]:
    node = section.node_of(name)
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise section.error(name, f"{name!r} must be a list with at least one entry.")
    found: dict[str, Any] = {}
    for item in node.value:
        entry = _Section(reader, item, f"an entry of {name!r}")
        key, value = build(entry)
        entry.done()
        if key in found:
            raise reader.error(item, f"{key!r} stands in {name!r} twice.")
        found[key] = value
    return found


def _client(entry: _Section) -> tuple[str, Client]:
    client_id = entry.text("client_id")
    entry.what = f"client {client_id!r}"
    if not _NAME.fullmatch(client_id):
        raise entry.error("client_id", "a client_id has 1 to 64 letters, digits, dots, underscores and hyphens.")
    secret = entry.text("secret", "") or None
    default_methods = ("client_secret_basic", "client_secret_post") if secret else ("none",)
    methods = entry.choices("auth_methods", AUTH_METHODS, default_methods)
    if (secret is None) != (methods == ("none",)):
        raise entry.error("auth_methods", f"{entry.what}: 'none' is for clients without a secret, and only that.")
    for name in ("redirect_uris", "post_logout_redirect_uris", "origins"):
        for uri in entry.texts(name):
            if not is_plain_url(uri) or "#" in uri:
                raise entry.error(name, f"{uri!r} in {name!r} of {entry.what} is no URL without a fragment.")
    response_types = tuple(canonical_response_type(value) for value in entry.texts("response_types"))
    for value in response_types:
        if value not in RESPONSE_TYPES:
            raise entry.error("response_types", f"{value!r}: {_one_of(value, RESPONSE_TYPES)}")
    return client_id, Client(
        client_id=client_id,
        name=entry.text("name", client_id),
        secret=secret,
        auth_methods=methods,
        grant_types=entry.choices("grant_types", GRANT_TYPES, ("authorization_code",)),
        response_types=response_types,
        redirect_uris=entry.texts("redirect_uris"),
        post_logout_redirect_uris=entry.texts("post_logout_redirect_uris"),
        origins=entry.texts("origins"),
        loopback=entry.flag("loopback", default=False),
        pkce_required=entry.flag("pkce_required", default=secret is None),
    )


def _persona(entry: _Section) -> tuple[str, Persona]:
    login = entry.text("login")
    entry.what = f"persona {login!r}"
    if "@" not in login:
        raise entry.error("login", f"{entry.what}: a login looks like name@example.com.")
    claims_node = entry.node_of("claims")
    access_claims: dict[str, Any] = {}
    id_claims: dict[str, Any] = {}
    if claims_node is not None:
        claims = entry.subsection("claims", claims_node)
        access_claims = claims.mapping("access_token")
        id_claims = claims.mapping("id_token")
        claims.done()
    return login, Persona(
        login=login,
        first_name=entry.text("first_name"),
        last_name=entry.text("last_name"),
        password=entry.text("password"),
        email=entry.text("email", login),
        status=entry.choice("status", STATUSES, "ACTIVE"),
        locale=entry.text("locale", "en_US"),
        time_zone=entry.text("time_zone", "America/Los_Angeles"),
        groups=entry.texts("groups", ("Everyone",)),
        not_assigned=entry.texts("not_assigned"),
        note=entry.text("note", ""),
        access_token_claims=access_claims,
        id_token_claims=id_claims,
    )


def _server(entry: _Section) -> tuple[str, AuthorizationServer]:
    server_id = entry.text("id")
    entry.what = f"authorization server {server_id!r}"
    if not _NAME.fullmatch(server_id) or server_id == "v1":
        raise entry.error("id", "an id has 1 to 64 letters, digits, dots, underscores, hyphens; not 'v1'.")
    scopes = entry.texts("scopes")
    default_scopes = entry.choices("default_scopes", scopes, ())
    return server_id, AuthorizationServer(
        server_id=server_id,
        audience=entry.text("audience"),
        algorithm=entry.choice("algorithm", ALGORITHMS, "RS256"),
        access_token_typ=entry.text("access_token_typ", "at+jwt"),
        scopes=scopes,
        default_scopes=default_scopes,
    )


def parse_config(text: str, source: str, variables: Mapping[str, str]) -> Config:
    """Check and read a configuration.

    Args:
        text: the YAML text.
        source: what to call it in errors.
        variables: values for `${NAME}` in texts.

    Raises:
        ConfigError: with source, line and a sentence.
    """
    reader = _Reader(source, variables)
    try:
        root_node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{source}{line}: not YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not YAML: {' '.join(str(error).split()).rstrip('.')}.") from error
    root = _Section(reader, root_node, "the file")
    clients = _items(root, "clients", reader, _client)
    personas = _items(root, "personas", reader, _persona)
    servers = _items(root, "authorization_servers", reader, _server)
    if "default" not in servers:
        raise root.error("authorization_servers", "'authorization_servers' lacks one with the id 'default'.")
    lifetimes = Lifetimes()
    lifetimes_node = root.node_of("lifetimes")
    if lifetimes_node is not None:
        section = _Section(reader, lifetimes_node, "'lifetimes'")
        lifetimes = Lifetimes(
            **{item.name: section.seconds(item.name, item.default) for item in fields(Lifetimes)}  # type: ignore[arg-type]  # every field has an int default
        )
        section.done()
    root.done()
    return Config(clients=clients, personas=personas, servers=servers, lifetimes=lifetimes)


def parse_persona(fields: Mapping[str, Any]) -> Persona:
    """Check and read one person, as JSON has it; the same rules as in the file.

    Raises:
        ConfigError: with a sentence.
    """
    reader = _Reader("persona", {})
    # As YAML's nodes, so that one reader checks both. Not as its text: that escapes other characters than JSON does.
    node = SafeRepresenter(sort_keys=False).represent_data(dict(fields))
    entry = _Section(reader, node, "the persona")
    _, persona = _persona(entry)
    entry.done()
    return persona


def load_config(path: Path, variables: Mapping[str, str]) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: the file cannot be read or is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}.") from error
    return parse_config(text, str(path), variables)
