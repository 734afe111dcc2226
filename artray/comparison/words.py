"""What results are called, and told as: one place, so that page, tables and paper say the same."""

from __future__ import annotations

from artray.comparison.results import BY_GROUPS, BY_WORKS, Pair, Results
from artray.comparison.subjects import Part

FIGURE_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "mean F1",
    "log_loss": "log loss",
}
LEVEL = 0.05
"""Below which a corrected p counts as a difference."""
FEW_GROUPS = 20
"""Of fewer groups their resampling gives intervals that are too short."""


def part_text(part: Part) -> str:
    """Which works these are."""
    if part == "test":
        return "of the test part, which none of them has learned from"
    return "out of fold: each was labelled by the model that had not learned from its fold"


def unseen_text(part: Part) -> str:
    """What is said of these works in captions."""
    return (
        "that no model learned from"
        if part == "test"
        else "each labelled by a model that had not learned from its fold"
    )


def p_text(p: float) -> str:
    """A p as papers print it: `< .001`, `.032`, `1.00`."""
    if p < 0.001:
        return "< .001"
    return f"{p:.3f}".removeprefix("0") if p < 0.995 else "1.00"


def verdict(pair: Pair, grouped: bool) -> str:
    """What can be said of two models, as one sentence."""
    difference = pair.differences["accuracy"]
    low, high = difference.intervals[BY_GROUPS if grouped else BY_WORKS]
    points = 100 * (difference.value or 0.0)
    ends = f"{100 * (low or 0.0):+.1f} to {100 * (high or 0.0):+.1f}".replace("-", "−")
    told = f"{points:+.1f} points of accuracy (95 % interval {ends}; p {_equals(pair.p)})".replace("-", "−")
    if pair.p < LEVEL:
        better, worse = (pair.first, pair.second) if points > 0 else (pair.second, pair.first)
        return f"{better} is better than {worse}: {told}."
    return f"These works don't tell {pair.first} from {pair.second}: {told}."


def _equals(p: float) -> str:
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"


def few_groups(told: Results) -> str | None:
    """A warning where groups are too few to be drawn again."""
    if not told.works.grouped or told.groups >= FEW_GROUPS:
        return None
    return (
        f"There are only {told.groups} groups: intervals by groups are shorter than they should be, and none is sure "
        "for new artists."
    )
