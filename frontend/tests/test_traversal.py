"""No request leaves the table of files."""

import re

import pytest


@pytest.fixture(scope="module")
def folder(server) -> str:
    return re.search(r"/static/client/[0-9a-f]{16}/", server.request("/").text).group()


@pytest.mark.parametrize(
    "name",
    [
        "../settings.py",
        "..%2fsettings.py",
        "%2e%2e/settings.py",
        "..\\settings.py",
        "....//settings.py",
        "../../../../../../../../etc/passwd",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "control.js%00.css",
        "control.js/",
        "./control.js",
        "CONTROL.JS",
        ".",
        "%",
        "%zz",
    ],
)
def test_names_outside_the_table_are_not_found(server, folder, name):
    """A name that is not in the table is not found, however it is spelled."""
    assert server.request(folder + name).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/static/client/0000000000000000/control.js",
        "/static/widget/0000000000000000/js/okta-sign-in.min.js",
        "/static/other/0000000000000000/control.js",
        "/static/",
        "/static",
        "/client/control.js",
        "/index.html",
        "/package.json",
        "/../settings.py",
        "//etc/passwd",
    ],
)
def test_other_addresses_are_not_found(server, path):
    """Addresses with another hash, and folders of the source, are not served."""
    assert server.request(path).status == 404


@pytest.mark.parametrize("name", ["index.html", "error.html"])
def test_templates_are_not_files(server, folder, name):
    """The HTML that is filled in for each answer is not served raw."""
    assert server.request(folder + name).status == 404
