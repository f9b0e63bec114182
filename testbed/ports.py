"""Which ports are free, and who has those that are not."""

import contextlib
import errno
import socket

from testbed.errors import StackError
from testbed.settings import PORTS


def port_holder(port: int) -> str:
    """Who listens on a port, as far as this user may see."""
    try:
        import psutil  # noqa: PLC0415 -- compose mode does without it
    except ModuleNotFoundError:
        return "another program"
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another program"


def port_is_free(bind: str, port: int) -> bool:
    """Whether a server could listen there now.

    Raises:
        StackError: this machine does not have the address at all, or the port is reserved (`bad_setting`).
    """
    with socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise StackError(
                code="bad_setting",
                sentence=f"Nothing can listen on {bind}, port {port}: {error.strerror}.",
                mend="set BIND to an address of this machine, and ports above 1023",
            ) from error
    return True


def free_ports_above(ports: dict[str, int], bind: str, *, avoid: set[int]) -> dict[str, int]:
    """For each variable the next port that is free, and no other's."""
    found: dict[str, int] = {}
    for name, port in ports.items():
        candidates = range(port + 1, 65536)
        used = avoid | set(found.values())
        found[name] = next(each for each in candidates if each not in used and port_is_free(bind, each))
    return found


def free_ports() -> dict[str, str]:
    """A stack's port variables, each naming a port of the loopback interface that nobody listens on just now."""
    with contextlib.ExitStack() as sockets:
        found = [sockets.enter_context(socket.socket()) for _ in PORTS]
        for probe in found:
            probe.bind(("127.0.0.1", 0))
        return {name: str(probe.getsockname()[1]) for name, probe in zip(PORTS, found, strict=True)}
