"""What can go wrong, each with a stable code, a plain sentence and the command that mends it."""

from dataclasses import dataclass


@dataclass(kw_only=True, eq=False)
class StackError(Exception):
    """A failure that a person can act on.

    Args:
        code: stable, lower case with underscores; scripts may rely on it.
        sentence: what happened, in words.
        mend: the next step, a command where there is one.
        detail: the last lines of whatever failed; may be empty.
    """

    code: str
    sentence: str
    mend: str
    detail: str = ""

    def __str__(self) -> str:
        """One paragraph: the sentence, the code, the detail, the way out."""
        detail = "".join(f"\n  | {line}" for line in self.detail.splitlines())
        return f"{self.sentence}  [{self.code}]{detail}\n  Mend it: {self.mend}"
