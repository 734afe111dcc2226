"""The notebooks run, give what they show, and stand in the documentation."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tools.notebook_pages import is_result, on_page_markdown, page

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
PARAMETERS = "parameters"
"""Tag of the cell that says which collection: Papermill puts another after it."""
NUMBERS = "numbers"
"""Tag of the cells that must give what they show: figures as rounded as a sentence would have them."""

IN_PROCESS = """
from contextlib import ExitStack
from tests.integration.conftest import passes_in_process, trainings_in_process

_stack = ExitStack()
_stack.enter_context(passes_in_process())
_stack.enter_context(trainings_in_process())
"""
"""No worker has to start, and to import TensorFlow."""


def names(path: Path) -> str:
    return path.stem


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def shown(notebook: Any) -> dict[str, list[str]]:
    """What the cells with figures give, in words, by the cell's id; in how many pieces is the kernel's affair."""
    found = {}
    for cell in notebook.cells:
        if NUMBERS in cell.metadata.get("tags", []):
            texts = [
                output.get("text") or output["data"]["text/plain"]
                for output in filter(is_result, cell.outputs)
                if output.output_type != "display_data"
            ]
            found[cell.id] = "\n".join(texts).split()
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=names)
def test_a_notebook_is_as_it_was_run_from_top_to_bottom(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert all(output.output_type != "error" for cell in notebook.cells for output in cell.get("outputs", []))
    assert shown(notebook)
    assert path.stat().st_size < 300_000
    assert str(ROOT) not in path.read_text("utf-8")


def test_what_is_peculiar_to_the_sample_is_said_in_the_cell_that_papermill_changes() -> None:
    """Such as its columns: below that cell, and the one that writes the sample, nothing depends on the collection."""
    for name in ("label-and-publish", "colours-through-time"):
        (cells,) = [read(path).cells for path in NOTEBOOKS if path.stem == name]
        code = [cell for cell in cells if cell.cell_type == "code"]
        tagged = [cell for cell in code if PARAMETERS in cell.metadata.get("tags", [])]
        assert tagged == code[:1]
        assert "write_sample" in code[1].source
        assert not re.search(r"medium|family|collection/", "".join(cell.source for cell in code[2:]))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=names)
def test_a_notebook_gives_what_it_shows(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its figures are the jobs' own: the notebooks look themselves."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    committed = read(path)
    notebook = read(path)
    if "artray.run(" in path.read_text("utf-8"):
        notebook.cells.insert(0, nbformat.v4.new_code_cell(IN_PROCESS))
    client = NotebookClient(notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    client.execute()
    assert shown(notebook) == shown(committed)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=names)
def test_a_notebook_is_a_page(path: Path) -> None:
    body, pictures = page(read(path), path.stem)
    assert body.startswith("# ")
    assert f"notebooks/{path.stem}.md" in (ROOT / "mkdocs.yml").read_text("utf-8")
    assert all(name.startswith(path.stem) and name in body for name in pictures)
    assert "Warning" not in body


def test_links_to_notebooks_lead_to_their_pages() -> None:
    told = on_page_markdown("[a](notebooks/a-b.ipynb), `b.ipynb`, [c](../c.ipynb)")
    assert told == "[a](notebooks/a-b.md), `b.ipynb`, [c](../c.md)"
