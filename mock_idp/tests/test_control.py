"""The control plane: minting, faults, captured requests, keys, people, clock, isolation, and who may use it."""

import http.client
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from mock_idp.faults import CATALOGUE
from mock_idp.tests.conftest import start_issuer
from mock_idp.tests.wire import Browser, Client, RunningIssuer, basic
from mock_idp.tokens import decode_parts

V1 = "/oauth2/default/v1"
TOKEN_FAULTS = [fault.name for fault in CATALOGUE.values() if fault.group == "token"]


def test_minted_token_is_good_at_userinfo(agent: Browser):
    """A token without a fault is accepted, and the answer says so beforehand."""
    minted = agent.send("/mock/tokens", persona="bob").json
    assert minted["token"] == minted["access_token"]
    assert minted["expect"] == {"accepted": True, "status": 200, "error": None}
    answer = agent.request("GET", f"{V1}/userinfo", headers={"Authorization": f"Bearer {minted['token']}"})
    assert answer.json["preferred_username"] == "bob@example.com"


def test_minted_token_takes_any_claims_and_header(agent: Browser):
    """Claims and header fields are set, changed or taken away at will."""
    minted = agent.send(
        "/mock/tokens",
        persona="alice@example.com",
        client_id="demo-spa",
        scopes=["a", "b"],
        claims={"role": "admin", "ver": None, "aud": ["x", "y"]},
        header={"typ": "JWT"},
        lifetime_s=5,
    ).json
    header, claims = decode_parts(minted["token"])
    assert (header["typ"], claims["role"], claims["aud"], claims["scp"]) == ("JWT", "admin", ["x", "y"], ["a", "b"])
    assert "ver" not in claims
    assert claims["exp"] - claims["iat"] == 5


@pytest.mark.parametrize("fault", TOKEN_FAULTS)
def test_every_token_fault_is_minted_with_its_verdict(agent: Browser, fault):
    """Each fault of the catalogue gives a token and the refusal to expect."""
    minted = agent.send("/mock/tokens", fault=fault.replace("_", "-")).json
    assert minted["fault"] == fault
    assert minted["expect"] == {"accepted": False, "status": 401, "error": "invalid_token"}
    assert len(minted["token"].split(".")) == 3


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"persona": "nobody"}, "unknown_persona"),
        ({"fault": "banana"}, "unknown_fault"),
        ({"fault": "latency"}, "not_a_token_fault"),
        ({"server": "nowhere"}, "unknown_server"),
        ({"kind": "banana"}, "invalid_request"),
        ({"scopes": 7}, "invalid_request"),
        ({"lifetime_s": -1}, "invalid_request"),
        ({"claims": []}, "invalid_request"),
        ({"persna": "alice"}, "invalid_request"),
        ({"fault": "expired", "claims": {"exp": "soon"}}, "invalid_request"),
    ],
)
def test_minting_explains_what_it_cannot_do(agent: Browser, body, error):
    """Wrong orders get a code and a sentence that lists what there is."""
    answer = agent.send("/mock/tokens", **body)
    assert 400 <= answer.status < 500
    assert answer.json["error"] == error
    assert answer.json["error_description"].endswith(".")


def test_catalogue_documents_every_fault(agent: Browser):
    """The catalogue says of each fault what is broken and what a correct client does."""
    catalogue = agent.get("/mock/faults").json["catalogue"]
    assert {fault["name"] for fault in catalogue} == set(CATALOGUE)
    assert all(fault["summary"].endswith(".") and fault["correct"].endswith(".") for fault in catalogue)


def test_token_fault_strikes_once_and_only_in_its_scope(spa: Client):
    """A one-shot fault for one client and persona breaks that one token and no other."""
    spa.browser.send("/mock/faults", fault="wrong_issuer", client_id="demo-spa", persona="alice")
    other = spa.browser.request(
        "POST", f"{V1}/token", form={"grant_type": "client_credentials"}, headers=basic("demo-client", "demo-secret")
    )
    assert "issuer.example.org" not in decode_parts(other.json["access_token"])[1]["iss"]
    assert spa.userinfo(spa.tokens()["access_token"]).status == 401
    assert spa.userinfo(spa.exchange(spa.authorize().redirect["code"]).json["access_token"]).status == 200


