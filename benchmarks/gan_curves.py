"""Scores against time as a chart, and the last scores as a table, from what benchmarks/gan_race.py has written.

    python benchmarks/gan_curves.py RACE… --out FILE.svg [--metrics fid,coverage] [--title TEXT]

RACE is a folder with race.csv, or FOLDER=LABEL for a word behind its configs' names. Several, such as those of configs
that had a process each, make one chart; they must be of the same works and judge. A panel a metric: a line a config, a
mark a look, seconds doubling; dotted what works reach, half against half, and dashed the mean picture. FILE.md gets the
table. Needs `pip install 'artray[paper]'`.
"""

import argparse
import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from artray.gans.scores import CANDIDATES, METRICS

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKS = "osD^vPX"
STYLE = {
    "font.size": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "artray",
    "figure.constrained_layout.use": True,
}
TITLES = {"fid": "FID", "kid": "KID", **{name: name for name in METRICS[2:]}}

Row = dict[str, Any]


def read(races: Sequence[str]) -> tuple[dict[str, list[Row]], dict[str, Row]]:
    """The looks of each config, and what is beside them."""
    looks: dict[str, list[Row]] = {}
    beside: dict[str, Row] = {}
    for race in races:
        folder, _, label = race.partition("=")
        with Path(folder, "race.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                if row["config"] in CANDIDATES:
                    beside[row["config"]] = row
                elif row["fid"]:
                    looks.setdefault(f"{row['config']} {label}".strip(), []).append(row)
    if not looks:
        raise SystemExit(f"{', '.join(races)}: nothing was scored")
    return looks, beside


def chart(looks: dict[str, list[Row]], beside: dict[str, Row], metrics: Sequence[str], title: str) -> Any:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(3.4 * len(metrics), 3))
        panels = figure.subplots(1, len(metrics), squeeze=False)[0]
        for axis, metric in zip(panels, metrics, strict=True):
            for at, (name, rows) in enumerate(looks.items()):
                look = {"color": COLOURS[at % len(COLOURS)], "marker": MARKS[at % len(MARKS)], "markersize": 4}
                seconds, values = ([float(row[key]) for row in rows] for key in ("seconds", metric))
                axis.plot(seconds, values, label=_short(name, looks), linewidth=1.2, **look)
            for name, line in (("mean", "--"), ("works", ":")):
                if name in beside and float(beside[name][metric]) > 0:  # else it is the axis
                    axis.axhline(float(beside[name][metric]), color="0.5", linewidth=0.9, linestyle=line)
                    axis.annotate(
                        CANDIDATES[name],
                        (0.99, float(beside[name][metric])),
                        xycoords=("axes fraction", "data"),
                        xytext=(0, 2),
                        textcoords="offset points",
                        ha="right",
                        fontsize=6.5,
                        color="0.35",
                    )
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter("{x:g}")
            axis.set(xlabel="seconds of training", ylabel=TITLES[metric])
            axis.set_ylim(0, None)
        lines, names = panels[0].get_legend_handles_labels()
        figure.legend(lines, names, loc="outside lower center", ncols=min(len(names), 2 * len(metrics)), fontsize=7)
        if title:
            figure.suptitle(title, fontsize=8)
        return figure


def table(looks: dict[str, list[Row]], beside: dict[str, Row]) -> str:
    lines = ["| | s | steps | FID on the way | " + " | ".join(METRICS[:-1]) + " |", "|---" * (len(METRICS) + 3) + "|"]
    for name, rows in looks.items():
        way = ", ".join(f"{float(row['fid']):.0f}" for row in rows)
        lines.append(f"| `{name}` | {rows[-1]['seconds']} | {rows[-1]['steps']} | {way} | {_figures(rows[-1])} |")
    lines += [f"| {CANDIDATES[name]} | | | | {_figures(row)} |" for name, row in beside.items()]
    return "\n".join(lines) + "\n"


def _short(name: str, names: Iterable[str]) -> str:
    """A config's name, without what was changed of it where no other has the same."""
    short = {one: re.sub(r"\+\S*", "", one) for one in names}
    return short[name] if list(short.values()).count(short[name]) == 1 else name


def _figures(row: Row) -> str:
    return " | ".join("–" if not row[metric] else f"{float(row[metric]):.3g}" for metric in METRICS[:-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("races", nargs="+", metavar="RACE", help="FOLDER or FOLDER=LABEL")
    parser.add_argument("--out", type=Path, required=True, help="the chart, as .svg or .png")
    parser.add_argument("--metrics", default="fid,coverage", help=f"of {', '.join(METRICS)} (default: %(default)s)")
    parser.add_argument("--title", default="")
    options = parser.parse_args()
    looks, beside = read(options.races)
    figure = chart(looks, beside, options.metrics.split(","), options.title)
    metadata = {"Date": None} if options.out.suffix == ".svg" else {}
    figure.savefig(options.out, dpi=200, metadata=metadata)
    told = table(looks, beside)
    options.out.with_suffix(".md").write_text(told)
    print(told, end="")


if __name__ == "__main__":
    main()
