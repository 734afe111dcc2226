"""What generated works do for a classifier, as a table and as a page with samples of them: `OUT/augmentation.html`."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

from artray.bundles.generator import SAMPLES
from artray.comparison.augmentation_results import METRICS, RESAMPLES
from artray.comparison.results import BY_GROUPS
from artray.report.sections import section, static_page, table
from artray.storage import Location, remove_written

PAGE = "augmentation.html"
_FOLDER = "augmentation"
_NAMES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "mean F1"}


def told_of(results: Mapping[str, Any]) -> str:
    """What the figures are of, in a few words."""
    over = f"{len(results['seeds'])} seeds"
    if results["gan_seeds"]:
        over = f"{len(results['gan_seeds'])} generators with {over} each"
    return f"{results['rows'][0]['test']} test works, all real; mean ± spread over {over}"


def table_of(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The figures as text: header and rows."""
    rows = results["rows"]
    header = ["generated", "works", *_NAMES.values()]
    regression = all("regression_balanced_accuracy" in row for row in rows)
    header += ["logistic regression, balanced"] if regression else []
    told: dict[str, Any] = next((row["difference"]["balanced_accuracy"] for row in rows if row.get("difference")), {})
    intervals = [by for by in told if by != "value"]
    header += ["more balanced accuracy", *(f"95 %, {by}" for by in intervals)] if told else []
    lines = []
    for row in rows:
        line = [f"{row['share']:g} %", f"{results['works']} + {row['generated']}"]
        line += [f"{row[name]['mean']:.3f} ± {row[name]['spread']:.3f}" for name in METRICS]
        line += [f"{row['regression_balanced_accuracy']:.3f}"] if regression else []
        if told:
            difference = (row.get("difference") or {}).get("balanced_accuracy")
            line += [
                _signed(difference["value"]) if difference else "",
                *(_ends(difference[by]) if difference else "" for by in intervals),
            ]
        lines.append(line)
    return header, lines


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _ends(interval: list[float]) -> str:
    return " to ".join(map(_signed, interval))


def augmentation_page(out: Location, results: Mapping[str, Any], generators: Mapping[int | None, Location]) -> Location:
    """Write the page, over an older one if there is one.

    Args:
        out: The folder.
        results: As in `augmentation.json`.
        generators: The generators' bundles, by seed.

    Returns:
        The page.
    """
    for style in ("page.css", "evaluation.css", "gan.css"):
        (out / style).write_bytes(files("artray.report").joinpath(style).read_bytes())
    remove_written(out, (rf"{_FOLDER}/[\w.-]+\.png",))
    header, rows = table_of(results)
    quiet = [at for at, name in enumerate(header) if name.startswith("95 %")]
    page = static_page(
        "Do generated works help?",
        sections=[
            section("figures", "Figures", escape(_reading(results)), table(header, rows, 3, quiet)),
            _samples(out, generators),
        ],
        styles=("page.css", "evaluation.css", "gan.css"),
        kind="evaluation",
        eyebrow="Classifiers with generated works",
        lead=escape(_lead(results)),
        about=escape(f"generator: {results['generator']}"),
    )
    (out / PAGE).write_bytes(page)
    return out / PAGE


def _lead(results: Mapping[str, Any]) -> str:
    of = "" if results["real"] == 100 else f", {results['real']:g} % of those there are"
    text = f"A classifier learned from {results['works']:,} real works{of}, and from these and generated ones. "
    told = [(row["share"], row["difference"]["balanced_accuracy"]) for row in results["rows"] if row.get("difference")]
    apart = [(share, difference) for share, difference in told if not _holds_zero(difference)]
    if told and not apart:
        text += "Whether these help can't be told from the test works: each difference may as well be none."
    elif apart:
        text += " ".join(
            f"{share:g} % generated works make it {'better' if difference['value'] > 0 else 'worse'}: by "
            f"{_signed(difference['value'])} ({_ends(_widest(difference))})."
            for share, difference in apart
        )
    return text


def _holds_zero(difference: Mapping[str, Any]) -> bool:
    low, high = _widest(difference)
    return low <= 0 <= high


def _widest(difference: Mapping[str, Any]) -> list[float]:
    """The interval that is least sure of anything: by few groups it may be too short, by works of few artists too."""
    intervals: list[list[float]] = [ends for by, ends in difference.items() if by != "value"]
    return max(intervals, key=lambda ends: ends[1] - ends[0])


def _reading(results: Mapping[str, Any]) -> str:
    several = len(results["gan_seeds"]) > 1
    grouped = any(BY_GROUPS in (row.get("difference") or {}).get("accuracy", ()) for row in results["rows"])
    text = f"{told_of(results)}. Always giving the same label is right for {results['rows'][0]['majority_share']:.0%}. "
    text += f"Intervals by drawing the works {'and the generators ' if several else ''}again {RESAMPLES:,} times"
    text += "; and by drawing whole groups, as the split kept them together, which holds for new artists" * grouped
    return text + ("." if several else ". They hold for this generator; --gan-seeds trains several.")


def _samples(out: Location, generators: Mapping[int | None, Location]) -> str:
    items = []
    for seed, bundle in generators.items():
        sheets = [Location(info.uri) for info in (bundle / SAMPLES).list_files()]
        if sheets:
            name = f"{_FOLDER}/{'samples' if seed is None else seed}.png"
            (out / name).write_bytes(sheets[-1].read_bytes())
            told = "Samples, by class" if seed is None else f"Samples of the generator with seed {seed}, by class"
            image = f'<img src="{name}" alt="{told}" loading="lazy">'
            items.append(f"<li><figure>{image}<figcaption>{told}</figcaption></figure></li>")
    return section("samples", "Generated works", "", f'<ul class="sheets">{"".join(items)}</ul>') if items else ""