def test_lasting_fault_strikes_until_cleared(agent: Browser):
    """once=false stays on until it is deleted."""
    fault = agent.send("/mock/faults", fault="server_error", once=False, path="/keys", parameters={"status": 500})
    assert fault.status == 201
    assert [agent.get(f"{V1}/keys").status for _ in range(3)] == [500, 500, 500]
    assert agent.get("/mock/faults").json["active"][0]["struck"] == 3
    assert agent.request("DELETE", f"/mock/faults/{fault.json['id']}").status == 204
    assert agent.get(f"{V1}/keys").status == 200


def test_rate_limit_names_the_pause(agent: Browser):
    """429 comes with Retry-After, once."""
    agent.send("/mock/faults", fault="rate_limited", parameters={"retry_after_s": 7})
    answer = agent.get(f"{V1}/keys")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    assert agent.get(f"{V1}/keys").status == 200


def test_latency_delays_the_answer(agent: Browser):
    """The answer is whole, but late."""
    agent.send("/mock/faults", fault="latency", parameters={"delay_ms": 300})
    before = time.monotonic()
    assert agent.get(f"{V1}/keys").status == 200
    assert time.monotonic() - before >= 0.3


def test_dropped_connection_sends_nothing(agent: Browser):
    """The connection closes without an answer."""
    agent.send("/mock/faults", fault="dropped_connection")
    with pytest.raises(http.client.RemoteDisconnected):
        agent.get(f"{V1}/keys")
    assert agent.get(f"{V1}/keys").status == 200


def test_truncated_body_is_shorter_than_announced(agent: Browser):
    """Half of the body comes, under the length of the whole."""
    agent.send("/mock/faults", fault="truncated_body")
    with pytest.raises(http.client.IncompleteRead):
        agent.get(f"{V1}/keys")


def test_slow_drip_is_whole_in_the_end(agent: Browser):
    """The body drips, and is complete."""
    agent.send("/mock/faults", fault="slow_drip", parameters={"interval_ms": 1})
    assert agent.get(f"{V1}/keys").json["keys"]


def test_jwks_outage_strikes_the_keys_only(agent: Browser):
    """Only the key set is down."""
    agent.send("/mock/faults", fault="jwks_outage")
    assert agent.get("/oauth2/default/.well-known/openid-configuration").status == 200
    assert agent.get(f"{V1}/keys").status == 503


def kids(agent: Browser) -> list[str]:
    return [key["kid"] for key in agent.get(f"{V1}/keys").json["keys"]]


def signing_kid(agent: Browser) -> str:
    return agent.send("/mock/tokens").json["header"]["kid"]


def test_rotation_overlaps_and_withdrawal_ends_it(agent: Browser):
    """After a rotation both keys are published and the new one signs; withdrawing leaves the new one."""
    old_token = agent.send("/mock/tokens").json["token"]
    old = signing_kid(agent)
    rotated = agent.send("/mock/keys/rotate").json
    assert rotated["previous_kid"] == old
    assert kids(agent) == [rotated["kid"], old] == rotated["published"]
    assert signing_kid(agent) == rotated["kid"]
    headers = {"Authorization": f"Bearer {old_token}"}
    assert agent.request("GET", f"{V1}/userinfo", headers=headers).status == 200
    agent.send("/mock/faults", fault="withdraw_old_key")
    assert kids(agent) == [rotated["kid"]]
    assert agent.request("GET", f"{V1}/userinfo", headers=headers).status == 401


def test_stale_jwks_hides_the_new_key_until_mended(agent: Browser):
    """The set shows the old key only although the new one signs; clearing faults shows both."""
    old = kids(agent)
    agent.send("/mock/faults", fault="stale_jwks")
    assert kids(agent) == old
    assert signing_kid(agent) not in old
    agent.request("DELETE", "/mock/faults")
    assert len(kids(agent)) == 2


