"""What the table holds, and what happens when calls cross, fail or are throttled."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from calling import REGION
from werkzeug.serving import make_server
from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response as HttpResponse

from messages.board import IdInUse, StoreUnavailable
from messages.store import SHARDS, MessageStore, open_client

NOW = 1_795_374_000.0


@pytest.fixture
def store(table):
    client = open_client(region=REGION)
    yield MessageStore(client=client, table=table)
    client.close()


class Interrupted:
    """A client in which something happens before one of its writes."""

    def __init__(self, client, *, write, happening):
        self._client = client
        self._before = {write: happening}
        self._writes = itertools.count(1)

    def __getattr__(self, name):
        return getattr(self._client, name)

    def put_item(self, **request):
        self._before.get(next(self._writes), lambda: None)()
        return self._client.put_item(**request)


def post(store, number, now=NOW):
    return store.post(author="alice", text=str(number), message_id=None, now=now)


def items(dynamodb, table):
    return dynamodb.scan(TableName=table, ConsistentRead=True)["Items"]


def test_messages_spread_over_the_shards(store, dynamodb, table):
    for number in range(40):
        post(store, number, NOW + number)
    shards = {item["pk"]["S"] for item in items(dynamodb, table) if item["pk"]["S"].startswith("board#")}
    assert len(shards) == SHARDS


def test_order_is_by_time_across_the_shards(store):
    for number in (3, 1, 2, 0):
        post(store, number, NOW + number)
    assert [message.text for message in store.page(limit=10, cursor=None).messages] == ["0", "1", "2", "3"]


def test_repeat_completes_a_post_that_was_cut_short(store, table, dynamodb):
    """The claim was written and the message was not: the repeat writes it, where the first would have."""

    def break_off():
        raise StoreUnavailable("cut")

    cut = MessageStore(client=Interrupted(dynamodb, write=2, happening=break_off), table=table)
    with pytest.raises(StoreUnavailable):
        cut.post(author="alice", text="hi", message_id="one", now=NOW)
    assert store.page(limit=10, cursor=None).messages == ()
    again = store.post(author="alice", text="hi", message_id="one", now=NOW + 60)
    assert store.page(limit=10, cursor=None).messages == (again,)
    assert again.created_at == "2026-11-22T19:00:00.000000Z"


def test_repeat_that_crosses_a_deletion_leaves_nothing(store, table, dynamodb):
    """The repeat has read the claim; the deletion comes between that and its writing."""
    store.post(author="alice", text="hi", message_id="one", now=NOW)

    def delete():
        store.delete(author="alice", message_id="one")

    crossing = MessageStore(client=Interrupted(dynamodb, write=2, happening=delete), table=table)
    with pytest.raises(IdInUse):
        crossing.post(author="alice", text="hi", message_id="one", now=NOW)
    assert store.page(limit=10, cursor=None).messages == ()


def test_many_repeats_at_once_store_one_message(store):
    """Sixteen clients send the same message at the same moment."""
    store.post(author="alice", text="before", message_id="zero", now=NOW)
    barrier = threading.Barrier(16)

    def send(_):
        barrier.wait(timeout=30)
        return store.post(author="alice", text="hi", message_id="one", now=NOW + 1)

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(send, range(16)))) == 1
    assert [message.text for message in store.page(limit=10, cursor=None).messages] == ["before", "hi"]


def test_page_reads_on_when_dynamodb_returns_less_than_asked(table, dynamodb, store):
    """A query ends early when its answer grows to a megabyte; the store asks on."""
    for number in range(9):
        post(store, number, NOW + number)

    class Short:
        def query(self, **request):
            return dynamodb.query(**request | {"Limit": 1})

    short = MessageStore(client=Short(), table=table)
    assert [message.text for message in short.page(limit=9, cursor=None).messages] == [str(n) for n in range(9)]


@pytest.fixture
def throttling_url():
    """A DynamoDB that is throttled: it says so to the first calls, then answers an empty page."""
    state = {"calls": 0, "throttled": 2}

    @HttpRequest.application
    def answer(_: HttpRequest) -> HttpResponse:
        state["calls"] += 1
        if state["calls"] <= state["throttled"]:
            body = '{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}'
            return HttpResponse(body, 400, content_type="application/x-amz-json-1.0")
        return HttpResponse('{"Items":[],"Count":0}', content_type="application/x-amz-json-1.0")

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def throttled_store(throttling_url, monkeypatch):
    url, state = throttling_url
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    client = open_client(region=REGION)
    yield MessageStore(client=client, table="messages"), state
    client.close()


def test_throttled_call_is_tried_again(throttled_store):
    store, state = throttled_store
    assert store.page(limit=10, cursor=None).messages == ()
    assert state["calls"] == SHARDS + 2


def test_call_that_stays_throttled_ends_in_store_unavailable(throttled_store):
    store, state = throttled_store
    state["throttled"] = 1000
    with pytest.raises(StoreUnavailable, match="ProvisionedThroughputExceeded"):
        store.page(limit=10, cursor=None)
    assert state["calls"] == 3
