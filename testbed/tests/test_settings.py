"""The testbed's settings."""

import errno
import os
from pathlib import Path

import pytest

from testbed.errors import StackError, disk_trouble
from testbed.settings import Settings, misspelt_settings, read_dotenv


def settings(tmp_path: Path, **environment: str) -> Settings:
    return Settings.from_environment(environment, tmp_path / ".env")


def test_settings_default_to_the_contract(tmp_path):
    """Without a variable set, everything is where the README says."""
    found = settings(tmp_path)
    assert found.frontend_url == "http://localhost:8080"
    assert found.issuer == "http://localhost:9400/oauth2/default"
    assert found.api_url == "http://localhost:4566/_aws/execute-api/gatehouse/Prod/api/messages"
    assert found.bind == "127.0.0.1"
    assert found.mode is None


def test_settings_follow_a_moved_port(tmp_path):
    """A port moves the URLs that are made of it."""
    found = settings(tmp_path, IDP_PORT="19400", FRONTEND_PORT="18080")
    assert found.issuer == "http://localhost:19400/oauth2/default"
    assert found.idp_tls_url == "https://localhost:19443"
    assert found.allowed_origins == "http://localhost:18080"


@pytest.mark.parametrize(
    ("bind", "host"),
    [("127.0.0.2", "127.0.0.2"), ("fd00::1", "[fd00::1]"), ("0.0.0.0", "localhost"), ("::1", "localhost")],
)
def test_settings_follow_an_address_that_is_not_localhost(tmp_path, bind, host):
    """What listens on another address only is named by it."""
    found = settings(tmp_path, BIND=bind)
    assert found.frontend_url == f"http://{host}:8080"
    assert found.issuer == f"http://{host}:9400/oauth2/default"
    assert found.cloud_url == f"http://{host}:4566"


def test_settings_let_the_page_and_named_others_call_the_cloud(tmp_path):
    """The page's origin comes first, whatever is added."""
    assert settings(tmp_path).allowed_cloud_origins == "http://localhost:8080"
    found = settings(tmp_path, EXTRA_CORS_ALLOWED_ORIGINS="http://a.test,http://b.test", FRONTEND_PORT="18080")
    assert found.allowed_cloud_origins == "http://localhost:18080,http://a.test,http://b.test"


def test_settings_prefer_the_environment_over_dotenv(tmp_path):
    """A variable in the environment wins over .env, an empty one does not."""
    (tmp_path / ".env").write_text('IDP_PORT=1111\nFRONTEND_PORT="2222"\n')
    found = settings(tmp_path, IDP_PORT="3333", FRONTEND_PORT="")
    assert (found.idp_port, found.frontend_port) == (3333, 2222)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IDP_PORT", "http"),
        ("IDP_PORT", "0"),
        ("IDP_PORT", "65536"),
        ("IDP_PORT", "-1"),
        ("IDP_PORT", "\u0664"),
        ("IDP_PORT", "8080"),
        ("IDP_TLS_PORT", "8080"),
        ("MODE", "docker"),
        ("STACK", "../x"),
        ("WIDGET_ENGINE", "gen3"),
        ("PROCESS_EXECUTOR_ANSWERS", "2025"),
        ("PROCESS_EXECUTOR_CPU_SHARE", "512"),
        ("START_TIMEOUT_S", "soon"),
        ("ALLOWED_HOSTS", "app.test, http://other.test"),
        ("ALLOWED_HOSTS", "app.test:8080"),
        ("ALLOWED_HOSTS", "*"),
    ],
)
def test_settings_refuse_a_value_by_the_name_of_its_variable(tmp_path, name, value):
    """A value that cannot be used is refused at once, and the sentence says which."""
    with pytest.raises(StackError) as refused:
        settings(tmp_path, **{name: value})
    assert refused.value.code == "bad_setting"
    assert name in refused.value.sentence


def test_dotenv_refuses_a_line_without_an_equals_sign(tmp_path):
    """A broken line is named by its number."""
    (tmp_path / ".env").write_text("# fine\nIDP_PORT 9400\n")
    with pytest.raises(StackError, match="Line 2") as refused:
        read_dotenv(tmp_path / ".env")
    assert refused.value.code == "bad_dotenv"


def test_env_example_changes_nothing_when_copied(tmp_path):
    """.env.example lists the defaults: a copy of it gives the same settings as none."""
    example = Path(__file__).parents[2] / ".env.example"
    assert Settings.from_environment({}, example) == settings(tmp_path)


def test_real_okta_org_is_not_taken_for_the_mock(tmp_path):
    """With another issuer no token is minted for the smoke test."""
    assert not settings(tmp_path, OKTA_ISSUER="https://example.okta.com/oauth2/default").uses_mock_issuer
    assert settings(tmp_path).uses_mock_issuer


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FRONTEND_URL", "app.test"),
        ("IDP_PUBLIC_URL", "http://id.test?x=1"),
        ("IDP_TLS_PUBLIC_URL", "https://[::1"),
        ("OKTA_ISSUER", "example.okta.com/oauth2/default"),
        ("ALLOWED_ORIGINS", "http://localhost:8080/"),
        ("EXTRA_CORS_ALLOWED_ORIGINS", "*"),
        ("IDP_CONTROL_NETWORKS", "10.0.0.0/33"),
        ("IDP_LOG_LEVEL", "LOUD"),
        ("OKTA_SCOPES", "profile email"),
        ("OKTA_CLIENT_ID", "two words"),
    ],
)
def test_what_a_service_would_refuse_is_refused_before_it_starts(tmp_path, name, value):
    """A value that no service can use is told with its variable, before anything runs."""
    with pytest.raises(StackError) as refused:
        Settings.from_environment({name: value}, tmp_path / ".env")
    assert refused.value.code == "bad_setting"
    assert refused.value.sentence.startswith(f"{name}=")


def test_misspelt_settings_are_told_with_the_nearest_right_one(tmp_path):
    """In .env, on make's command line and in the environment; what belongs to others is left alone."""
    (tmp_path / ".env").write_text("WIDGET_ENGIN=classic\nCOMPOSE_PROJECT_NAME=x\nOKTA_DOMAINE=y\nSTACK=z\n")
    flags = r"s -- ARGS=-k\ FRONTEND_PROT=1 FRONTEND_PROT=8081 U=bob"
    environment = {
        "MAKEFLAGS": flags,
        "IDP_CONTROL_NETWORK": "10.0.0.0/8",
        "MODEL": "x",
        "OKTA_TOKEN": "y",
        "LANG": "C",
    }
    found = misspelt_settings(environment, tmp_path / ".env")
    assert found == [
        "WIDGET_ENGIN in .env is no setting; WIDGET_ENGINE is.",
        "OKTA_DOMAINE in .env is no setting; .env.example shows all there are.",
        "FRONTEND_PROT in make's command line is no setting; FRONTEND_PORT is.",
        "IDP_CONTROL_NETWORK in the environment is no setting; IDP_CONTROL_NETWORKS is.",
    ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOTDIR])
def test_trouble_with_the_disk_is_a_sentence_with_a_way_out(number):
    """A full or read-only disk is told with the file and what to do."""
    told = str(disk_trouble(OSError(number, os.strerror(number), "/x/.gatehouse/lock")))
    assert told.startswith(f"/x/.gatehouse/lock: {os.strerror(number)}.  [disk]")
    assert "doctor looks" not in told
