"""The parts that take bytes from functions: whatever comes, nothing is lost and nothing breaks."""

import select
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from process_executor.hot_reload import signature
from process_executor.layers import merge
from process_executor.logs import EventLog, Output
from process_executor.runtime_api import BadRequest, Connection
from process_executor.settings import InvalidSetting, Settings


def framed(text):
    message = text.encode()
    return b"\xa5\x5a\x00\x03" + len(message).to_bytes(4, "big") + (0).to_bytes(8, "big") + message


@given(
    st.lists(st.tuples(st.booleans(), st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))), max_size=8),
    st.data(),
)
def test_output_is_cut_into_the_same_events_however_it_arrives(parts, data):
    """Lines and framed records come out whole and in order, wherever reads fall."""
    stream = b"".join(framed(text) if frame else text.encode() + b"\n" for frame, text in parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    output, events = Output(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += output.feed(stream[start:end])
    expected = [text if frame else text + "\n" for frame, text in parts]
    assert events + output.flush() == [event for event in expected if event]


def test_framed_record_keeps_its_line_breaks():
    """A record is one event; text before it without a newline is one of its own."""
    assert Output().feed(b"before" + framed("a\nb\n") + b"after\n") == ["before", "a\nb\n", "after\n"]


def test_frame_of_an_impossible_length_is_output():
    """Bytes that happen to begin like a record do not swallow what follows."""
    assert Output().feed(b"\xa5\x5a\x00\x03\xff\xff\xff\xff1\n2\n")[-1] == "2\n"


def test_many_short_lines_are_cut_at_once():
    """A buffer full of lines is gone through once, not once for each of them."""
    assert Output().feed(b"y\n" * 1_000_000) == ["y\n"] * 1_000_000


@given(st.binary(max_size=200))
def test_output_takes_any_bytes(data):
    """Bytes of any kind become text."""
    output = Output()
    assert all(isinstance(event, str) for event in output.feed(data) + output.flush())


def test_long_lines_are_cut_to_the_size_of_an_event():
    """CloudWatch Logs takes 256 KiB at most."""
    events = Output().feed(b"x" * 600_000 + b"\n")
    assert "".join(events) == "x" * 600_000 + "\n"
    assert max(map(len, events)) <= 256 * 1024


def test_event_log_has_events_and_is_read_as_text():
    """CloudWatch Logs gets the events; the tail has no INIT_START."""
    events = ("INIT_START Runtime Version: python:3.13.v1\n", "START\n", "two\nlines", "END\n")
    log = EventLog(events)
    assert log == "START\ntwo\nlinesEND\n"
    assert log.events == events


@pytest.fixture
def wire():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as theirs:
        connection = Connection(server.accept()[0])
        yield connection, theirs
        connection.close()


def exchange(wire, *pieces, limit=1000):
    connection, peer = wire
    found = []
    for piece in pieces:
        peer.sendall(piece)
        select.select([connection], [], [], 5)
        connection.read()
        while (request := connection.next_request(limit)) is not None:
            found.append(request)
    return found


def test_request_arrives_in_pieces(wire):
    """A request is taken when it is whole."""
    [request] = exchange(wire, b"POST /a HT", b"TP/1.1\r\nContent-Le", b"ngth: 4\r\nX-Y: z\r\n\r\nab", b"cd")
    assert (request.method, request.path, request.body, request.size) == ("POST", "/a", b"abcd", 4)
    assert request.headers["x-y"] == "z"


def test_requests_may_follow_one_another(wire):
    """Two requests in one packet are two."""
    found = exchange(wire, b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
    assert [request.path for request in found] == ["/1", "/2"]


def test_chunked_body_is_joined_and_its_trailers_kept(wire):
    """A streaming runtime sends chunks, and its error at the end."""
    head = b"POST /r HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    tail = b"0\r\nLambda-Runtime-Function-Error-Type: Late\r\n\r\n"
    [request] = exchange(wire, head, b"3\r\nabc\r\n", b"2;x=y\r\nde\r\n", tail)
    assert request.body == b"abcde"
    assert request.trailers == {"lambda-runtime-function-error-type": "Late"}


def test_body_over_the_limit_is_counted_not_kept(wire):
    """What will be refused need not be stored."""
    [request] = exchange(wire, b"POST /r HTTP/1.1\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000, limit=10)
    assert (request.size, len(request.body)) == (5000, 11)


def test_expectation_is_answered(wire):
    """Curl asks before it sends a large body."""
    assert exchange(wire, b"POST /r HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n") == []
    assert wire[1].recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert exchange(wire, b"ok")[0].body == b"ok"


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http_is_refused(wire, nonsense):
    """Nonsense is a BadRequest, never anything else."""
    with pytest.raises(BadRequest):
        exchange(wire, nonsense)


def test_signature_changes_with_any_file_but_ignored_ones(tmp_path):
    """Content, names, deletions and empty folders count; what is ignored does not."""
    (tmp_path / "package").mkdir()
    file = tmp_path / "package" / "a.py"
    file.write_text("1")
    seen = {signature([tmp_path], ["*.pyc"])}
    file.write_text("22")
    seen.add(signature([tmp_path], ["*.pyc"]))
    (tmp_path / "b.py").write_text("")
    seen.add(signature([tmp_path], ["*.pyc"]))
    (tmp_path / "empty").mkdir()
    seen.add(signature([tmp_path], ["*.pyc"]))
    assert len(seen) == 4
    (tmp_path / "package" / "a.pyc").write_text("")
    assert signature([tmp_path], ["*.pyc"]) in seen


def test_merge_lets_the_last_layer_win(tmp_path):
    """Files of several layers lie over one another, and again when one changed."""
    for name, content in (("one", "1"), ("two", "2")):
        (tmp_path / name / "python").mkdir(parents=True)
        (tmp_path / name / "python" / "same.py").write_text(content)
        (tmp_path / name / f"{name}.txt").write_text(name)
    target = tmp_path / "opt" / "merged"
    for _ in range(2):
        merge([tmp_path / "one", tmp_path / "two"], target)
    assert (target / "python" / "same.py").read_text() == "2"
    assert sorted(path.name for path in target.iterdir()) == ["one.txt", "python", "two.txt"]
    assert (tmp_path / "one" / "python" / "same.py").read_text() == "1"


@pytest.mark.parametrize("last", ["folder", "file", "link"])
@pytest.mark.parametrize("first", ["folder", "file", "link"])
def test_merge_lets_the_last_kind_win_and_follows_no_link(tmp_path, first, last):
    """What a layer has under the name of another's link is not written where that leads."""
    (tmp_path / "outside").mkdir()
    for layer, kind in (("one", first), ("two", last)):
        made = tmp_path / layer / "same"
        (made if kind == "folder" else made.parent).mkdir(parents=True)
        if kind == "link":
            made.symlink_to(tmp_path / "outside")
        else:
            (made / "a.py" if kind == "folder" else made).write_text(layer)
    target = tmp_path / "opt"
    merge([tmp_path / "one", tmp_path / "two"], target)
    same = target / "same"
    found = "link" if same.is_symlink() else "folder" if same.is_dir() else "file"
    assert found == last
    assert last == "link" or (same / "a.py" if found == "folder" else same).read_text() == "two"
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PROCESS_EXECUTOR_ISOLATION": "x"}, "PROCESS_EXECUTOR_ISOLATION=x: use one of auto, namespaces"),
        ({"PROCESS_EXECUTOR_FIRST_UID": "-1"}, "PROCESS_EXECUTOR_FIRST_UID=-1: use a whole number."),
        ({"PROCESS_EXECUTOR_POOL_SIZE": "two"}, "PROCESS_EXECUTOR_POOL_SIZE=two: use a whole number."),
        ({"PROCESS_EXECUTOR_INTERPRETERS": "python3.12"}, "'python3.12' is not runtime=path"),
    ],
)
def test_setting_that_cannot_be_used_is_named(variables, sentence):
    """The message names the setting and what would do."""
    with pytest.raises(InvalidSetting) as caught:
        Settings.from_environment(variables)
    assert sentence in str(caught.value)
