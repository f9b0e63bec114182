"""`make up` and its kin as a person runs them: real processes on free ports, natively.

One stack serves all the tests that only look at it; those that break things bring their own.
"""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

import psutil
import pytest

from testbed.settings import ROOT
from testbed.tests.stacks import Stack, checkout, own_stack, post


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with own_stack() as running:
        running.up()
        yield running


def listening(stack: Stack) -> dict[int, str]:
    """Port → address, as `ss` shows it, of everything that the stack's processes listen on."""
    mine = {
        socket_.laddr.port
        for process in stack.processes()
        for socket_ in process.net_connections("inet")
        if socket_.status == psutil.CONN_LISTEN
    }
    shown = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    addresses = [line.split()[3].rsplit(":", 1) for line in shown.splitlines()]
    return {int(port): address for address, port in addresses if int(port) in mine}


def test_stack_listens_on_the_loopback_alone(stack):
    """Nobody on the network reaches any port of the stack, those of the functions' environments included."""
    found = listening(stack)
    assert {stack.frontend, stack.idp, stack.idp_tls, stack.cloud} <= set(found)
    assert set(found.values()) <= {"127.0.0.1", "[::1]"}


def test_stack_listens_where_bind_says_and_nowhere_else():
    """With BIND at another address, all four services are there, deployed and smoke-tested, and not on localhost."""
    with own_stack() as stack:
        stack.environment["BIND"] = "127.0.0.2"
        stack.up()
        found = listening(stack)
        services = {found.pop(port) for port in (stack.frontend, stack.idp, stack.idp_tls, stack.cloud)}
        assert services == {"127.0.0.2"}
        assert set(found.values()) <= {"127.0.0.1"}  # between LocalStack and its functions
        assert json.loads(stack.run("status", JSON="1").stdout)["healthy"] is True


def test_what_holds_keys_and_output_is_its_owners(stack):
    """The supervisor's configuration, with the control key in it, and all logs are for nobody else to read."""
    stack.run("token", "alice")
    private = [stack.folder / "supervisord.conf", *(stack.folder / "logs").iterdir()]
    assert len(private) > 5
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in private if path.stat().st_mode & 0o077} == {}


@pytest.mark.parametrize("service", ["frontend", "idp", "cloud"])
def test_page_whose_name_points_here_is_turned_away(stack, service):
    """Every server of the stack answers to its own names only, and says which setting adds one."""
    url = f"http://127.0.0.1:{getattr(stack, service)}/"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, headers={"Host": "rebound.test"}))
    with refused.value as answer:
        assert answer.code == 421
        assert b"ALLOWED_HOSTS" in answer.read()


def test_status_tells_scripts_how_the_stack_is(stack):
    """JSON=1 gives health, URLs, mode, versions and the key ids of issuer and function."""
    answer = stack.run("status", JSON="1")
    found = json.loads(answer.stdout)
    assert answer.returncode == 0
    assert found["healthy"] is True
    assert found["mode"] == "native"
    assert found["page_url"] == f"http://localhost:{stack.frontend}"
    assert found["versions"]["localstack"] == "4.14.0"
    assert found["key_ids"]["issuer"] == found["key_ids"]["function"] != []


def test_up_changes_nothing_on_a_running_stack(stack):
    """A second `make up` finds everything as it should be and says so."""
    before = stack.services()
    answer = stack.run("up")
    assert answer.returncode == 0
    assert "Processes started" not in answer.stdout
    assert stack.services() == before != set()


def test_token_prints_one_token_and_nothing_else(stack):
    """What `make token` prints can be piped on as it is."""
    answer = stack.run("token", "alice")
    assert answer.returncode == 0
    assert answer.stderr == ""
    assert answer.stdout.count(".") == 2
    assert answer.stdout.count("\n") == 1


def test_ca_prints_the_certificate_that_https_is_trusted_by(stack):
    """A client that trusts what `make ca` prints reaches the issuer by https; one that does not is kept away."""
    answer = stack.run("ca")
    assert answer.returncode == 0
    assert answer.stdout.startswith("-----BEGIN CERTIFICATE-----")
    url = f"https://localhost:{stack.idp_tls}/oauth2/default/.well-known/openid-configuration"
    trusting = ssl.create_default_context(cadata=answer.stdout)
    with urllib.request.urlopen(url, context=trusting) as discovery:
        assert json.load(discovery)["issuer"] == f"https://localhost:{stack.idp_tls}/oauth2/default"
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(url, context=ssl.create_default_context())


def test_ca_says_that_the_stack_does_not_run():
    """Without an issuer there is no certificate, and the next step is named."""
    answer = Stack().run("ca")
    assert answer.returncode == 1
    assert "[not_running]" in answer.stderr


def test_up_refuses_a_configuration_that_is_not_there():
    """IDP_CONFIG must name a file, and says so before anything starts."""
    answer = Stack().run("up", IDP_CONFIG="nowhere.yaml")
    assert answer.returncode == 1
    assert "IDP_CONFIG" in answer.stderr
    assert "[bad_setting]" in answer.stderr


def test_people_come_from_the_file_that_idp_config_names(tmp_path):
    """A configuration of one's own replaces the people, the one that the smoke test signs in included."""
    config = tmp_path / "people.yaml"
    config.write_text((ROOT / "mock_idp/personas.yaml").read_text().replace("alice@example.com", "ada@example.com"))
    with own_stack() as stack:
        stack.environment["IDP_CONFIG"] = str(config)
        stack.up()
        assert stack.run("token", "ada").returncode == 0


