"""Ports that are free, and who has those that are not."""

import os
import socket

from testbed.ports import free_ports, port_holder, port_is_free
from testbed.settings import Settings


def test_port_is_taken_while_somebody_listens():
    """A listening socket takes its port, and its owner is named."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        assert not port_is_free("127.0.0.1", port)
        assert f"pid {os.getpid()}" in port_holder(port)
    assert port_is_free("127.0.0.1", port)


def test_free_ports_differ():
    """Every service of a stack gets a port of its own, and moves there."""
    ports = free_ports()
    assert len(set(ports.values())) == len(ports)
    assert {name: str(port) for name, port in Settings.from_environment(ports).ports.items()} == ports
