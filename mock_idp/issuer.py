"""The issuer as a whole: settings, configuration, keys and namespaces, and the URLs made from them."""

import re
import time
from collections import OrderedDict
from urllib.parse import urlsplit

from mock_idp.config import Config, load_config
from mock_idp.hosts import KnownHosts
from mock_idp.keys import KeyStore
from mock_idp.namespaces import Namespace
from mock_idp.settings import Settings

MAX_NAMESPACES = 200
NAMESPACE_IDLE_S = 3600
NAMESPACE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Issuer:
    """What every handler works on.

    Args:
        settings: from the environment.
        public_url: the origin that tokens name; known only once the port is.
        tls_public_url: the https origin, or empty.

    Attributes:
        hosts: the names it answers under.
    """

    def __init__(self, settings: Settings, public_url: str, tls_public_url: str = "") -> None:
        self.settings = settings
        self.public_url = public_url
        self.tls_public_url = tls_public_url
        urls = (urlsplit(url).hostname for url in (settings.frontend_url, public_url, tls_public_url))
        self.hosts = KnownHosts([*settings.allowed_hosts, *(host.removesuffix(".") for host in urls if host)])
        self.config = self._load()
        self.keys = KeyStore(settings.state_dir)
        self.default = Namespace("", self.config, self.keys)
        self._named: OrderedDict[str, tuple[float, Namespace]] = OrderedDict()
        self.ca_pem = b""

    def _load(self) -> Config:
        variables = {"FRONTEND_URL": self.settings.frontend_url, "IDP_PUBLIC_URL": self.public_url}
        return load_config(self.settings.config, variables)

    def reload(self) -> None:
        """Read the configuration file again; nothing changes when it is wrong.

        Raises:
            ConfigError: with file, line and a sentence.
        """
        self.config = self._load()
        self.default.configure(self.config)
        for _, namespace in self._named.values():
            namespace.configure(self.config)

    def namespace(self, name: str) -> Namespace:
        """Return a namespace; a new one begins as the configuration says. Idle ones are forgotten."""
        if not name:
            return self.default
        now = time.monotonic()
        entry = self._named.pop(name, None)
        namespace = entry[1] if entry else Namespace(name, self.config, self.keys)
        self._named[name] = (now, namespace)
        while self._named:
            oldest = next(iter(self._named))
            idle = now - self._named[oldest][0]
            if idle < NAMESPACE_IDLE_S and len(self._named) <= MAX_NAMESPACES:
                break
            del self._named[oldest]
        return namespace


def issuer_url(base_url: str, server_id: str) -> str:
    """Return the issuer identifier of an authorization server; the org server's has no path."""
    return base_url if server_id == "org" else f"{base_url}/oauth2/{server_id}"


def oauth_url(base_url: str, server_id: str) -> str:
    """Return what the URLs of a server's endpoints begin with."""
    return f"{base_url}/oauth2/v1" if server_id == "org" else f"{base_url}/oauth2/{server_id}/v1"
