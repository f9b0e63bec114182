"""The configuration file is checked at start, and every error names its line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_idp.config import ConfigError, load_config, parse_config

VARIABLES = {"FRONTEND_URL": "http://localhost:8080", "IDP_PUBLIC_URL": "http://localhost:9400"}
GOOD = """\
clients:
  - client_id: app
    redirect_uris: ["${FRONTEND_URL}/"]
    response_types: [code]
personas:
  - login: ann@example.com
    first_name: Ann
    last_name: Other
    password: secret
    claims:
      access_token: {role: admin, level: 3}
authorization_servers:
  - id: default
    audience: api://default
lifetimes:
  code_s: 30
"""


def test_shipped_file_is_good():
    """The file in the package holds the clients and people that the documentation promises."""
    config = load_config(Path(__file__).parents[1] / "personas.yaml", VARIABLES)
    assert list(config.clients) == ["0oatestbed", "demo-spa", "demo-client"]
    assert config.clients["0oatestbed"].redirect_uris == ("http://localhost:8080/",)
    assert config.clients["0oatestbed"].pkce_required
    assert [persona.short_name for persona in config.personas.values()] == [
        "alice",
        "bob",
        "locked",
        "expired",
        "noapp",
    ]
    assert config.servers["default"].audience == "api://default"


def test_values_variables_and_defaults_are_read():
    """Variables are filled in, claims keep their types, what is not said has a default."""
    config = parse_config(GOOD, "f.yaml", VARIABLES)
    assert config.clients["app"].redirect_uris == ("http://localhost:8080/",)
    assert config.personas["ann@example.com"].access_token_claims == {"role": "admin", "level": 3}
    assert (config.lifetimes.code_s, config.lifetimes.access_token_s) == (30, 3600)


@pytest.mark.parametrize(
    ("old", "new", "line", "sentence"),
    [
        ("client_id: app", "client_id: a b", 2, "a client_id has"),
        ("    redirect_uris", "    redirect_urls", 3, "did you mean 'redirect_uris'?"),
        ("${FRONTEND_URL}", "${FRONT}", 3, "${FRONT} is unknown here"),
        ("[code]", "[banana]", 4, "must be one of"),
        ("[code]", "code", 4, "must be a list of texts"),
        ("ann@example.com", "ann", 6, "looks like name@example.com"),
        ("first_name: Ann", "first_name: 7", 7, "must be text"),
        ("    password: secret\n", "", 6, "lacks 'password'"),
        ("access_token: {role: admin, level: 3}", "access: {}", 11, "did you mean 'access_token'?"),
        ("id: default", "id: v1", 13, "not 'v1'"),
        ("id: default", "id: main", 13, "lacks one with the id 'default'"),
        ("code_s: 30", "code_s: soon", 16, "whole number of seconds"),
        ("code_s: 30", "code_s: 0", 16, "1 or more"),
        ("lifetimes:", "lifetime:", 16, "did you mean 'lifetimes'?"),
        ("personas:", "clients:", 5, "twice"),
        ("clients:", "clients: [", 2, "not YAML"),
    ],
)
def test_error_names_the_line_and_what_would_do(old: str, new: str, line: int, sentence: str):
    """Whoever made the mistake is led to it."""
    with pytest.raises(ConfigError) as caught:
        parse_config(GOOD.replace(old, new, 1), "f.yaml", VARIABLES)
    assert f"f.yaml, line {line}: " in str(caught.value)
    assert sentence in str(caught.value)


def test_error_about_a_character_is_one_sentence():
    """What the YAML library says in two lines stands in one."""
    with pytest.raises(ConfigError, match=r"^f\.yaml: not YAML: unacceptable character .*\.$") as caught:
        parse_config("clients: \0", "f.yaml", VARIABLES)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str):
    """Whatever stands in the file, it is a configuration or a ConfigError, never another exception."""
    with pytest.raises(ConfigError):
        parse_config(text, "f.yaml", VARIABLES)
