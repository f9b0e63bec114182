"""What the deployer hands to CloudFormation."""

import io

import pytest
from ruamel.yaml import YAML

from testbed.deployer import TEMPLATE, key_set_age_s, packaged
from testbed.deployment import Deployment, source_fingerprint
from testbed.errors import StackError
from testbed.http import Answer


def without_code(document) -> str:
    for resource in document["Resources"].values():
        resource["Properties"].pop("CodeUri", None)
    out = io.StringIO()
    YAML().dump(document, out)
    return out.getvalue()


def test_packaged_template_differs_only_in_the_place_of_the_code():
    """The template goes to the cloud as it stands; only CodeUri is replaced, as `sam package` does."""
    before = YAML().load(TEMPLATE)
    after = YAML().load(packaged(TEMPLATE, {"Bucket": "b", "Key": "k"}))
    functions = [r for r in after["Resources"].values() if r["Type"] == "AWS::Serverless::Function"]
    assert functions
    for function in functions:
        assert dict(function["Properties"]["CodeUri"]) == {"Bucket": "b", "Key": "k"}
    assert without_code(before) == without_code(after)


def test_packaged_template_keeps_the_intrinsic_functions():
    """!Ref and !Sub are still CloudFormation's tags."""
    assert "!Ref" in packaged(TEMPLATE, {"Bucket": "b", "Key": "k"})


def test_deployment_is_read_as_it_was_written(tmp_path):
    """The file that the deployer writes says to the commands what it meant."""
    path = tmp_path / "deep" / "deployment.json"
    written = Deployment(state="deployed", source="s", key_ids=["k"], api_url="http://localhost", seconds=1.5)
    assert Deployment.read(path) is None
    written.write(path)
    assert Deployment.read(path) == written


def test_source_fingerprint_changes_with_a_saved_file(tmp_path):
    """Saving a file of the function is seen."""
    code = tmp_path / "messages/messages"
    code.mkdir(parents=True)
    (tmp_path / "template.yaml").write_text("x")
    (code / "__init__.py").write_text("1")
    before = source_fingerprint(tmp_path)
    assert source_fingerprint(tmp_path) == before
    (code / "__init__.py").write_text("12")
    assert source_fingerprint(tmp_path) != before


def test_half_written_template_is_told_with_its_line(tmp_path):
    """A template that is no YAML yet is a sentence, not a traceback."""
    template = tmp_path / "template.yaml"
    template.write_text("Resources:\n  Api:\n    Type: AWS::Serverless::Api\n  Function: {Type: [\n")
    with pytest.raises(StackError) as refused:
        packaged(template, {})
    assert refused.value.code == "deployment_failed"
    assert "template.yaml, line 5: this is not YAML" in refused.value.detail


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no Resources"),
        ("Resources:\n", "has no Resources"),
        ("Resources:\n  Function:\n", "line 2: the resource Function has no Type"),
        ("Resources:\n  F:\n    Type: AWS::Serverless::Function\n", "line 2: the function F has no Properties"),
        ("Resources: \x00", "is not YAML"),
        ("Resources: !Ref\n\ta: b", "is not YAML"),
    ],
)
def test_what_is_no_template_is_told_so(tmp_path, text, sentence):
    """Whatever an editor leaves in the file for a moment, the deployer says what is wrong with it."""
    template = tmp_path / "template.yaml"
    template.write_text(text)
    with pytest.raises(StackError) as refused:
        packaged(template, {})
    assert sentence in refused.value.detail


@pytest.mark.parametrize(
    ("said", "seconds"), [("", 300), ("no-cache", 300), ("public, max-age=5", 60), ("max-age=86400", 3600)]
)
def test_real_organisation_is_asked_as_seldom_as_it_says(said, seconds):
    """Its key set's max-age counts, within reason."""
    assert key_set_age_s(Answer(200, {"cache-control": said}, b"")) == seconds
