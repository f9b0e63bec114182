"""Preparing the widget's files, with an npm that takes an archive from this machine."""

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from frontend import widget
from frontend.assets import read_widget
from frontend.tests.servers import ROOT


@pytest.fixture
def npm(tmp_path, archive) -> Path:
    """A program that packs like npm does, from the archive, and counts how often."""
    program = tmp_path / "npm"
    program.write_text(
        f"#!/bin/sh\necho run >> {tmp_path}/runs\n"
        f'for word; do case "$word" in --pack-destination=*) cp {archive} "${{word#*=}}"/widget.tgz;; esac; done\n'
    )
    program.chmod(0o755)
    return program


@pytest.fixture
def lock(monkeypatch, archive) -> widget.Locked:
    """A lock that fits the archive."""
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    package = widget.Locked(version="7.49.0", integrity=f"sha512-{digest}")
    monkeypatch.setattr(widget, "locked", lambda: package)
    return package


def runs(npm: Path) -> int:
    return len((npm.parent / "runs").read_text().splitlines())


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_prepared_folder_holds_what_a_page_needs_and_no_more(npm, lock, tmp_path):
    """Source maps, sources and old font formats stay out; texts are compressed; the licence comes along."""
    widget.prepare(tmp_path / "out", npm=str(npm))
    assert names(tmp_path / "out") == {
        "manifest.json",
        "LICENSE.gz",
        "THIRD-PARTY-NOTICES.gz",
        "css/okta-sign-in.min.css.gz",
        "font/inter.woff2",
        "font/okticon.woff",
        "img/icons/one.png",
        "js/okta-sign-in.min.js.gz",
        "labels/json/login_de.json.gz",
    }
    assert read_widget(tmp_path / "out").files["js/okta-sign-in.min.js"].plain() == b"/* the widget */"


def test_finished_work_is_not_done_again(npm, lock, tmp_path):
    """The second run finds the first one's files and leaves npm alone; --force runs it all the same."""
    widget.prepare(tmp_path / "out", npm=str(npm))
    said = widget.prepare(tmp_path / "out", npm=str(npm))
    assert "is already in" in said
    assert runs(npm) == 1
    widget.prepare(tmp_path / "out", npm=str(npm), force=True)
    assert runs(npm) == 2


def test_damaged_folder_is_prepared_anew(npm, lock, tmp_path):
    """A file that is gone or cut short makes the work unfinished."""
    out = tmp_path / "out"
    widget.prepare(out, npm=str(npm))
    (out / "js/okta-sign-in.min.js.gz").write_bytes(b"")
    widget.prepare(out, npm=str(npm))
    assert runs(npm) == 2
    assert read_widget(out).files["js/okta-sign-in.min.js"].plain() == b"/* the widget */"


def test_other_version_replaces_the_folder_whole(npm, lock, tmp_path, monkeypatch):
    """Files of the former version do not stay among the new one's."""
    out = tmp_path / "out"
    widget.prepare(out, npm=str(npm))
    (out / "img/of-the-former-version.png").write_bytes(b"")
    monkeypatch.setattr(widget, "recipe", lambda: "another way")
    widget.prepare(out, npm=str(npm))
    assert "img/of-the-former-version.png" not in names(out)
    assert {path.name for path in tmp_path.iterdir()} == {"npm", "runs", "out"}


def test_package_that_is_not_the_locked_one_is_refused(npm, tmp_path):
    """An archive with another hash than package-lock.json's is not unpacked, and nothing is left of it."""
    with pytest.raises(widget.WidgetError, match=r"(?s)is not the @okta/okta-signin-widget 7\.49\.0 of package-lock"):
        widget.prepare(tmp_path / "out", npm=str(npm))
    assert {path.name for path in tmp_path.iterdir()} == {"npm", "runs"}


def test_failure_of_npm_is_told_in_its_own_words(lock, tmp_path):
    """What npm said last stands in the message."""
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error network is down' >&2; exit 7\n")
    npm.chmod(0o755)
    with pytest.raises(widget.WidgetError, match=r"(?s)exit status 7.*network is down.*run the same command again"):
        widget.prepare(tmp_path / "out", npm=str(npm))


def test_missing_npm_is_told_with_what_mends_it(tmp_path):
    """The command itself ends with 1 and a sentence."""
    ended = subprocess.run(
        [sys.executable, "-m", "frontend.widget", "--out", tmp_path / "out", "--npm", tmp_path / "no-npm"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "Install Node.js, or name an npm by --npm" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_members_outside_the_package_are_left_out(tmp_path):
    """An archive can't write anywhere but below the folder."""
    import io  # noqa: PLC0415 - for this one hostile archive
    import tarfile  # noqa: PLC0415

    hostile = tmp_path / "hostile.tgz"
    with tarfile.open(hostile, "w:gz") as package:
        for name in ("package/dist/img/../../../out.png", "package/dist/img/ok.png", "/dist/img/abs.png"):
            member = tarfile.TarInfo(name)
            member.size = 1
            package.addfile(member, io.BytesIO(b"x"))
        link = tarfile.TarInfo("package/dist/img/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        package.addfile(link)
    assert [name for name, _ in widget.wanted_files(hostile)] == ["img/ok.png", "img/abs.png"]


def test_command_needs_the_standard_library_only():
    """It runs before anything is installed: isolated from site-packages, it still imports."""
    code = "import sys; sys.path.insert(0, '.'); import frontend.widget"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], cwd=ROOT, check=True)


def test_lock_file_pins_exact_versions_and_names_no_registry():
    """The manifest asks for exact versions, and the lock file holds hashes and no address to fetch from."""
    manifest = json.loads((ROOT / "frontend/package.json").read_text())
    entries = json.loads((ROOT / "frontend/package-lock.json").read_text())["packages"]
    for name, version in manifest["dependencies"].items():
        assert version == entries[f"node_modules/{name}"]["version"]
    assert all("integrity" in entry and "resolved" not in entry for name, entry in entries.items() if name)


def test_environment_names_the_folder(npm, lock, tmp_path, monkeypatch, capsys):
    """Without --out the command fills the folder that the server will look in."""
    monkeypatch.setitem(os.environ, "WIDGET_DIR", str(tmp_path / "named"))
    assert widget.main(["--npm", str(npm)]) == 0
    assert "checked and compressed" in capsys.readouterr().out
    assert "manifest.json" in names(tmp_path / "named")
