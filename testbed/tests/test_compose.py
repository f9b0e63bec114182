"""What the containers may do."""

import pytest
import yaml

from testbed.settings import ROOT

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
# What would give a container something of the host's.
POWERS = ("privileged", "cap_add", "devices", "network_mode", "pid", "ipc", "userns_mode", "cgroup", "volumes_from")


@pytest.mark.parametrize("service", SERVICES.values(), ids=list(SERVICES))
def test_container_has_no_power_over_its_host(service):
    """No capability, no privilege, no namespace of the host's, no socket of an engine's."""
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert [name for name in POWERS if name in service] == []
    sources = [volume["source"] if isinstance(volume, dict) else volume for volume in service.get("volumes", [])]
    assert [source for source in sources if ".sock" in source or source.startswith("/")] == []
