"""What stands beside the code: the package's data, the changelog, how to cite and how to contribute."""

import re
from pathlib import Path

import artray
from tests.citations import read_citation

ROOT = Path(__file__).parents[1]
CHECKED_ONLY = {"types.d.ts", "jsconfig.json"}  # tsc reads them, no page does
NOT_PYTHON = {
    path
    for path in (ROOT / "artray").rglob("*")
    if path.is_file() and path.suffix not in (".py", ".pyc") and path.name not in CHECKED_ONLY
}

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib


def test_every_data_file_is_packaged():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    packaged = {path for pattern in settings["artray"] for path in (ROOT / "artray").glob(pattern) if path.is_file()}
    assert packaged == NOT_PYTHON
    assert ROOT / "artray" / "py.typed" in packaged


def test_the_version_is_the_same_everywhere():
    citation = read_citation((ROOT / "CITATION.cff").read_text())
    released = re.findall(r"^## \[(\d[\w.]*)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert released[0] == (artray.__version__, str(citation["date-released"]))
    assert citation["version"] == artray.__version__
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == [{"name": "The artray developers"}]


def test_the_changelog_is_in_its_form():
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    versions = [line for line in lines if line.startswith("## ")]
    assert versions[0] == "## [Unreleased]"
    sections = {line.removeprefix("### ") for line in lines if line.startswith("### ")}
    assert sections <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_files_that_contributors_are_sent_to_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = [name for name in re.findall(r"`((?:artray|tests)/[\w/.]+)`", text) if "NAME" not in name]
    assert len(named) >= 8
    assert [name for name in named if not (ROOT / name).exists()] == []