def test_same_kid_new_key_changes_the_key_and_not_its_name(agent: Browser):
    """A cache by kid goes wrong: same name, other key."""
    before = agent.get(f"{V1}/keys").json["keys"][0]
    agent.send("/mock/faults", fault="same_kid_new_key")
    after = agent.get(f"{V1}/keys").json["keys"][0]
    assert (before["kid"], before["n"] == after["n"]) == (after["kid"], False)
    agent.request("DELETE", "/mock/faults")
    assert agent.get(f"{V1}/keys").json["keys"][0] == before


def test_namespaces_do_not_see_each_other(running: RunningIssuer):
    """People, clock, faults, keys, sessions and captured requests are a namespace's own."""
    mine, other = running.browser(), running.browser()
    mine.request("PUT", "/mock/personas/zoe@example.com", json_body={"first_name": "Zoe"})
    mine.request("PUT", "/mock/clock", json_body={"offset_s": 10_000})
    mine.send("/mock/faults", fault="server_error", once=False)
    mine.send("/mock/keys/rotate")
    assert other.get(f"{V1}/keys").status == 200
    assert other.send("/mock/tokens", persona="zoe").json["error"] == "unknown_persona"
    assert abs(other.get("/mock/clock").json["now"] - time.time()) < 5
    assert mine.send("/mock/tokens", persona="zoe").status == 200
    paths = [record["path"] for record in mine.get("/mock/requests").json["requests"]]
    assert f"{V1}/keys" not in paths
    mine.send("/mock/reset")
    assert mine.get(f"{V1}/keys").status == 200
    assert mine.send("/mock/tokens", persona="zoe").status == 404


def test_path_prefix_is_a_namespace_with_an_issuer_of_its_own(running: RunningIssuer):
    """`/ns/{name}` stands before every path, and in every URL of the answers."""
    agent = Browser(running.origin)
    metadata = agent.get("/ns/t-path/oauth2/default/.well-known/openid-configuration").json
    assert metadata["issuer"] == f"{running.origin}/ns/t-path/oauth2/default"
    assert metadata["token_endpoint"].startswith(metadata["issuer"])
    claims = agent.send("/ns/t-path/mock/tokens").json["claims"]
    assert claims["iss"] == metadata["issuer"]


@pytest.mark.parametrize("name", ["a b", "x" * 65, "../up", "ö"])
def test_namespace_names_are_checked(running: RunningIssuer, name):
    """A strange name is refused, not taken as something else."""
    answer = Browser(running.origin).request(
        "GET", "/mock/faults", headers={"X-Mock-Namespace": name.encode("latin-1").decode("latin-1")}
    )
    assert answer.json["error"] == "invalid_namespace"


def test_personas_are_added_changed_and_taken_away(agent: Browser):
    """A person put over HTTP can sign in; unspecified fields keep their values."""
    added = agent.request(
        "PUT",
        "/mock/personas/carol@example.com",
        json_body={"groups": ["Ops"], "claims": {"access_token": {"team": "blue"}}},
    )
    assert (added.status, added.json["first_name"], added.json["password"]) == (201, "Carol", "Passw0rd!")
    assert agent.send("/mock/tokens", persona="carol").json["claims"]["team"] == "blue"
    changed = agent.request("PUT", "/mock/personas/carol", json_body={"status": "LOCKED_OUT"})
    assert (changed.status, changed.json["groups"]) == (200, ["Ops"])
    bad = agent.request("PUT", "/mock/personas/carol", json_body={"status": "SLEEPY"})
    assert (bad.status, bad.json["error"]) == (400, "invalid_request")
    assert agent.request("DELETE", "/mock/personas/carol").status == 204
    assert "carol" not in str(agent.get("/mock/personas").json)


def test_captured_requests_hide_secrets(spa: Client):
    """What clients sent is listed by number, with secrets replaced and still comparable."""
    tokens = spa.tokens()
    spa.browser.post(f"{V1}/revoke", client_id="demo-spa", token=tokens["access_token"])
    listed = spa.browser.get("/mock/requests", client_id="demo-spa").json
    text = str(listed)
    assert tokens["access_token"] not in text
    assert spa.pkce.verifier not in text
    exchange = next(record for record in listed["requests"] if record["path"] == f"{V1}/token")
    assert exchange["form"]["grant_type"] == "authorization_code"
    assert exchange["form"]["code_verifier"].startswith("(hidden, 64 characters, sha256 ")
    assert exchange["persona"] == "alice@example.com"
    later = spa.browser.get("/mock/requests", after=str(exchange["seq"])).json["requests"]
    assert [record["path"] for record in later] == [f"{V1}/revoke"]


