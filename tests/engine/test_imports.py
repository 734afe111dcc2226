"""The engine knows neither labels nor generators."""

import ast
from pathlib import Path

import pytest

import artray

ROOT = Path(artray.__file__).parent
ABOVE = {"bundles", "classifiers", "gans", "labeling", "report"}


def rooms(module: Path) -> set[str]:
    """The rooms of artray that a module imports from, wherever in it."""
    tree = ast.walk(ast.parse(module.read_text()))
    names = [node.module or "" for node in tree if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[1] for name in names if name.startswith("artray.")}


@pytest.mark.parametrize("module", sorted((ROOT / "engine").glob("*.py")), ids=lambda path: path.stem)
def test_the_engine_imports_nothing_from_above(module):
    assert not rooms(module) & ABOVE
