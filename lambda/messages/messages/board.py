"""A board of messages, as the function sees it: what it asks for, and what can go wrong.

`store` keeps one in DynamoDB. What is here needs nothing imported, so that a request without a good token costs little.
"""

from dataclasses import dataclass
from typing import Protocol

DEFAULT_LIMIT = 50
MAX_LIMIT = 100


class StoreUnavailable(Exception):
    """The table did not do what was asked of it; answered as 503 `store_unavailable`.

    Its text goes to the log: what failed, never what was to be stored.
    """


class IdInUse(Exception):
    """The author has used this id for another text, or has deleted its message; answered as 409 `id_in_use`."""


class NoSuchMessage(Exception):
    """The author never had a message with this id; answered as 404 `not_found`."""


class BadCursor(ValueError):
    """Not a cursor of this board; answered as 400 `invalid_cursor`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What one person wrote at one time; `place` orders a board's messages and is nobody's business outside."""

    id: str
    author: str
    text: str
    created_at: str
    place: str

    def public(self) -> dict[str, str]:
        """What callers see."""
        return {"id": self.id, "author": self.author, "text": self.text, "created_at": self.created_at}


@dataclass(frozen=True, slots=True)
class Page:
    """Some messages, newest last, and the cursor of the ones before them."""

    messages: tuple[Message, ...]
    next: str | None


class Board(Protocol):
    """What the function asks of a board."""

    def post(self, *, author: str, text: str, message_id: str | None, now: float) -> Message:
        """Store a message once.

        Args:
            author: from the token.
            text: stored as it is.
            message_id: made by the caller, so that a repeat is harmless; None makes one here.
            now: seconds since the epoch.

        Raises:
            IdInUse: the id stands for another text of the author's, or for a deleted message.
            StoreUnavailable: nothing is known to be stored.
        """
        ...

    def page(self, *, limit: int, cursor: str | None) -> Page:
        """Read the newest messages, or the newest of those before a cursor.

        Raises:
            BadCursor: the cursor is none of this board's.
            StoreUnavailable: the messages cannot be read.
        """
        ...

    def delete(self, *, author: str, message_id: str) -> None:
        """Delete a message of the author's; to do so again is harmless.

        Raises:
            NoSuchMessage: the author never had one with this id.
            StoreUnavailable: it is not known to be deleted.
        """
        ...
