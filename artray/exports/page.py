"""The table of a model's forms, as Markdown and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from artray.errors import count_of
from artray.exports.forms import FORMS
from artray.report.sections import section, static_page, table
from artray.storage import Location

_HEADER = [
    "form",
    "bytes",
    "compressed",
    "inputs/s",
    "accuracy",
    "balanced",
    "calibration error",
    "label as the model's",
    "largest difference",
]


def rows_of(figures: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table: the model first, then each form that was written.

    Args:
        figures: The contents of `export.json`.
    """
    by_title = {"the model (Keras)": figures["model"]}
    by_title |= {FORMS[name].title: form for name, form in figures["forms"].items() if form["status"] == "ok"}
    return _HEADER, [
        [
            title,
            f"{form['bytes']:,}",
            f"{form['compressed']:,}",
            f"{form['rate']:,.1f}",
            f"{form['accuracy']:.3f}",
            f"{form['balanced_accuracy']:.3f}",
            f"{form['calibration_error']:.3f}",
            f"{form['agreement']:.1%}",
            f"{form['difference']:.1g}",
        ]
        for title, form in by_title.items()
    ]


def markdown(figures: Mapping[str, Any]) -> str:
    """The table with what must be known of it."""
    header, rows = rows_of(figures)
    lines = [f"# {figures['task']}: {figures['model_id']}", "", _lead(figures), ""]
    lines += [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]
    lines += ["", *(f"- {line}" for line in _not_written(figures)), "", _about(figures)]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def write_page(out: Location, figures: Mapping[str, Any]) -> Location:
    """Write `export.html` with its styles, over an older one; the page.

    Args:
        out: The folder.
        figures: As for `rows_of`.
    """
    for style in ("page.css", "evaluation.css"):
        (out / style).write_bytes(files("artray.report").joinpath(style).read_bytes())
    header, rows = rows_of(figures)
    failures = "".join(f"<li>{escape(line)}</li>" for line in _not_written(figures))
    layers = figures["model"]["sparsity"]["layers"]
    pruned = [[name, f"{share:.1%}"] for name, share in layers.items() if share]
    sections = [
        section("forms", "Forms", escape(_about(figures)), table(header, rows, ours=4)),
        section("failed", "Not written", "", f'<ul class="failures">{failures}</ul>') if failures else "",
        section("layers", "Weights that are 0, by layer", "", table(["layer", "share"], pruned, ours=1))
        if pruned
        else "",
    ]
    page = static_page(
        figures["task"],
        sections=sections,
        styles=("page.css", "evaluation.css"),
        kind="evaluation export",
        eyebrow="A model in other forms",
        lead=escape(_lead(figures)),
        about=escape(
            f"Model {figures['model_id']}. Files lie in the folders of the forms; model.json says how they are used."
        ),
        suffix=": forms",
    )
    file = out / "export.html"
    file.write_bytes(page)
    return file


def _lead(figures: Mapping[str, Any]) -> str:
    model = figures["model"]
    sparsity = model["sparsity"]
    told = f"{sparsity['zeros']:,} of {sparsity['parameters']:,} weights are 0"
    told += f" ({sparsity['share']:.1%} of the dense and convolution layers' kernels). "
    works = f"Judged by {count_of(model['works'], 'work')} of the test part"
    works += ", on which the model was trained too." if figures["trained_on_test"] else ", which the model never saw."
    left_out = sum(model["left_out"].values())
    return told + works + (f" {left_out:,} more can't be read." if left_out else "")


def _about(figures: Mapping[str, Any]) -> str:
    return (
        "Bytes of all files, and of each compressed by zlib. Inputs a second through the form alone, 16 at a time, on "
        "the machine that wrote it. Calibration error: how far scores are from how often they are right. Difference: "
        f"of two scores. {figures['model']['representative']:,} works of the training part told 8-bit LiteRT the range "
        "of its numbers."
    )


def _not_written(figures: Mapping[str, Any]) -> list[str]:
    forms = figures["forms"].items()
    return [f"{FORMS[name].title}: {form['error']}" for name, form in forms if form["status"] != "ok"]
