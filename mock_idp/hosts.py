"""The host names under which the issuer answers.

A page of any site can let its own name lead to this machine (DNS rebinding), and would then be of the issuer's own
origin. What it cannot do is to send another name than its own in `Host`.
"""

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv6Address

_STACK = (
    *("localhost", "*.localhost", "localhost.localstack.cloud", "*.localhost.localstack.cloud"),
    *("mock-idp", "frontend", "localstack", "*.localstack", "host.docker.internal"),
)
_NAME = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
_HOST = re.compile(rf"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>{_NAME})\.?)(?::[0-9]*)?")
ALLOWED = re.compile(rf"(?:\*\.)?{_NAME}")


class KnownHosts:
    """IP literals, this machine's and the stack's names, and some more.

    Args:
        names: host names in lower case, without port; `*.example.test` means every subdomain of it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        known = {*_STACK, *names}
        self._names = frozenset(name for name in known if not name.startswith("*"))
        self._suffixes = tuple(name[1:] for name in known if name.startswith("*"))

    def include(self, host: str) -> bool:
        """Say whether a Host header, with or without port, names one of them."""
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        if found["v6"]:
            return _is_address(IPv6Address, found["v6"])
        name = found["name"]
        return name in self._names or name.endswith(self._suffixes) or _is_address(IPv4Address, name)


def _is_address(kind: type[IPv4Address | IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except AddressValueError:
        return False
    return True
