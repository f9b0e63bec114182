"""The page and the files it names."""

import gzip
import re

import pytest


def addresses(html: str) -> list[str]:
    return re.findall(r'(?:href|src)="(/static/[^"]+)"', html)


def test_page_names_only_files_that_are_there_and_kept_for_good(server):
    """Every file that the page names answers 200 and may be kept for a year without asking again."""
    named = addresses(server.request("/").text)
    assert len(named) > 6
    for address in named:
        answer = server.request(address)
        assert answer.status == 200, address
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_page_is_asked_for_each_time(server):
    """The page itself is never used without asking, because it names the files by content."""
    answer = server.request("/")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_page_is_not_sent_again_to_a_browser_that_has_it(server, encoding):
    """A browser that sends back the tag gets 304 without a body."""
    first = server.request("/", Accept_Encoding=encoding)
    again = server.request("/", Accept_Encoding=encoding, If_None_Match=first.headers["Etag"])
    assert (again.status, again.body) == (304, b"")


def test_compressed_and_plain_forms_have_tags_of_their_own(server):
    """A strong tag names exact bytes, so the two forms of one file never share one."""
    plain, packed = server.request("/"), server.request("/", Accept_Encoding="gzip")
    assert plain.headers["Etag"] != packed.headers["Etag"]
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == plain.body


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, gzip;q=0.5", True),
        ("*", True),
        ("*;q=0, gzip", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("gzip;q=nonsense", False),
        ("x-gzipped", False),
    ],
)
def test_files_are_packed_only_for_who_takes_that(server, accepted, is_packed):
    """Accept-Encoding is read as RFC 9110 has it: a weight of nought refuses, a star stands for all."""
    script = next(name for name in addresses(server.request("/").text) if name.endswith("control.js"))
    answer = server.request(script, Accept_Encoding=accepted)
    assert ("Content-Encoding" in answer.headers) == is_packed
    content = gzip.decompress(answer.body) if is_packed else answer.body
    assert b"class Page" in content


def test_head_answers_like_get_without_the_body(server):
    """HEAD tells the length that GET would send."""
    got, told = server.request("/"), server.request("/", "HEAD")
    assert told.body == b""
    assert told.headers["Content-Length"] == str(len(got.body))


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("js/okta-sign-in.min.js", "text/javascript; charset=utf-8"),
        ("css/okta-sign-in.min.css", "text/css; charset=utf-8"),
        ("font/okticon.woff", "font/woff"),
        ("font/inter.woff2", "font/woff2"),
        ("img/icons/one.png", "image/png"),
        ("labels/json/login_de.json", "application/json"),
        ("LICENSE", "text/plain; charset=utf-8"),
    ],
)
def test_widget_files_have_the_type_that_nosniff_asks_for(server, name, media_type):
    """With sniffing off, a wrong type is a file that does not work; the style sheet's ../img is found beside it."""
    folder = re.search(r'data-widget="([^"]+)"', server.request("/").text).group(1)
    answer = server.request(folder + name)
    assert (answer.status, answer.headers["Content-Type"]) == (200, media_type)


def test_page_changes_address_of_its_script_when_that_is_edited(start, widget_dir, tmp_path):
    """An edited file is served under a new address without a restart, and its old address is gone."""
    from frontend.assets import CLIENT_DIR, Client  # noqa: PLC0415 - the one test below the HTTP surface

    for path in CLIENT_DIR.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    client = Client(tmp_path)
    before = client.tree()
    assert client.tree() is before
    (tmp_path / "control.js").write_text("// edited, and of another length")
    after = client.tree()
    assert after.digest != before.digest
    assert after.files["control.js"].plain() == b"// edited, and of another length"
