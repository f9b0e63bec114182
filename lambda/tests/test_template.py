"""The template: what a deployment may do and keeps, and that the function's settings come from it."""

import re
from pathlib import Path

import pytest
import yaml

from messages import _SETTINGS

TEMPLATE = Path(__file__).parent.parent / "template.yaml"


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as one-member mappings."""


def short_form(loader: Loader, suffix: str, node: yaml.Node):
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    return {suffix: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", short_form)


@pytest.fixture(scope="module")
def template():
    return yaml.load(TEMPLATE.read_text(), Loader)


@pytest.fixture(scope="module")
def function(template):
    return template["Resources"]["MessagesFunction"]["Properties"]


def test_function_reads_exactly_the_variables_that_the_template_gives_it(function):
    assert set(function["Environment"]["Variables"]) == set(_SETTINGS) - {"AWS_REGION"}


def test_every_parameter_is_described_and_used(template):
    text = TEMPLATE.read_text()
    for name, parameter in template["Parameters"].items():
        assert parameter["Description"]
        assert re.search(rf"!Ref {name}\b", text)


def test_api_answers_the_four_methods_on_one_path(function):
    endpoints = {(e["Properties"]["Path"], e["Properties"]["Method"]) for e in function["Events"].values()}
    assert endpoints == {("/api/messages", method) for method in ("GET", "POST", "DELETE", "OPTIONS")}


def test_role_may_touch_one_table_and_one_log(template):
    """Least privilege: no star, no action that the function does not make."""
    (policy,) = template["Resources"]["MessagesRole"]["Properties"]["Policies"]
    table, log = policy["PolicyDocument"]["Statement"]
    assert table["Resource"] == {"GetAtt": "MessagesTable.Arn"}
    assert log["Resource"] == {"Sub": "${MessagesLog.Arn}"}
    source = (TEMPLATE.parent / "messages/messages/store.py").read_text()
    calls = {f"dynamodb:{name.title().replace('_', '')}" for name in re.findall(r"_client\.(\w+)", source)}
    assert set(table["Action"]) == calls
    assert "*" not in str(policy)


def test_table_survives_its_stack_and_can_be_restored(template):
    table = template["Resources"]["MessagesTable"]
    assert table["DeletionPolicy"] == "RetainExceptOnCreate"
    assert table["UpdateReplacePolicy"] == "Retain"
    assert table["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_api_is_throttled_and_the_log_ends(template):
    (settings,) = template["Resources"]["MessagesApi"]["Properties"]["MethodSettings"]
    assert 0 < settings["ThrottlingRateLimit"] <= settings["ThrottlingBurstLimit"]
    assert template["Resources"]["MessagesLog"]["Properties"]["RetentionInDays"]


@pytest.mark.parametrize(
    ("origins", "is_taken"),
    [
        ("http://localhost:8080", True),
        ("https://a.example,https://b.example", True),
        ("https://a.example, https://b.example", True),
        ("*", False),
        ("https://a.example/", False),
        ("https://*.example", False),
        ("a.example", False),
        ("", False),
    ],
)
def test_allowed_origin_is_checked_before_anything_is_deployed(template, origins, is_taken):
    pattern = template["Parameters"]["AllowedOrigin"]["AllowedPattern"]
    assert bool(re.search(pattern, origins)) is is_taken
