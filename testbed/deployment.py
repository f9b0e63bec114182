"""How the deployment is now, kept in a file that the commands read."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, Self

from testbed.commands import last_lines
from testbed.errors import StackError
from testbed.settings import ROOT

APPLICATION = ROOT / "lambda"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The deployer's word on the stack.

    Attributes:
        state: `deploying`, `deployed`, `failed` (the last good template stands, where there is one) or `waiting` (for
            the cloud or the issuer).
        reason: why, where it is not deployed.
        source: fingerprint of the template and the function's code that is meant.
        key_ids: `kid`s of the key set that the function trusts.
        api_url: where messages are posted, as the cloud itself knows it.
        cloud_session: LocalStack's id for the run of itself that this is about; another run has lost everything.
        lost: what was lost since the stack was started, and why; empty while nothing was.
    """

    state: Literal["waiting", "deploying", "deployed", "failed"]
    reason: str = ""
    source: str = ""
    key_ids: list[str] = field(default_factory=list)
    api_url: str = ""
    seconds: float = 0.0
    cloud_session: str = ""
    lost: str = ""

    def write(self, path: Path) -> None:
        """Replace the file in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self), indent=2) + "\n")
        draft.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What stands in the file; None without one."""
        try:
            return cls.parse(path.read_text())
        except FileNotFoundError:
            return None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What a file's text says; None if it is empty."""
        return cls(**json.loads(text)) if text else None


def source_fingerprint(application: Path = APPLICATION) -> str:
    """SHA-256 over names, sizes and modification times of everything that is deployed; cheap enough to ask often.

    A file that is being replaced just now is left out; the next look sees it.
    """
    found = hashlib.sha256()
    for top in (application / "template.yaml", application / "messages"):
        for folder, folders, files in os.walk(top) if top.is_dir() else [(str(top.parent), [], [top.name])]:
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(files):
                path = Path(folder, name)
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue
                named = path.relative_to(application)  # the same in a container
                found.update(f"\0{named}\0{status.st_size}\0{status.st_mtime_ns}".encode())
    return found.hexdigest()


def deployment_failed(detail: str) -> StackError:
    """Say that the deployment failed, with the cloud's own words."""
    return StackError(
        code="deployment_failed",
        sentence="The application could not be deployed to LocalStack.",
        mend="mend lambda/ as the lines above say and save, then make up; make logs S=localstack says more",
        detail=last_lines(detail),
    )
