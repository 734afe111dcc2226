"""The documentation: links lead somewhere, commands and imports are there."""

import ast
import importlib
import io
import re
import runpy
import shlex
import sys
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from artray.stations import STATIONS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]

LINK = re.compile(r"!?\[(?:[^\]\\`]|`[^`]*`|\\.)*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.M | re.S)
COMMAND = re.compile(r"^(?:\$ |run |.*-- )?(?:artray |(?:python )?jobs/)([a-z]+(?:[-_][a-z]+)*)(?:\.py)?( .*)?$")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its code."""
    text = FENCE.sub("", page.read_text("utf-8"))
    return re.sub(r"^ {4,}.*$", "", text, flags=re.M) if page.parent != ROOT / "docs" else text


def lines(page: Path) -> list[str]:
    """What a page shows as code, with continued lines joined."""
    text = page.read_text("utf-8")
    blocks = [block for _, _, block in FENCE.findall(text)]
    blocks += re.findall(r"^((?: {4}.*\n)+)", FENCE.sub("", text), re.M)
    blocks += [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(page))]
    joined = re.sub(r" *\\\n *", " ", "\n".join(blocks))
    return [line.strip() for line in joined.splitlines()]


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """The stations that a page's code calls, and what is said to them."""
    found = (COMMAND.match(line) for line in lines(page))
    return [(match[1].replace("-", "_"), shlex.split(match[2] or "", comments=True)) for match in found if match]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files(page):
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        assert not anchor or there.suffix == ".md", target  # that it is there, `mkdocs build --strict` says


def test_pages_outside_docs_are_not_linked_from_it():
    """The site has no more than docs/."""
    for page in PAGES[3:]:
        for target in LINK.findall(prose(page)):
            assert re.match(r"https?:", target) or not target.startswith(("/", "..")), (name(page), target)


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 250


def test_every_picture_is_shown():
    shown = {target for page in PAGES for target in re.findall(r"gans/\w+\.(?:webp|svg)", page.read_text("utf-8"))}
    assert shown == {f"gans/{file.name}" for file in (ROOT / "docs" / "gans").iterdir()}


def test_readme_leads_to_every_page():
    linked = {target.partition("#")[0] for target in LINK.findall(prose(ROOT / "README.md"))}
    assert {f"docs/{page.name}" for page in PAGES[3:]} <= linked


def test_every_published_system_has_its_row_and_tests_that_are_there():
    text = (ROOT / "docs" / "systems.md").read_text("utf-8")
    counts = {"A": 8, "B": 6, "C": 15, "D": 10, "E": 5}
    rows = re.findall(r"^\| ([A-E]\d+) \|", text, re.M)
    assert rows == [f"{letter}{number}" for letter, last in counts.items() for number in range(1, last + 1)]
    guards = set(re.findall(r"`((?:[a-z_]+/)+(?:test_\w+\.py)?|test_\w+\.py)`", text)) - {"tests/"}
    assert len(guards) > 30
    assert not [guard for guard in guards if not (ROOT / "tests" / guard).exists()]


def test_the_start_page_names_every_station():
    rows = re.findall(r"^\| (`artray [^|]*)\|", (ROOT / "docs" / "index.md").read_text("utf-8"), re.M)
    assert {station for row in rows for station in re.findall(r"`(?:artray )?([a-z-]+)`", row)} == set(STATIONS)


def flags(station: str) -> set[str]:
    """What a station's help lists."""
    shown = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(shown):
        patch.setattr(sys, "argv", [station, "--help"])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "jobs" / f"{station}.py"), run_name="__main__")
    assert not ended.value.code
    return set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", shown.getvalue()))


def test_commands_are_there():
    """Each station, flag and config that a command names."""
    found = [(page, station, words) for page in PAGES for station, words in commands(page)]
    stations = {station for _, station, _ in found}
    assert {"ingest", "extract_features", "train", "search", "label_catalog", "report", "compare_gans"} <= stations
    assert all((ROOT / "jobs" / f"{station}.py").exists() for station in stations), stations
    known = {station: flags(station) for station in sorted(stations)}
    configs = {file.stem for file in (ROOT / "jobs" / "configs").glob("*.yaml")}
    for page, station, words in found:
        unknown = {word.partition("=")[0] for word in words if word.startswith("-")} - known[station]
        assert not unknown, (name(page), station, unknown)
        for flag, value in pairwise(words):
            if flag in ("--config", "--gan") and not value.endswith(".yaml") and not value.isupper():
                assert set(value.split(",")) <= configs, (name(page), value)


@pytest.mark.parametrize("page", [page for page in PAGES if "```python" in page.read_text("utf-8")], ids=name)
def test_imports_are_there(page):
    for _, language, block in FENCE.findall(page.read_text("utf-8")):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                assert all(hasattr(module, each.name) for each in node.names), ast.unparse(node)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_yaml_can_be_read(page):
    for _, language, block in FENCE.findall(page.read_text("utf-8")):
        if language == "yaml":
            assert yaml.safe_load(block)