def test_watcher_may_stay_out_of_the_captured_requests(agent: Browser):
    """Who asks every second for the key set does not drown what others did."""
    agent.request("GET", f"{V1}/keys", headers={"X-Mock-Capture": "off"})
    agent.get(f"{V1}/keys")
    assert len(agent.get("/mock/requests", path="/keys").json["requests"]) == 1


def test_watcher_uses_up_no_fault(agent: Browser):
    """A one-shot fault waits for the client that it is meant for."""
    agent.send("/mock/faults", fault="jwks_outage")
    assert agent.request("GET", f"{V1}/keys", headers={"X-Mock-Capture": "off"}).status == 200
    assert [agent.get(f"{V1}/keys").status for _ in range(2)] == [503, 200]


@pytest.mark.parametrize("change", ["rotate", "withdraw_old_key", "same_kid_new_key"])
def test_key_set_that_changes_answers_who_waits_for_it(agent: Browser, change: str):
    """With If-None-Match and Prefer: wait, the answer comes when the key set is another one."""
    agent.send("/mock/keys/rotate")
    known = agent.get(f"{V1}/keys").headers["ETag"]
    found: list[tuple[int, str, str]] = []

    def wait() -> None:
        answer = agent.request("GET", f"{V1}/keys", headers={"If-None-Match": known, "Prefer": "wait=60"})
        found.append((answer.status, answer.headers["Preference-Applied"], answer.headers["ETag"]))

    waiting = threading.Thread(target=wait)
    waiting.start()
    agent.send("/mock/faults", fault=change)
    waiting.join(timeout=10)
    assert found == [(200, "wait=60", agent.get(f"{V1}/keys").headers["ETag"])]
    assert found[0][2] != known


def test_key_set_that_stays_is_not_sent_again_to_who_waited(agent: Browser):
    """When the time that a client would wait is over, it hears that it has the key set already."""
    known = agent.get(f"{V1}/keys").headers["ETag"]
    answer = agent.request("GET", f"{V1}/keys", headers={"If-None-Match": known, "Prefer": "respond-async, wait=0"})
    assert (answer.status, answer.headers["Preference-Applied"]) == (304, "wait=0")
    at_once = agent.request("GET", f"{V1}/keys", headers={"If-None-Match": '"another"', "Prefer": "wait=60"})
    assert at_once.status == 200


def test_long_poll_returns_as_soon_as_a_request_comes(agent: Browser):
    """A test can wait for the request it expects."""
    found: list[str] = []

    def wait() -> None:
        answer = agent.get("/mock/requests", path="/keys", wait_s="20").json
        found.extend(record["path"] for record in answer["requests"])

    waiting = threading.Thread(target=wait)
    waiting.start()
    agent.get(f"{V1}/keys")
    waiting.join(timeout=10)
    assert found == [f"{V1}/keys"]
    assert agent.get("/mock/requests", path="/nothing", wait_s="0.05").json["requests"] == []


