"""The testbed's settings: environment variables, then `.env`, then the defaults listed in `.env.example`."""

import difflib
import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, cast
from urllib.parse import urlsplit

from testbed.errors import StackError

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_STACK = "gatehouse"
Mode = Literal["native", "compose"]
# What the Makefile takes beside settings.
MAKE_VARIABLES = ("ARGS", "U", "S", "FAULT", "OWN", "JSON", "BASE_URL")
PORTS = ("FRONTEND_PORT", "IDP_PORT", "IDP_TLS_PORT", "LOCALSTACK_PORT")
REACHED_AS_LOCALHOST = ("127.0.0.1", "::1", "0.0.0.0", "::", "localhost")  # noqa: S104 -- recognised, not bound
LOOPBACK = "127.0.0.0/8,::1/128"
# Where https is, seen from the issuer's http port: 9443 beside 9400.
TLS_PORT_DISTANCE = 43


def read_dotenv(path: Path) -> dict[str, str]:
    """Read NAME=value lines; quotes around a value are dropped, `#` starts a comment line.

    Raises:
        StackError: a line is not of that form (`bad_dotenv`).
    """
    if not path.exists():
        return {}
    values = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = re.fullmatch(r"(?:export\s+)?([A-Za-z_]\w*)=(.*)", text)
        if not match:
            raise StackError(
                code="bad_dotenv",
                sentence=f"Line {number} of .env is not of the form NAME=value.",
                mend=f"edit line {number} of {path.name}; .env.example shows every setting",
            )
        value = match[2].strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        values[match[1]] = value
    return values


def bad_setting(name: str, value: str, wanted: str) -> StackError:
    """Say which variable is wrong and what it takes."""
    return StackError(
        code="bad_setting",
        sentence=f"{name}={value!r} is not {wanted}.",
        mend=f"set {name} in the environment or in .env; .env.example shows every setting",
    )


def misspelt_settings(environment: dict[str, str], dotenv: Path) -> list[str]:
    """A sentence for each name that looks like a setting and is none, with the nearest that is.

    In .env and on make's command line (MAKEFLAGS), whatever begins as settings do is looked at; in the environment,
    which holds many others' names, only what is a letter or two away from a setting.
    """
    example = (ROOT / ".env.example").read_text()
    known = re.findall(r"^([A-Z]\w*)=", example, re.MULTILINE)
    words = {*known, *MAKE_VARIABLES}
    prefixes = {name.split("_")[0] + "_" for name in known if "_" in name}
    _, _, flags = environment.get("MAKEFLAGS", "").partition("-- ")
    typed = dict.fromkeys(re.findall(r"(?:^|(?<!\\)\s)([A-Za-z_]\w*)=", flags), "make's command line")
    found = []
    for name, where in (dict.fromkeys(read_dotenv(dotenv), ".env") | typed).items():
        close = difflib.get_close_matches(name.upper(), words, 1, 0.75)
        if name not in words and (close or name.startswith(tuple(prefixes))):
            found.append(_misspelt(name, where, close))
    for name in sorted(set(environment) - words - set(typed)):
        close = difflib.get_close_matches(name, known, 1, 0.9) if "_" in name else []
        if close:
            found.append(_misspelt(name, "the environment", close))
    return found


def _misspelt(name: str, where: str, close: list[str]) -> str:
    nearest = f"; {close[0]} is" if close else "; .env.example shows all there are"
    return f"{name} in {where} is no setting{nearest}."


def _check_values(values: dict[str, str]) -> None:
    """Refuse before anything starts what a service would refuse when it does.

    Raises:
        StackError: `bad_setting`.
    """
    url = _is_url, "an http or https URL without query or fragment"
    origin = _is_origin, "an origin, such as https://app.example, without a path"
    network = _is_network, "a network, such as 10.0.0.0/8"
    urls = ("FRONTEND_URL", "IDP_PUBLIC_URL", "IDP_TLS_PUBLIC_URL", "OKTA_ISSUER", "DEPLOYER_KEYS_URL")
    for name, (fits, wanted) in {
        **dict.fromkeys(urls, url),
        **dict.fromkeys(("ALLOWED_ORIGINS", "EXTRA_CORS_ALLOWED_ORIGINS"), origin),
        "IDP_CONTROL_NETWORKS": network,
    }.items():
        for part in filter(None, re.split(r"[\s,]+", values.get(name) or "")):
            if not fits(part):
                raise bad_setting(name, part, wanted)
    level = values.get("IDP_LOG_LEVEL") or "WARNING"
    if level.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise bad_setting("IDP_LOG_LEVEL", level, "DEBUG, INFO, WARNING or ERROR")
    if values.get("OKTA_SCOPES") and "openid" not in values["OKTA_SCOPES"].split():
        raise bad_setting("OKTA_SCOPES", values["OKTA_SCOPES"], "a list of scopes with openid in it")
    if len(values.get("OKTA_CLIENT_ID", "").split()) > 1:
        raise bad_setting("OKTA_CLIENT_ID", values["OKTA_CLIENT_ID"], "one word")


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        return False
    return bool(usable) and not parts.query and not parts.fragment


