"""The examples in the package's docstrings."""

import doctest
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for file in (ROOT / "artray").rglob("*.py")
    if ">>>" in file.read_text("utf-8")
)


@pytest.mark.parametrize("module", MODULES)
def test_examples_give_what_they_say(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with one picture, with NumPy and `Path` at hand; what needs more says `doctest: +SKIP`."""
    Image.new("RGB", (300, 400)).save(tmp_path / "nightwatch.tif")
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(import_module(module), extraglobs={"np": np, "Path": Path})
    assert tried > 0
    assert failed == 0
