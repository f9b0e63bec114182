"""Messages in one DynamoDB table.

Two kinds of item:

- a message, under a shard of its board (`pk`) and its time (`sk`), so that a board's writes spread over partitions
  and each partition reads newest first;
- a claim, which binds an author and an id to the one place where their message stands. It is written first and only
  if it is not there yet: that makes a repeated POST find the first one's place, however often and whenever it comes.

Every read is strongly consistent. This module imports botocore; it is itself imported only once a token has passed.
"""

import hashlib
import heapq
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Protocol

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from messages.board import BadCursor, IdInUse, Message, NoSuchMessage, Page, StoreUnavailable

BOARD = "main"
# How many partitions a board's messages spread over: each takes a thousand writes a second, and costs every reader a
# query. It may grow, since readers ask all of them; it must never shrink.
SHARDS = 2

CONNECT_TIMEOUT_S = 1
READ_TIMEOUT_S = 3
ATTEMPTS = 3

_TIME_DIGITS = 17
_PLACE_CHARACTERS = _TIME_DIGITS + 1 + 32
_CLAIM = {"S": "claim"}

Item = dict[str, Any]


class Table(Protocol):
    """The calls of DynamoDB's client that the store makes."""

    put_item: Callable[..., Item]
    get_item: Callable[..., Item]
    update_item: Callable[..., Item]
    delete_item: Callable[..., Item]
    query: Callable[..., Item]


class MessageStore:
    """One board's messages."""

    def __init__(self, *, client: Table, table: str, board: str = BOARD) -> None:
        self._client = client
        self._table = table
        self._board = board

    def post(self, *, author: str, text: str, message_id: str | None, now: float) -> Message:
        """Store a message once; see `Board.post`."""
        message_id = message_id or secrets.token_urlsafe(16)
        key = _claim_key(author, message_id)
        place = f"{round(now * 1e6):0{_TIME_DIGITS}d}#{key[:32]}"
        claim = {
            "pk": {"S": f"claim#{key}"},
            "sk": _CLAIM,
            "place": {"S": place},
            "text_digest": {"S": _digest(text)},
        }
        with _reachable():
            first = self._claim(claim)
            if not first:
                claim = self._read_claim(claim["pk"])
                if claim["text_digest"]["S"] != _digest(text) or "deleted" in claim:
                    raise IdInUse
            message = _message(message_id, author, text, claim["place"]["S"])
            self._client.put_item(TableName=self._table, Item=self._item(message))
            # A repeat may cross a deletion: the claim, which the deletion marks first, has the last word.
            if not first and "deleted" in self._read_claim(claim["pk"]):
                self._remove(message.place)
                raise IdInUse
        return message

    def page(self, *, limit: int, cursor: str | None) -> Page:
        """Read a page of messages; see `Board.page`."""
        before = _read_cursor(cursor) if cursor else None
        with _reachable():
            shards = [self._newest_first(shard, before, limit + 1) for shard in range(SHARDS)]
            newest = list(islice(heapq.merge(*shards, key=lambda item: item["sk"]["S"], reverse=True), limit + 1))
        messages = tuple(
            _message(item["id"]["S"], item["author"]["S"], item["text"]["S"], item["sk"]["S"])
            for item in reversed(newest[:limit])
        )
        return Page(messages, _write_cursor(messages[0].place) if len(newest) > limit else None)

    def delete(self, *, author: str, message_id: str) -> None:
        """Delete a message of the author's; see `Board.delete`."""
        key = {"pk": {"S": f"claim#{_claim_key(author, message_id)}"}, "sk": _CLAIM}
        with _reachable():
            answer = _unless_refused(
                self._client.update_item,
                TableName=self._table,
                Key=key,
                UpdateExpression="SET deleted = :yes",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues={":yes": {"BOOL": True}},
                ReturnValues="ALL_NEW",
            )
            if answer is None:
                raise NoSuchMessage
            self._remove(answer["Attributes"]["place"]["S"])

    def _claim(self, claim: Item) -> bool:
        """Write a claim; say whether it is the first of its author and id."""
        answer = _unless_refused(
            self._client.put_item,
            TableName=self._table,
            Item=claim,
            ConditionExpression="attribute_not_exists(pk)",
        )
        return answer is not None

    def _read_claim(self, pk: dict[str, str]) -> Item:
        answer = self._client.get_item(TableName=self._table, Key={"pk": pk, "sk": _CLAIM}, ConsistentRead=True)
        claim: Item = answer["Item"]
        return claim

    def _item(self, message: Message) -> Item:
        return {
            "pk": {"S": self._shard(_shard_of(message.place))},
            "sk": {"S": message.place},
            "id": {"S": message.id},
            "author": {"S": message.author},
            "text": {"S": message.text},
        }

    def _shard(self, number: int) -> str:
        return f"board#{self._board}#{number}"

    def _remove(self, place: str) -> None:
        key = {"pk": {"S": self._shard(_shard_of(place))}, "sk": {"S": place}}
        self._client.delete_item(TableName=self._table, Key=key)

    def _newest_first(self, shard: int, before: str | None, limit: int) -> Iterator[Item]:
        condition, values = "pk = :pk", {":pk": {"S": self._shard(shard)}}
        if before:
            condition, values = "pk = :pk AND sk < :before", values | {":before": {"S": before}}
        request: Item = {
            "TableName": self._table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": False,
            "ConsistentRead": True,
            "Limit": limit,
        }
        while True:
            answer = self._client.query(**request)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def open_client(*, region: str) -> Table:
    """Open a DynamoDB client with short timeouts, and retries that back off with jitter.

    botocore stands in for boto3: the same client, without the 40 ms that importing boto3 adds to a cold start.
    """
    client: Any = get_session().create_client(
        "dynamodb",
        region_name=region or None,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            tcp_keepalive=True,
        ),
    )
    table: Table = client
    return table


@contextmanager
def _reachable() -> Iterator[None]:
    """Turn whatever botocore raises into StoreUnavailable, without its words: they may quote the request."""
    try:
        yield
    except ClientError as error:
        raise StoreUnavailable(f"{error.operation_name}: {error.response['Error']['Code']}") from error
    except BotoCoreError as error:
        raise StoreUnavailable(type(error).__name__) from error


def _unless_refused(call: Callable[..., Item], **request: Any) -> Item | None:
    """Make a conditional call; None when its condition did not hold."""
    try:
        return call(**request)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _claim_key(author: str, message_id: str) -> str:
    # Neither can hold a NUL, so no two pairs share a text.
    return _digest(f"{author}\0{message_id}")


def _shard_of(place: str) -> int:
    # From the hash in the place: evenly spread, and known to whoever knows the place.
    return int(place[-8:], 16) % SHARDS


def _message(message_id: str, author: str, text: str, place: str) -> Message:
    created = datetime.fromtimestamp(int(place[:_TIME_DIGITS]) / 1e6, UTC)
    created_at = created.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return Message(id=message_id, author=author, text=text, created_at=created_at, place=place)


def _write_cursor(place: str) -> str:
    return urlsafe_b64encode(place.encode()).rstrip(b"=").decode()


def _read_cursor(cursor: str) -> str:
    try:
        place = urlsafe_b64decode(cursor.encode("ascii") + b"==").decode("ascii")
    except ValueError:
        raise BadCursor from None
    time, hash_sign, key = place[:_TIME_DIGITS], place[_TIME_DIGITS : _TIME_DIGITS + 1], place[_TIME_DIGITS + 1 :]
    if len(place) != _PLACE_CHARACTERS or not time.isdigit() or hash_sign != "#" or not key.isalnum():
        raise BadCursor
    return place
