"""The notebooks of docs/notebooks as pages of the site: MkDocs calls this (see mkdocs.yml).

They are shown as they were run last, which the test suite does; nothing is run here. A link to a notebook leads to its
page on the site, and to the notebook on a forge.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

_LINK = re.compile(r"(\]\([\w./-]+)\.ipynb\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add to each notebook its page, and the page's pictures."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        place = PurePosixPath(file.src_uri)
        notebook = nbformat.reads(file.content_string, as_version=4)
        body, pictures = page(notebook, place.stem)
        files.append(File.generated(config, str(place.with_suffix(".md")), content=body))
        for name, content in pictures.items():
            files.append(File.generated(config, str(place.with_name(name)), content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links to notebooks lead to their pages."""
    return _LINK.sub(r"\1.md)", markdown)


def page(notebook: nbformat.NotebookNode, name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by file name; without what jobs and libraries say of their progress.

    Args:
        notebook: With its outputs.
        name: With which the pictures' names begin.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if is_result(output)]
    exporter = MarkdownExporter()
    body, resources = exporter.from_notebook_node(notebook, {"unique_key": name})
    return body, dict(resources["outputs"])


def is_result(output: nbformat.NotebookNode) -> bool:
    """Whether an output is more than a word about progress, which is on standard error, or shown as text."""
    if output.output_type == "display_data":
        return any(kind.startswith("image/") for kind in output.data)
    return bool(output.get("name") != "stderr")
