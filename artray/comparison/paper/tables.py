"""The paper's tables: each as CSV with plain numbers, as Markdown, and as LaTeX for booktabs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from artray.comparison.differences import Breakdown, breakdown_table
from artray.comparison.paper.texts import cited_latex, cited_plain, latex
from artray.comparison.results import BY_GROUPS, BY_WORKS, FIGURES, Figure, Interval, Results
from artray.comparison.words import FIGURE_NAMES, p_text, unseen_text

_ROWS = 30  # of a breakdown, on paper


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: Of its files.
        caption: One or two sentences, which may cite.
        header: The columns' names.
        rows: As many texts each; the first is a name.
        data: The same in full, as numbers.
    """

    name: str
    caption: str
    header: list[str]
    rows: list[list[str]]
    data: pa.Table

    def markdown(self) -> str:
        """As a Markdown table below its caption."""
        lines = [self.header, ["---", *(["---:"] * (len(self.header) - 1))], *self.rows]
        body = "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)
        return f"{cited_plain(self.caption)}\n\n{body}\n"

    def latex(self) -> str:
        """As a floating table of LaTeX, for the package booktabs."""
        header = " & ".join(latex(text) for text in self.header)
        rows = "\n".join(f"  {' & '.join(latex(text) for text in row)} \\\\" for row in self.rows)
        return (
            "% needs \\usepackage{booktabs}\n"
            "\\begin{table}\n  \\centering\n  \\small\n"
            f"  \\caption{{{cited_latex(self.caption)}}}\n  \\label{{tab:{self.name}}}\n"
            f"  \\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}\n  \\toprule\n  {header} \\\\\n  \\midrule\n"
            f"{rows}\n  \\bottomrule\n  \\end{{tabular}}\n\\end{{table}}\n"
        )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def number(value: float | None, digits: int = 3) -> str:
    """A number as papers print it: `.802`, `−.009`, `1.000`."""
    if value is None:
        return "–"
    text = f"{abs(value):.{digits}f}".removeprefix("0") if abs(value) < 1 else f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(f"{value:.{digits}f}") else text


def bounds(interval: Interval) -> str:
    """An interval: `[.750, .853]`."""
    return f"[{number(interval[0])}, {number(interval[1])}]"


def tables_of(told: Results, broken_down: Sequence[Breakdown]) -> list[Table]:
    """All tables that there is something to say in."""
    tables = [_results(told), *([_pairs(told)] if told.pairs else []), _classes(told)]
    return tables + _breakdowns(told, broken_down)


def _by(told: Results) -> str:
    return BY_GROUPS if told.works.grouped else BY_WORKS


def _with_bounds(figure: Figure, by: str) -> str:
    return f"{number(figure.value)} {bounds(figure.intervals[by])}"


def _results(told: Results) -> Table:
    by = _by(told)
    rows, data = [], []
    for model in told.models:
        rows.append(
            [
                model.name,
                *(_with_bounds(model.figures[name], by) for name in FIGURES),
                number(model.macro_roc_auc),
                number(model.calibration_error),
            ]
        )
        row: dict[str, object] = {"model": model.name, "model_id": model.model_id, "learned_from": model.learned_from}
        for name in FIGURES:
            row[name] = model.figures[name].value
            for unit, (low, high) in model.figures[name].intervals.items():
                row |= {f"{name}_lower_{unit}": low, f"{name}_upper_{unit}": high}
        chance = model.chance
        row |= {"macro_roc_auc": model.macro_roc_auc, "calibration_error": model.calibration_error}
        row |= {"chance_p_works": chance.works, "chance_p_blocks": chance.blocks, "chance_p_within": chance.within}
        data.append(row)
    unit = f"whole groups ({told.groups:,})" if told.works.grouped else "works"
    caption = (
        f"Performance on {len(told.works):,} works {unseen_text(told.works.part)}, with 95 % intervals by drawing "
        f"{unit} again {told.resamples:,} times [@efron]. Always giving the same label would have an accuracy of "
        f"{number(told.majority_share)}."
    )
    header = ["model", *(FIGURE_NAMES[name] for name in FIGURES), "ROC area", "calibration error"]
    return Table("results", caption, header, rows, _table(data))