def test_clock_of_a_namespace_moves_what_is_issued(agent: Browser):
    """Tokens are issued and judged by the namespace's clock."""
    token = agent.send("/mock/tokens").json["token"]
    agent.request("PUT", "/mock/clock", json_body={"advance_s": 3601})
    answer = agent.request("GET", f"{V1}/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert answer.status == 401


def test_registration_takes_json_only(agent: Browser):
    """RFC 7591 section 3.1: a body of another type registers nothing."""
    body = b'{"redirect_uris": ["http://localhost:7777/cb"]}'
    answer = agent.request("POST", "/oauth2/v1/clients", body=body, headers={"Content-Type": "text/plain"})
    assert (answer.status, answer.json["error"]) == (400, "invalid_client_metadata")


def test_registered_client_walks_the_flow(agent: Browser):
    """RFC 7591: a registered client gets an id and works like a configured one."""
    registered = agent.send(
        "/oauth2/v1/clients",
        client_name="New",
        redirect_uris=["http://localhost:7777/cb"],
        token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
    )
    assert registered.status == 201
    assert "client_secret" not in registered.json
    client = Client(agent, registered.json["client_id"], "http://localhost:7777/cb")
    assert client.tokens()["access_token"]
    client.redirect_uri += "/"
    assert client.authorize().status == 400


@pytest.mark.parametrize(
    ("metadata", "error"),
    [
        ({"redirect_uris": ["http://example.com/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://example.com/#x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["file:///etc/passwd"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [""]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://e.com; script-src *"]}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": "https://example.com/"}, "invalid_client_metadata"),
        ({"redirect_uris": ["https://e.com/"], "grant_types": ["magic"]}, "invalid_client_metadata"),
        ({"redirect_uris": ["https://e.com/"], "token_endpoint_auth_method": "tls"}, "invalid_client_metadata"),
    ],
)
def test_registration_refuses_what_makes_no_sense(agent: Browser, metadata, error):
    """RFC 7591 section 3.2.2's codes."""
    answer = agent.send("/oauth2/v1/clients", **metadata)
    assert (answer.status, answer.json["error"]) == (400, error)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://[", "http://localhost", ""])
def test_control_plane_refuses_other_sites_pages(running: RunningIssuer, origin: str):
    """A web page cannot use the control plane through a person's browser, nor send the sign-in form."""
    for path in "/mock/tokens", "/mock/reset", "/oauth2/v1/clients", "/signin", "/activate", "/signout":
        answer = Browser(running.origin).request("POST", path, json_body={}, headers={"Origin": origin})
        assert answer.status == 403, path


def test_control_plane_asks_for_the_key_outside_its_networks(tmp_path):
    """Callers of other networks need the configured key."""
    settings = {"IDP_CONTROL_KEY": "open-sesame", "IDP_CONTROL_NETWORKS": "192.0.2.0/24"}
    with start_issuer(tmp_path, **settings) as issuer:
        agent = Browser(issuer.origin)
        assert agent.get("/mock/faults").status == 403
        opened = agent.request("GET", "/mock/faults", headers={"Authorization": "Bearer open-sesame"})
        assert opened.status == 200
        for wrong in "Bearer open-sesam", "open-sesame", "Basic open-sesame":
            assert agent.request("GET", "/mock/faults", headers={"Authorization": wrong}).status == 403


@pytest.mark.parametrize(
    ("answer", "status", "seen"),
    [
        (b"", 502, {"error": "api_unreachable"}),
        (b"what?\r\n\r\n", 502, {"error": "api_unreachable"}),
        (b"HTTP/1.1 431 Too Large\r\nContent-Length: 9\r\n\r\n{", 200, {"status": 431}),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}", 200, {"status": 401, "body": "{}"}),
    ],
)
def test_try_shows_what_an_api_answers_to_an_oversized_token(tmp_path, agent: Browser, answer, status, seen):
    """An API that hangs up on a long header is the API's failure, not a bug of the issuer's; what it said is shown."""
    token = agent.send("/mock/tokens", fault="oversized").json["token"]

    def hang_up(api: socket.socket) -> None:
        called = api.accept()[0]
        with called:
            called.recv(1000)  # and leaves the rest: closing resets the connection
            called.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as api, ThreadPoolExecutor(1) as own_thread:
        hung_up = own_thread.submit(hang_up, api)
        with start_issuer(tmp_path, API_URL=f"http://127.0.0.1:{api.getsockname()[1]}") as issuer:
            tried = Browser(issuer.origin).send("/mock/try", token=token)
            output = issuer.stop()
        hung_up.result()
    assert tried.status == status
    assert seen.items() <= tried.json.items()
    assert "Traceback" not in output
    assert token not in output


def test_try_needs_a_configured_api_and_hides_the_token(tmp_path, running: RunningIssuer, agent: Browser):
    """The workbench calls the configured API only, and shows its verdict without repeating the token."""
    token = agent.send("/mock/tokens", fault="expired").json["token"]
    assert agent.send("/mock/try", token=token).json["error"] == "no_api"
    api = f"{running.origin}{V1}/userinfo"
    with start_issuer(tmp_path, API_URL=api) as issuer:
        tried = Browser(issuer.origin).send("/mock/try", token=token).json
        assert (tried["url"], tried["status"]) == (api, 401)
        assert tried["www_authenticate"].startswith("Bearer error=")
        assert token not in str(tried)


def test_unknown_paths_answer_in_the_shape_of_their_part(running: RunningIssuer):
    """404 is Okta-shaped outside, and the control plane's own inside."""
    agent = Browser(running.origin)
    assert agent.get("/mock/banana").json["error"] == "not_found"
    assert agent.get("/api/v1/banana").json["errorCode"] == "E0000007"
    assert agent.get("/oauth2/nowhere/v1/keys").json["errorCode"] == "E0000007"
    assert urlsplit(running.origin).hostname == "localhost"


def test_fault_can_strike_id_tokens_or_one_persons_requests(spa: Client):
    """parameters.token=id_token spares the access token; a person's fault strikes in that person's session."""
    spa.browser.send("/mock/faults", fault="tampered_signature", parameters={"token": "id_token"})
    tokens = spa.tokens()
    assert spa.userinfo(tokens["access_token"]).status == 200
    logout = spa.browser.get(f"{V1}/logout", id_token_hint=tokens["id_token"])
    assert logout.status == 400
    spa.browser.send("/mock/faults", fault="server_error", persona="alice", once=False)
    assert spa.authorize().status == 503
    spa.browser.cookies.clear()
    assert spa.authorize().status == 302


def test_endpoint_fault_knows_the_client_and_the_person_of_a_token_request(spa: Client):
    """Scopes hold where there is no browser: a client that sends Basic, a person whose code or refresh token comes."""
    agent = spa.browser
    agent.send("/mock/faults", fault="rate_limited", client_id="demo-client")
    form, headers = {"grant_type": "client_credentials"}, basic("demo-client", "demo-secret")
    tokens = spa.tokens("bob@example.com")
    assert agent.request("POST", f"{V1}/token", form=form, headers=headers).status == 429
    assert agent.request("POST", f"{V1}/token", form=form, headers=headers).status == 200
    agent.cookies.clear()
    agent.send("/mock/faults", fault="server_error", persona="bob", path="/token")
    assert agent.request("POST", f"{V1}/token", form=form, headers=headers).status == 200
    refresh = {"grant_type": "refresh_token", "client_id": "demo-spa", "refresh_token": tokens["refresh_token"]}
    assert spa.token(**refresh).status == 503
    assert spa.token(**refresh).status == 200


@pytest.mark.parametrize(
    "body", [b'{"offset_s": NaN}', b'{"offset_s": 1e999}', b'{"advance_s": -Infinity}', b"[]", b"nope"]
)
def test_clock_cannot_be_broken(agent: Browser, body: bytes):
    """A time that is no number leaves the clock as it was."""
    headers = {"Content-Type": "application/json"}
    assert agent.request("PUT", "/mock/clock", body=body, headers=headers).status == 400
    assert agent.get("/mock/clock").json["offset_s"] == 0


def test_tokens_with_impossible_times_are_minted_or_refused(agent: Browser):
    """Claims may be nonsense: that is what tests are for."""
    headers = {"Content-Type": "application/json"}
    for claims in b'{"exp": 1e99}', b'{"exp": "soon"}', b'{"exp": -1}', b'{"exp": null}':
        body = b'{"claims": ' + claims + b"}"
        assert agent.request("POST", "/mock/tokens", body=body, headers=headers).status == 200


def test_fault_parameters_are_kept_within_reason(agent: Browser):
    """A status that is no server error becomes the nearest one."""
    agent.send("/mock/faults", fault="server_error", parameters={"status": 200})
    assert agent.get(f"{V1}/keys").status == 500
    agent.send("/mock/faults", fault="rate_limited", parameters={"retry_after_s": "soon"})
    assert agent.get(f"{V1}/keys").headers["Retry-After"] == "1"
