"""What the deployer hands to CloudFormation."""

import io

from ruamel.yaml import YAML

from testbed.deployer import TEMPLATE, packaged
from testbed.deployment import Deployment, source_fingerprint


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


def test_source_fingerprint_changes_with_a_saved_file(tmp_path, monkeypatch):
    """Saving a file of the function is seen."""
    monkeypatch.setattr("testbed.deployment.ROOT", tmp_path)
    code = tmp_path / "lambda/messages/messages"
    code.mkdir(parents=True)
    (tmp_path / "lambda/template.yaml").write_text("x")
    (code / "__init__.py").write_text("1")
    before = source_fingerprint()
    assert source_fingerprint() == before
    (code / "__init__.py").write_text("12")
    assert source_fingerprint() != before