def _pairs(told: Results) -> Table:
    by = _by(told)
    rows, data = [], []
    for pair in told.pairs:
        rows.append(
            [
                f"{pair.first} − {pair.second}",
                _with_bounds(pair.differences["accuracy"], by),
                _with_bounds(pair.differences["balanced_accuracy"], by),
                f"{pair.mcnemar.first} : {pair.mcnemar.second}",
                p_text(pair.mcnemar_holm),
                *([p_text(pair.groups_holm)] if pair.groups_holm is not None else []),
            ]
        )
        row: dict[str, object] = {"first": pair.first, "second": pair.second}
        for name in FIGURES:
            row[f"{name}_difference"] = pair.differences[name].value
            for unit, (low, high) in pair.differences[name].intervals.items():
                row |= {f"{name}_lower_{unit}": low, f"{name}_upper_{unit}": high}
                row[f"{name}_bootstrap_p_{unit}"] = pair.bootstrap_p[name][unit]
        test = pair.mcnemar
        row |= {"right_first_only": test.first, "right_second_only": test.second, "odds": test.odds}
        row |= {"odds_lower": test.interval[0], "odds_upper": test.interval[1]}
        row |= {"mcnemar_p": test.p, "mcnemar_p_holm": pair.mcnemar_holm}
        row |= {"groups_p": pair.groups_p, "groups_p_holm": pair.groups_holm}
        data.append(row)
    grouped = told.works.grouped
    caption = (
        "Differences between models, first minus second, with 95 % intervals by drawing "
        f"{'whole groups' if grouped else 'works'} again; works that only one of the two has right; p of McNemar's "
        f"exact test [@mcnemar]{' and of a test that swaps the models for whole groups' if grouped else ''}"
        f"{', corrected by Holm [@holm]' if len(told.pairs) > 1 else ''}."
    )
    header = ["", "accuracy", "balanced accuracy", "right alone", "p", *(["p by groups"] if grouped else [])]
    return Table("differences", caption, header, rows, _table(data))


def _classes(told: Results) -> Table:
    rows, data = [], []
    for name in told.works.classes:
        figures = [model.per_class[name] for model in told.models]
        rows.append([name, f"{figures[0]['support']:,}", *(number(each["f1"]) for each in figures)])
        row: dict[str, object] = {"class": name, "works": figures[0]["support"]}
        for model, each in zip(told.models, figures, strict=True):
            for key in ("precision", "recall", "f1", "roc_auc", "average_precision"):
                row[f"{model.name}: {key}"] = each[key]
        data.append(row)
    caption = f"F1 by class, on works {unseen_text(told.works.part)}."
    return Table("classes", caption, ["class", "works", *(model.name for model in told.models)], rows, _table(data))


def _breakdowns(told: Results, broken_down: Sequence[Breakdown]) -> list[Table]:
    found = []
    names = [model.name for model in told.models]
    for number_, column in enumerate(dict.fromkeys(row.column for row in broken_down)):
        rows_of_column = [row for row in broken_down if row.column == column]
        rows = [
            [
                row.value,
                f"{row.n:,}",
                *(
                    f"{number(value)} {bounds(interval)}"
                    for value, interval in zip(row.accuracy, row.intervals, strict=True)
                ),
            ]
            for row in rows_of_column[:_ROWS]
        ]
        more = f" The {_ROWS} with most works of {len(rows_of_column):,}." if len(rows_of_column) > _ROWS else ""
        caption = f"Accuracy by {column}, with 95 % intervals [@clopper].{more}"
        known = column if column in ("artist", "decade", "group") else f"breakdown-{number_}"
        found.append(
            Table(f"by-{known}", caption, [column, "works", *names], rows, breakdown_table(rows_of_column, names))
        )
    return found


def _table(rows: Sequence[dict[str, object]]) -> pa.Table:
    return pa.table({name: [row[name] for row in rows] for name in rows[0]})