def test_token_says_why_there_is_none_for_a_stranger(stack):
    """An unknown persona is refused with a sentence, not a traceback."""
    answer = stack.run("token", "mallory")
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "[no_token]" in answer.stderr


def test_unknown_fault_is_answered_with_all_there_are(stack):
    """Whoever mistypes a fault sees those that a token can have, one a line."""
    answer = stack.run("token", "alice", "--fault", "expird")
    assert answer.returncode == 1
    assert "[unknown_fault]" in answer.stderr
    listed = [line.split()[1] for line in answer.stderr.splitlines() if line.startswith("  | ")]
    assert {"expired", "alg_none", "oversized"} <= set(listed)


def test_console_is_named_by_up_and_status(stack):
    """The console is the issuer's origin; both say so."""
    console = f"http://localhost:{stack.idp}/"
    assert console in stack.run("up").stdout.split()
    assert console in stack.run("status").stdout.split()
    assert stack.status()["console_url"] == console


def test_ports_that_are_taken_are_moved_by_one_line_that_keeps_the_stack():
    """The advice names a free port for each and the stack; following it works."""
    with own_stack() as stack, socket.socket() as page, socket.socket() as issuer:
        for holder, port in ((page, stack.frontend), (issuer, stack.idp)):
            holder.bind(("127.0.0.1", port))
            holder.listen()
        answer = stack.run("up")
        assert answer.stderr.count("is taken by") == 2
        advice = dict(word.split("=") for word in answer.stderr.rsplit("make up ", 1)[1].split())
        assert advice.pop("STACK") == stack.name
        assert set(advice) == {"FRONTEND_PORT", "IDP_PORT", "IDP_TLS_PORT"}
        for port in advice.values():
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", int(port)))


def test_file_where_the_folder_belongs_is_told(tmp_path):
    """A file in the place of .gatehouse is a sentence with a way out, not a traceback."""
    root = checkout(tmp_path)
    shutil.rmtree(root / ".gatehouse")
    (root / ".gatehouse").write_text("")
    answer = Stack(root).run("up")
    assert answer.returncode == 1
    assert "[disk]" in answer.stderr
    assert ".gatehouse" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_misspelt_setting_is_named_beside_the_answer(stack):
    """What was typed on make's command line and is no setting is told, and nothing else changes."""
    answer = subprocess.run(
        ["make", "status", "WIDGET_ENGIN=classic"],
        cwd=ROOT,
        env=stack.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0
    assert "note: WIDGET_ENGIN in make's command line is no setting; WIDGET_ENGINE is." in answer.stderr


def test_following_the_logs_ends_quietly(stack):
    """Ctrl-C is how it ends: nothing is said, and that is no failure."""
    process = subprocess.Popen(
        [ROOT / "testbed/launch", "logs", "frontend"],
        env=stack.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 -- the tests have one thread
    )
    assert "The page is at" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")


def test_port_that_is_taken_is_named_with_its_holder():
    """Nothing is started when a port is taken; the message says by whom and how to move ours."""
    with own_stack() as stack, socket.socket() as holder:
        holder.bind(("127.0.0.1", stack.idp))
        holder.listen()
        answer = stack.run("up")
        assert answer.returncode == 1
        assert f"Port {stack.idp} (IDP_PORT) is taken by" in answer.stderr
        assert f"pid {os.getpid()}" in answer.stderr
        assert f"IDP_PORT={stack.idp + 1}" in answer.stderr
        assert stack.processes() == []


def test_service_that_fails_is_told_while_the_others_still_start(tmp_path):
    """One failure ends the waiting for all; it alone is called a failure, with its own words."""
    config = tmp_path / "people.yaml"
    config.write_text("personas: 1\n")
    with own_stack() as stack:
        answer = stack.run("up", IDP_CONFIG=str(config))
        assert answer.returncode == 1
        assert "The service mock-idp stopped" in answer.stderr
        assert [line.split()[1] for line in answer.stdout.splitlines() if line.startswith("FAIL")] == ["mock-idp"]
        assert "localstack" not in answer.stdout
        assert stack.processes() == []


@pytest.mark.parametrize("signals", [(signal.SIGINT,), (signal.SIGTERM, signal.SIGINT, signal.SIGTERM)])
def test_interrupted_up_leaves_nothing_and_the_next_one_works(signals):
    """Signals while the stack starts: one message, no process; the next `make up` succeeds, and `make down` tidies."""
    with own_stack() as stack:
        process = subprocess.Popen(
            [ROOT / "testbed/launch", "up"],
            env=stack.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # In the background, as in `nohup make test &`, the shell has these tests ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 -- the tests have one thread
        )
        for line in process.stdout:
            if "Processes started" in line:
                break
        for number in signals:
            process.send_signal(number)
        _, errors = process.communicate()
        assert process.returncode == 130
        assert errors.strip().count("\n") == 0
        assert "interrupted" in errors
        assert stack.processes() == []
        if len(signals) > 1:
            return

        stack.up()
        started = stack.processes()
        assert started != []
        assert stack.run("down").returncode == 0
        assert [each for each in started if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
        assert stack.processes() == []
        assert not (stack.folder / "tmp").exists()
        assert not (stack.folder / "localstack").exists()


def test_deployer_follows_the_issuers_keys(stack):
    """When the issuer rotates its keys, the function trusts the new ones without anybody deploying by hand."""
    before = json.loads(stack.run("status", JSON="1").stdout)["key_ids"]
    post(f"http://localhost:{stack.idp}/mock/keys/rotate", {})
    stack.up()
    after = json.loads(stack.run("status", JSON="1").stdout)["key_ids"]
    assert sorted(after["function"]) == sorted(after["issuer"])
    assert after != before
