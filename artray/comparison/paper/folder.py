"""OUT/paper/: all that a paper needs, in files that stand for themselves.

README.md                      what is here, with the captions
figures/NAME.svg .pdf .png     figures at print size
tables/NAME.csv .md .tex       tables; the CSV has all digits, and columns that have no room on paper
predictions.csv                a row a work: what is true, and what each model said
methods.md .tex                the methods; data-statement.md .tex
references.bib                 what they cite
paper.tex                      all of it as one document
model-card-N.md                a card a model, in Hugging Face's form
CITATION.cff                   how to cite it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from artray.catalogs.formulas import csv_bytes
from artray.comparison.differences import Breakdown
from artray.comparison.paper.cards import citation, model_card
from artray.comparison.paper.figures import COLUMN, FORMATS, Drawing
from artray.comparison.paper.methods import data_statement, methods
from artray.comparison.paper.references import bibtex
from artray.comparison.paper.tables import Table, tables_of
from artray.comparison.paper.texts import cited_latex, cited_plain, keys_in, latex
from artray.comparison.results import Results
from artray.storage import Location, remove_written

FILES = (
    r"README\.md",
    r"figures/[a-z0-9-]+\.(svg|pdf|png)",
    r"tables/[a-z0-9-]+\.(csv|md|tex)",
    r"predictions\.csv",
    r"(methods|data-statement)\.(md|tex)",
    r"references\.bib",
    r"(paper|figures)\.tex",
    r"model-card-\d+\.md",
    r"CITATION\.cff",
)
"""What the folder holds of ours: all of it is written anew."""


def write_paper(
    folder: Location,
    told: Results,
    broken_down: Sequence[Breakdown],
    predictions: pa.Table,
    *,
    drawn: Sequence[Drawing],
    split: Mapping[str, Any],
    title: str | None = None,
    authors: Sequence[str] = (),
    license: str | None = None,
) -> int:
    """Write the folder, over an older one of ours.

    Args:
        folder: The folder.
        told: What came out.
        broken_down: Accuracies by artist, decade, ….
        predictions: What each model said of each work.
        drawn: The figures; none where they could not be drawn.
        split: By which options the split was dealt (see `methods.split_of`).
        title: Of the publication.
        authors: Of it.
        license: Of the models, by the hub's name for it.

    Returns:
        How many files it holds.
    """
    remove_written(folder, FILES)
    tables = tables_of(told, broken_down)
    paragraphs, statement = methods(told, split), data_statement(told, split)
    files: dict[str, bytes] = {"predictions.csv": csv_bytes(predictions)}
    for figure in drawn:
        files |= {f"figures/{figure.name}.{kind}": figure.files[kind] for kind in FORMATS}
    for table in tables:
        files[f"tables/{table.name}.csv"] = csv_bytes(table.data)
        files[f"tables/{table.name}.md"] = table.markdown().encode()
        files[f"tables/{table.name}.tex"] = table.latex().encode()
    for name, texts in (("methods", paragraphs), ("data-statement", statement)):
        files[f"{name}.md"] = "\n\n".join([*map(cited_plain, texts), ""]).encode()
        files[f"{name}.tex"] = "\n\n".join([*map(cited_latex, texts), ""]).encode()
    captions = [*(figure.caption for figure in drawn), *(table.caption for table in tables)]
    cited = [*paragraphs, *statement, *captions]
    files["references.bib"] = bibtex(key for text in cited for key in keys_in(text)).encode()
    files["figures.tex"] = "\n".join(_figure(figure) for figure in drawn).encode()
    files["paper.tex"] = _document(told, title, authors, tables).encode()
    for at in range(len(told.models)):
        files[f"model-card-{at + 1}.md"] = model_card(told, at, paragraphs, license).encode()
    task = told.works.subjects[0].bundle.task
    files["CITATION.cff"] = citation(task, title, authors).encode()
    files["README.md"] = _readme(told, drawn, tables).encode()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return len(files)


def _figure(figure: Drawing) -> str:
    return (
        f"\\begin{{figure}}\n  \\centering\n  \\includegraphics{{figures/{figure.name}.pdf}}\n"
        f"  \\caption{{{cited_latex(figure.caption)}}}\n"
        f"  \\label{{fig:{figure.name}}}\n\\end{{figure}}\n"
    )


def _document(told: Results, title: str | None, authors: Sequence[str], tables: Sequence[Table]) -> str:
    task = told.works.subjects[0].bundle.task
    inputs = "\n".join(f"\\input{{tables/{table.name}}}" for table in tables)
    return (
        "% All of this folder as one document: pdflatex paper && bibtex paper && pdflatex paper && pdflatex paper.\n"
        "% Names in other scripts than Latin need xelatex or lualatex, and a font that has them.\n"
        "\\documentclass[a4paper]{article}\n"
        "\\usepackage{iftex}\n"
        "\\IfFileExists{lmodern.sty}{\\usepackage{lmodern}}{}\n"
        "\\ifpdftex\n  \\usepackage[T1]{fontenc}\n  \\usepackage[utf8]{inputenc}\n"
        "\\else\n  \\usepackage{fontspec}\n\\fi\n"
        "\\usepackage[margin=20mm]{geometry}\n\\usepackage{booktabs}\n\\usepackage{graphicx}\n\\usepackage[hidelinks]{hyperref}\n"
        f"\\title{{{latex(title or f'[Title]: {task}')}}}\n\\author{{{latex('; '.join(authors) or '[Authors]')}}}\n"
        "\\begin{document}\n\\maketitle\n"
        "\\section{Data}\n\\input{data-statement}\n"
        "\\section{Methods}\n\\input{methods}\n"
        f"\\section{{Results}}\n{inputs}\n\\input{{figures}}\n"
        "\\clearpage\n\\bibliographystyle{plain}\n\\bibliography{references}\n\\end{document}\n"
    )


def _readme(told: Results, drawn: Sequence[Drawing], tables: Sequence[Table]) -> str:
    models = "\n".join(
        f"- {model.name}: `{model.model_id}`, `model-card-{at}.md`" for at, model in enumerate(told.models, 1)
    )
    captions = "\n".join(f"- **{figure.name}**: {cited_plain(figure.caption)}" for figure in drawn)
    told_tables = "\n".join(f"- **{table.name}**: {cited_plain(table.caption)}" for table in tables)
    figures = (
        f"Each as SVG, PDF and PNG (300 dots an inch), {COLUMN * 25.4:.0f} or 174 mm wide, with its fonts inside; they "
        f"can be told apart in grey.\n\n{captions}"
        if drawn
        else "None: they need matplotlib, `pip install 'artray[paper]'`, and the same command again."
    )
    return (
        f"# {told.works.subjects[0].bundle.task}: what a paper needs\n\n{models}\n\n"
        "`predictions.csv` has a row a work: what is true, and what each model said with which scores. `methods` and "
        "`data-statement` say how it was done, as text and LaTeX; what stands in square brackets is for you to fill "
        "in. `references.bib` is what they cite, and `paper.tex` all of it as one document.\n\n"
        f"## Figures\n\n{figures}\n\n"
        f"## Tables\n\nEach as CSV (all digits, more columns), Markdown and LaTeX (booktabs).\n\n{told_tables}\n"
    )
