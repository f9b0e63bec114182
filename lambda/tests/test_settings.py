"""The function's environment variables: what they mean, and that a wrong one is explained."""

import pytest
from calling import Caller, settings_of
from forgery.issuer import CLIENT_ID, Issuer

from messages.app import Function
from messages.settings import ConfigurationError, Settings

SIGNER = Issuer()


@pytest.mark.parametrize("name", ["OKTA_ISSUER", "OKTA_AUDIENCE", "OKTA_CLIENT_ID", "MESSAGES_TABLE", "OKTA_KEYS"])
@pytest.mark.parametrize("value", ["", "  "])
def test_missing_setting_is_answered_with_503_and_named_in_the_log(name, value, capsys):
    reply = Caller(Function(settings_of(SIGNER, **{name: value}))).form(token=SIGNER.token(), message="hi")
    assert (reply.status, reply.error) == (503, "not_configured")
    assert f"{name}: it is missing or empty" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_ORIGINS", "*"),
        ("ALLOWED_ORIGINS", "null"),
        ("ALLOWED_ORIGINS", "http://localhost:8080/"),
        ("ALLOWED_ORIGINS", "localhost:8080"),
        ("ALLOWED_ORIGINS", "https://*.example"),
        ("ALLOWED_ORIGINS", "https://good.example,ftp://bad.example"),
        ("OKTA_ALGORITHMS", "HS256"),
        ("OKTA_ALGORITHMS", "RS256,none"),
        ("OKTA_LEEWAY_S", "-1"),
        ("OKTA_LEEWAY_S", "301"),
        ("OKTA_LEEWAY_S", "nan"),
        ("OKTA_LEEWAY_S", "a minute"),
        ("OKTA_MAX_AGE_S", "inf"),
        ("OKTA_KEYS_URL", "http://issuer.example/keys"),
        ("OKTA_KEYS_URL", "ftp://issuer.example/keys"),
        ("OKTA_KEYS_URL", "file:///etc/passwd"),
        ("OKTA_KEYS_URL", "issuer.example/keys"),
        ("OKTA_KEYS_URL", "http://localhost.attacker.example/keys"),
        ("OKTA_KEYS_URL", "https://[::1/keys"),
    ],
)
def test_wrong_setting_is_refused_by_name(name, value):
    with pytest.raises(ConfigurationError, match=f"{name}: .+"):
        Settings.from_environment(settings_of(SIGNER, **{name: value}))


def test_lists_take_commas_and_spaces():
    settings = Settings.from_environment(
        settings_of(SIGNER, OKTA_CLIENT_ID="one, two", OKTA_SCOPE="a b", ALLOWED_ORIGINS="http://a,https://b")
    )
    assert settings.policy.client_ids == {"one", "two"}
    assert settings.policy.scopes == {"a", "b"}
    assert settings.allowed_origins == ("http://a", "https://b")


def test_defaults_are_the_documented_ones():
    policy = Settings.from_environment(settings_of(SIGNER)).policy
    assert policy.client_ids == {CLIENT_ID}
    assert policy.algorithms == {"RS256", "PS256", "ES256", "EdDSA"}
    assert policy.token_types == {"", "jwt", "at+jwt"}
    assert (policy.leeway_s, policy.max_age_s, policy.scopes) == (30, None, set())


@pytest.mark.parametrize(
    "url", ["https://issuer.example/keys", "http://localhost:9400/k", "http://127.0.0.1/k", "http://[::1]:1/k"]
)
def test_keys_url_is_https_or_this_machine(url):
    assert Settings.from_environment(settings_of(SIGNER, OKTA_KEYS_URL=url)).keys_url == url


def test_preflight_of_an_unconfigured_function_is_503_with_cors_headers():
    """The page can read why, even then."""
    function = Function(settings_of(SIGNER, OKTA_KEYS="!"))
    reply = Caller(function).request("GET", SIGNER.token())
    assert reply.status == 503
    assert reply.headers["Access-Control-Allow-Origin"] == "http://localhost:8080"
    assert reply.headers["Retry-After"]


def test_changed_environment_is_noticed(monkeypatch):
    """What a test or an operator sets is what counts, not what was set when the module was imported."""
    import messages  # noqa: PLC0415

    for name, value in settings_of(SIGNER, OKTA_KEYS="").items():
        monkeypatch.setenv(name, value)
    assert messages.message({"httpMethod": "GET"}, None)["statusCode"] == 503
    monkeypatch.setenv("OKTA_KEYS", settings_of(SIGNER)["OKTA_KEYS"])
    assert messages.message({"httpMethod": "GET"}, None)["statusCode"] == 401