def _is_origin(text: str) -> bool:
    return bool(re.fullmatch(r"https?://[^/*\s,]+", text))


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _port(values: dict[str, str], name: str, default: int) -> int:
    text = values.get(name) or str(default)
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 65536:
        raise bad_setting(name, text, "a port between 1 and 65535")
    return int(text)


def _ports(values: dict[str, str]) -> dict[str, int]:
    """Where each service listens, by the name of its attribute; all different."""
    ports = {
        "frontend_port": _port(values, "FRONTEND_PORT", 8080),
        "idp_port": (idp_port := _port(values, "IDP_PORT", 9400)),
        "idp_tls_port": _port(values, "IDP_TLS_PORT", idp_port + TLS_PORT_DISTANCE),
        "localstack_port": _port(values, "LOCALSTACK_PORT", 4566),
    }
    for name, port in ports.items():
        same = [other.upper() for other in ports if other != name and ports[other] == port]
        if same:
            raise bad_setting(name.upper(), str(port), f"different from {same[0]}")
    return ports


def _public_host(bind: str) -> str:
    """The name under which a browser of this machine finds what listens on an address."""
    return "localhost" if bind in REACHED_AS_LOCALHOST else _in_url(bind)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One stack: where it listens, what it is called, whom it trusts.

    Attributes:
        stack: name of the stack; its folder is `.gatehouse/stacks/<stack>`, its Compose project has the same name.
        mode: None lets the machine decide (compose where a Docker engine answers).
        issuer: the `iss` of the tokens, and where the page signs people in.
        start_timeout_s: how long the services may take to become healthy.
        allowed_hosts: names under which the servers answer beside those they know.
        allowed_cloud_origins: whose pages may call the cloud's AWS API.
        idp_config: the issuer's clients, personas, authorization servers and lifetimes.
        idp_control_networks: whose callers need no key for the issuer's control plane; empty: this machine.
        explain_refusals_to: whose callers are told why a token was refused; the word `own` among them stands for the
            networks that this machine is on, which a container cannot know before it runs.
        idp_control_key: opens the issuer's control plane to others than this machine; empty: to nobody.
        keys_url: where the deployer reads the issuer's key set; inside Compose an internal address.
        deployment_file: where the deployer writes what it did.
        function_dependencies: folder of the function's installed packages.
    """

    stack: str
    mode: Mode | None
    bind: str
    frontend_port: int
    idp_port: int
    idp_tls_port: int
    localstack_port: int
    frontend_url: str
    idp_url: str
    idp_tls_url: str
    cloud_url: str
    issuer: str
    client_id: str
    audience: str
    scopes: str
    allowed_origins: str
    allowed_hosts: str
    allowed_cloud_origins: str
    engine: str
    python_image: str
    start_timeout_s: float
    idp_config: Path
    idp_control_networks: str
    explain_refusals_to: str
    idp_control_key: str
    idp_log_level: str
    answers: str
    cpu_share: str
    keys_url: str
    deployment_file: Path
    function_dependencies: Path

    @classmethod
    def from_environment(cls, environment: dict[str, str] | None = None, dotenv: Path | None = None) -> Self:
        """Read and check every variable.

        Raises:
            StackError: a value cannot be used (`bad_setting`, `bad_dotenv`).
        """
        given = dict(os.environ) if environment is None else environment
        values = read_dotenv(dotenv or ROOT / ".env") | {k: v for k, v in given.items() if v}
        mode = values.get("MODE") or None
        if mode not in {None, "native", "compose"}:
            raise bad_setting("MODE", str(mode), "native or compose")
        stack = values.get("STACK") or DEFAULT_STACK
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,40}", stack):
            raise bad_setting("STACK", stack, "a short name of a-z, 0-9, _ and -")
        engine = values.get("WIDGET_ENGINE") or "identity"
        if engine not in {"identity", "classic"}:
            raise bad_setting("WIDGET_ENGINE", engine, "identity or classic")
        answers = values.get("PROCESS_EXECUTOR_ANSWERS") or "2024"
        if answers not in {"2024", "2026"}:
            raise bad_setting("PROCESS_EXECUTOR_ANSWERS", answers, "2024 or 2026")
        cpu_share = values.get("PROCESS_EXECUTOR_CPU_SHARE") or "1"
        if cpu_share not in {"0", "1", "2"}:
            raise bad_setting("PROCESS_EXECUTOR_CPU_SHARE", cpu_share, "0, 1 or 2")
        for name in (part.strip() for part in (values.get("ALLOWED_HOSTS") or "").split(",")):
            if name and not re.fullmatch(r"(\*\.)?[A-Za-z0-9._-]+", name):
                raise bad_setting("ALLOWED_HOSTS", name, "a host name, such as app.test or *.app.test, without a port")
        _check_values(values)
        timeout = values.get("START_TIMEOUT_S") or "120"
        if not re.fullmatch(r"\d+(\.\d+)?", timeout):
            raise bad_setting("START_TIMEOUT_S", timeout, "a number of seconds")
        ports = _ports(values)
        bind = values.get("BIND") or "127.0.0.1"
        host = _public_host(bind)
        frontend_url = (values.get("FRONTEND_URL") or f"http://{host}:{ports['frontend_port']}").rstrip("/")
        idp_url = (values.get("IDP_PUBLIC_URL") or f"http://{host}:{ports['idp_port']}").rstrip("/")
        idp_tls_url = (values.get("IDP_TLS_PUBLIC_URL") or f"https://{host}:{ports['idp_tls_port']}").rstrip("/")
        cloud_origins = [frontend_url, *filter(None, [values.get("EXTRA_CORS_ALLOWED_ORIGINS")])]
        issuer = values.get("OKTA_ISSUER") or f"{idp_url}/oauth2/default"
        home = ROOT / ".gatehouse"
        return cls(
            stack=stack,
            mode=cast("Mode | None", mode),
            bind=bind,
            **ports,
            frontend_url=frontend_url,
            idp_url=idp_url,
            idp_tls_url=idp_tls_url,
            cloud_url=f"http://{host}:{ports['localstack_port']}",
            issuer=issuer,
            client_id=values.get("OKTA_CLIENT_ID") or "0oatestbed",
            audience=values.get("OKTA_AUDIENCE") or "api://default",
            scopes=values.get("OKTA_SCOPES") or "openid profile email offline_access",
            allowed_origins=values.get("ALLOWED_ORIGINS") or frontend_url,
            allowed_hosts=values.get("ALLOWED_HOSTS") or "",
            allowed_cloud_origins=",".join(cloud_origins),
            engine=engine,
            python_image=values.get("PYTHON_IMAGE") or "python:3.13-slim",
            start_timeout_s=float(timeout),
            idp_config=ROOT / (values.get("IDP_CONFIG") or "mock_idp/personas.yaml"),
            idp_control_networks=values.get("IDP_CONTROL_NETWORKS") or "",
            explain_refusals_to=values.get("EXPLAIN_REFUSALS_TO") or values.get("IDP_CONTROL_NETWORKS") or LOOPBACK,
            idp_control_key=values.get("IDP_CONTROL_KEY") or "",
            idp_log_level=values.get("IDP_LOG_LEVEL") or "WARNING",
            answers=answers,
            cpu_share=cpu_share,
            keys_url=values.get("DEPLOYER_KEYS_URL") or f"{issuer}/v1/keys",
            deployment_file=Path(values.get("DEPLOYMENT_FILE") or home / "stacks" / stack / "deployment.json"),
            function_dependencies=Path(values.get("FUNCTION_DEPENDENCIES") or home / "function"),
        )

    @property
    def home(self) -> Path:
        """What set-up made: environments, the widget's files, the function's dependencies."""
        return ROOT / ".gatehouse"

    @property
    def folder(self) -> Path:
        """What this stack keeps while it runs (logs, sockets) and between runs (keys)."""
        return self.home / "stacks" / self.stack

    @property
    def api_url(self) -> str:
        """Where the page posts messages; the API's id is fixed by a tag in the template."""
        return f"{self.cloud_url}/_aws/execute-api/gatehouse/Prod/api/messages"

    @property
    def console_url(self) -> str:
        """The mock issuer's console."""
        return self.idp_url + "/"

    @property
    def ports(self) -> dict[str, int]:
        """Variable name → port."""
        return {
            "FRONTEND_PORT": self.frontend_port,
            "IDP_PORT": self.idp_port,
            "IDP_TLS_PORT": self.idp_tls_port,
            "LOCALSTACK_PORT": self.localstack_port,
        }

    @property
    def local_host(self) -> str:
        """Where this machine itself reaches what listens on `bind`."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.bind, self.bind)  # noqa: S104 -- recognised, not bound
        return _in_url(host)

    @property
    def uses_mock_issuer(self) -> bool:
        """Whether people sign in at this stack's own issuer (else at a real Okta org)."""
        return self.issuer.startswith(self.idp_url + "/")
