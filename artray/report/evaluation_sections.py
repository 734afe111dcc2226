"""What the page of an evaluation says, section by section, in one of the pages' languages; all of it HTML."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlencode

from artray.bundles.novelty import GRID
from artray.bundles.thresholds import doubt_of
from artray.classifiers.evaluation import METRICS, metric
from artray.report.charts import COLOURS, Series, band, heat_map, line_chart
from artray.report.languages import Speech
from artray.report.sections import section, table

_PER_CLASS = ("precision", "recall", "f1")


def spaced(name: str) -> str:
    """A column's or task's name as a reader has it."""
    return name.replace("_", " ")


def headings(models: Sequence[tuple[str, str]]) -> list[str]:
    """What stands above the evaluations of models: the task, and of several of one task which of them.

    Args:
        models: Their tasks and `model_id`s.

    Example:
        >>> headings([("art_style", "lda-1f"), ("genre", "lda-22"), ("art_style", "fusion-3c")])
        ['art style: lda-1f', 'genre', 'art style: fusion-3c']
    """
    tasks = [task for task, _ in models]
    return [spaced(task) if tasks.count(task) == 1 else f"{spaced(task)}: {name}" for task, name in models]


def several(evaluation: Mapping[str, Any]) -> bool:
    """Whether a work may have several labels."""
    return evaluation["labels"] in ("multilabel", "several")  # so called by 0.1


def commonest(levels: Mapping[str, Any]) -> str | None:
    """The label of the simple answer, which always gives the same; None where nobody knows."""
    for level in levels.values():
        per_class = (level.get("majority") or {}).get("per_class", {})
        names = [str(name) for name, values in per_class.items() if values.get("recall") == 1]
        if len(names) == 1:
            return names[0]
    return None


def address_of_work(page: str, object_id: str) -> str:
    """Where the curator's page shows a work."""
    return f"{page}#{urlencode({'work': object_id})}"


def address_of_cell(page: str, task: str, truth: str, said: str, *, model: str) -> str:
    """Where the curator's page shows the works of a cell of a model's confusion matrix."""
    return f"{page}#{urlencode({'cell': json.dumps([task, truth, said, model], ensure_ascii=False)})}"


@dataclass(frozen=True)
class EvaluationSections:
    """The sections of a page.

    Attributes:
        evaluation: As in the bundle, with `repeats`: how often the works were dealt into folds; left out: once.
        say: In which language.
        page: The curator's page beside this one, or None.
    """

    evaluation: Mapping[str, Any]
    say: Speech
    page: str | None = None

    @property
    def _artwork(self) -> Mapping[str, Any]:
        level: Mapping[str, Any] = self.evaluation["levels"]["artwork"]
        return level

    def verdict(self) -> str:
        """One sentence for people who are no statisticians."""
        level, constant = self._artwork, self.evaluation["majority_share"]
        name = None if several(self.evaluation) else commonest(self.evaluation["levels"])
        other = self.say("always_saying", label=name) if name else self.say("always_the_same_label")
        accuracy, low = level["accuracy"], level["intervals"]["accuracy"][0]
        if accuracy < constant:
            return self.say("verdict.worse", other=other)
        if doubt_of(self.evaluation["levels"]) or (low is not None and low <= constant):
            return self.say("verdict.no_better", other=other)
        kind = "good" if accuracy >= 0.9 else "useful" if accuracy >= 0.75 else "weak"
        right, simple = (math.floor(10 * share + 0.5) for share in (accuracy, constant))  # as the curator's page
        return self.say(f"verdict.{kind}", right=right, constant=simple, other=other)

    def lead(self) -> str:
        """How good it is, in two sentences."""
        say, level = self.say, self._artwork
        low, high = level["intervals"]["accuracy"]
        key = "ev.lead_all" if several(self.evaluation) else "ev.lead"
        share = f"<strong>{escape(say.percent(level['accuracy']))}</strong>"
        first = escape(say(key, n=level["n"], share="\0", low=say.percent(low), high=say.percent(high)))
        told = [first.replace("\0", share)]
        constant = say.percent(level["majority_share"])
        if level["baseline"]:
            baseline = say.percent(level["baseline"]["accuracy"])
            told.append(escape(say("ev.constant_and_baseline", constant=constant, baseline=baseline)))
        else:
            told.append(escape(say("ev.constant", constant=constant)))
        doubt = doubt_of(self.evaluation["levels"])
        if doubt and say.language != "en":  # its own words, which name the figures, are English
            doubt = say("doubted")
        return " ".join([*told, *([f"<strong>{escape(doubt)}</strong>"] if doubt else [])])

    def summary(self) -> str:
        """The verdict, and a band with the interval."""
        level = self._artwork
        low, high = level["intervals"]["accuracy"]
        constant = level["majority_share"]
        chart = ""
        if low is not None and high is not None:
            told = self.say(
                "band", low=self.say.percent(low), high=self.say.percent(high), constant=self.say.percent(constant)
            )
            drawn = band(told, low, high, level["accuracy"], constant)
            chart = f'<figure class="band">{drawn}<figcaption class="hint">{escape(told)}</figcaption></figure>'
        words = f'<p class="verdict-words">{escape(self.verdict())}</p>'
        return f'<section id="verdict"><h2>{escape(self.say("ev.verdict"))}</h2>{words}{chart}</section>'

    def metrics(self, level: str, values: Mapping[str, Any]) -> str:
        """All figures of a level."""
        say, rows, explained = self.say, [], []
        for name in METRICS:
            value = metric(values, name)
            if value is None and name == "hamming_loss":
                continue
            majority = _number(metric(values["majority"], name))
            baseline = [_number(metric(values["baseline"], name))] if values["baseline"] else []
            interval = _range(values["intervals"].get(name), say)
            rows.append([say(f"ev.metric.{name}"), _number(value), interval, majority, *baseline])
            explained.append(say(f"ev.why.{name}"))
        error = self.evaluation["calibration"][level]["after"]["ece"]
        rows.append([say("ev.metric.calibration"), _number(error), "", "", ""][: len(rows[0])])
        explained.append(say("ev.why.calibration"))
        header = [say("ev.figure"), say("ev.this_model"), say("ev.interval"), say("ev.same_label")]
        hint = say("ev.intervals_how")
        if values["baseline"]:
            header.append(say("ev.regression"))
            hint += " " + say("ev.regression_saw", columns=", ".join(map(spaced, values["baseline"]["columns"])))
        title = say("ev.per_work" if level == "artwork" else "ev.per_patch", n=values["n"])
        body = table(header, rows, 1, (2,), explained=explained)
        return section(f"figures-{level}", escape(title), escape(hint), body)

    def folds(self) -> str:
        """The folds' models, where there are some."""
        say, folds = self.say, self.evaluation.get("folds")
        if not folds:
            return ""
        rows = []
        for name in METRICS:
            if values := folds["figures"].get(name):
                each = [f"{value:.3f}" for value in values["values"]]
                rows.append([say(f"ev.metric.{name}"), f"{values['mean']:.3f}", f"± {values['spread']:.3f}", *each])
        header = [
            say("ev.figure"),
            say("ev.mean"),
            say("ev.spread"),
            *(say("ev.fold", number=str(n)) for n in range(folds["n"])),
        ]
        times = self.evaluation.get("repeats", 1)
        title = say("ev.folds", n=folds["n"] // times)
        if times > 1:
            title = say("ev.folds_repeated", folds=title, n=times)
        return section("folds", escape(title), escape(say("ev.folds_hint")), table(header, rows, 1, (2,)))

    def classes(self) -> str:
        """The figures of each class."""
        say, level = self.say, self._artwork
        baseline = level["baseline"]
        header = [say("ev.class"), say("view.works")]
        for key in _PER_CLASS:
            header += [say(f"ev.{key}"), "95 %", *([say("ev.regression_short")] if baseline else [])]
        header += [say("ev.f1_same"), say("ev.roc_area"), say("ev.average_precision")]
        rows = []
        for name in self.evaluation["classes"]:
            values = level["per_class"][name]
            row = [name, say.number(values["support"])]
            for key in _PER_CLASS:
                row += [_number(values[key]), _range(values["intervals"][key], say)]
                row += [_number(baseline["per_class"][name][key])] if baseline else []
            row += [_number(level["majority"]["per_class"][name]["f1"])]
            rows.append([*row, _number(values["roc_auc"]), _number(values["average_precision"])])
        hint = say("ev.classes_hint")
        if self.evaluation.get("thresholds"):
            told = ", ".join(f"{name} {threshold:.2f}" for name, threshold in self.evaluation["thresholds"].items())
            hint += " " + say("ev.said_from", thresholds=told)
        width = 3 if baseline else 2
        body = table(header, rows, 0, range(3, 3 + 3 * width, width))
        return section("classes", escape(say("ev.per_class")), escape(hint), body)

    def confusion(self) -> str:
        """What is taken for what; cells lead to their works."""
        say, classes, page = self.say, self.evaluation["classes"], self.page
        links = None
        if page:
            task, model = self.evaluation["task"], self.evaluation["model_id"]
            links = [[address_of_cell(page, task, truth, said, model=model) for said in classes] for truth in classes]
        title, rows, columns = say("ev.confusion"), say("ev.true_class"), say("ev.given_label")
        chart = heat_map(title, self._artwork["confusion"], classes, rows, columns, links=links)
        hint = say("ev.confusion_several" if several(self.evaluation) else "ev.confusion_hint")
        if page:
            hint += " " + say("confusion_opens")
        body = f'<div class="charts"><figure class="wide">{chart}</figure></div>'
        return section("confusion", escape(say("ev.confusion_title")), escape(hint), body)

    def curves(self) -> str:
        """ROC, precision and recall."""
        say, level, curves = self.say, self._artwork, self.evaluation["curves"]["artwork"]
        figures = []
        for key, area, chance in (
            ("roc", "roc_auc", [(0.0, 0.0), (1.0, 1.0)]),
            ("precision_recall", "average_precision", []),
        ):
            series = [Series("", chance, dashed=True)] if chance else []
            for number, name in enumerate(self.evaluation["classes"]):
                if curves[name][key] is not None:
                    value = _number(level["per_class"][name][area])
                    points = [(first, second) for first, second in curves[name][key]]
                    series.append(Series(f"{name} {value}", points, number % COLOURS))
            title, x, y = say(f"ev.{key}"), say(f"ev.{key}_x"), say(f"ev.{key}_y")
            figures.append(_figure(title, line_chart(title, series, x, y)))
        return section("curves", escape(say("ev.curves")), escape(say("ev.curves_hint")), _charts(figures))

    def kept(self) -> str:
        """Which labels are certain, and what that is worth; nothing where evaluations of before don't say it."""
        say, kept, abstain = self.say, self._artwork.get("kept"), self.evaluation.get("abstain")
        if not kept or not abstain:
            return ""
        points = [(share, precision) for _, share, precision in kept["curve"]]
        goal = abstain["target"]
        asked = Series(say("ev.asked_for", share=say.percent(goal)), [(0, goal), (1, goal)], dashed=True)
        series = [asked, Series(say("ev.test_part"), points, 1)]
        if kept["threshold"] is not None and kept["precision"] is not None:
            series.append(Series(say("ev.certain"), [(kept["share"], kept["precision"])], 0, marked=True))
        title = say("ev.kept_title")
        chart = line_chart(title, series, say("ev.kept_x"), say("ev.kept_y"))
        rows = [[say("ev.all"), _number(kept["share"]), _number(kept["precision"]), _range(kept["interval"], say)]]
        rows += [
            [name, _number(each["share"]), _number(each["precision"]), ""] for name, each in kept["by_class"].items()
        ]
        hint = f"{_certain(abstain, say)} {say('ev.kept_hint', n=kept['groups'])}"
        header = [say("label"), say("ev.kept_share"), say("ev.right_of_these"), "95 %"]
        body = _charts([_figure(title, chart)]) + table(header, rows, 0, (3,))
        return section("kept", escape(say("ev.certain_title")), escape(hint), body)

    def calibration(self) -> str:
        """What a score means."""
        say, figures = self.say, []
        for level, bins in self.evaluation["calibration"].items():
            series = [Series("", [(0, 0), (1, 1)], dashed=True)]
            for number, key in enumerate(("before", "after")):
                points = [(item["confidence"], item["accuracy"]) for item in bins[key]["bins"] if item["n"]]
                name = say(f"ev.scores_{key}", error=_number(bins[key]["ece"]))
                series.append(Series(name, points, 1 - number, marked=True))
            numbers = [item["n"] for item in bins["after"]["bins"]]
            title = say("ev.calibration_title" if level == "artwork" else "ev.calibration_patch")
            heights = [n / max(numbers) for n in numbers]
            figures.append(_figure(title, line_chart(title, series, say("score"), say("ev.share_right"), bars=heights)))
        hint = say("ev.calibration_hint", temperature=f"{self.evaluation['temperature']:.2f}")
        return section("calibration", escape(say("ev.score_means")), escape(hint), _charts(figures))

    def novelty(self) -> str:
        """How well works of none of the classes are told; nothing where the model doesn't know it."""
        say, told = self.say, self.evaluation.get("novelty")
        if not told or "at_least" not in told:
            return ""
        rows_told = [(say("ev.test_part"), told, told["lost"], "", "")]
        if other := told["other"]:
            cost = say.percent(other["false_positive_rate"])
            rows_told.append((say("ev.novelty_other"), other, other["found"], _number(other["roc_auc"]), cost))
        series = [Series("", [(told["limit"], 0), (told["limit"], 1)], dashed=True)]
        for number, (name, novelty, *_) in enumerate(rows_told):
            points = [(float(at), share) for at, share in zip(GRID, novelty["at_least"], strict=True)]
            series.append(Series(name, points, 1 - number))
        title = say("ev.novelty_title")
        chart = line_chart(title, series, say("ev.novelty"), say("ev.novelty_y"))
        rows = [
            [name, say.number(novelty["n"]), say.percent(share), auc, cost]
            for name, novelty, share, auc, cost in rows_told
        ]
        header = ["", say("ev.works"), say("ev.novelty_uncertain"), "AUC", say("ev.novelty_cost")]
        hint = say("ev.novelty_hint", limit=f"{told['limit']:.2f}")
        hint += "" if other else " " + say("ev.novelty_unknown")
        body = _charts([_figure(title, chart)]) + table(header, rows, 0)
        return section("novelty", escape(title), escape(hint), body)

    def learning(self, history: Sequence[Mapping[str, Any]]) -> str:
        """How it learned, epoch by epoch."""
        say = self.say
        runs: dict[int | None, list[Mapping[str, Any]]] = {}
        for epoch in history:
            runs.setdefault(epoch.get("fold"), []).append(epoch)
        if all(len(epochs) < 2 for epochs in runs.values()):
            return ""  # a classifier that is solved for learns in one step: there is no course to be seen
        figures = []
        for title, keys in (
            ("ev.loss", {"loss": "ev.training", "validation_loss": "ev.validation"}),
            (
                "ev.validation_part",
                {"validation_accuracy": "ev.accuracy", "validation_balanced_accuracy": "ev.balanced_accuracy"},
            ),
        ):
            series = []
            for number, (key, name) in enumerate(keys.items()):
                for run, epochs in enumerate(runs.values()):
                    points = [(float(epoch["epoch"]), float(epoch[key])) for epoch in epochs if key in epoch]
                    if points:
                        series.append(Series("" if run else say(name), points, number, marked=len(points) == 1))
            if series:
                last = max(point[0] for line in series for point in line.points if point)
                top = max(point[1] for line in series for point in line.points if point)
                high = 1.0 if title != "ev.loss" else top * 1.05 or 1.0
                first = min(1.0, last - 1)
                words = say(title)
                chart = line_chart(words, series, say("ev.epoch"), words, x_range=(first, last), y_range=(0, high))
                figures.append(_figure(words, chart))
        hint = say("ev.a_line_a_fold") if len(runs) > 1 else ""
        return section("learning", escape(say("ev.learning")), escape(hint), _charts(figures)) if figures else ""

    def errors(
        self,
        works: Sequence[dict[str, Any]],
        pictures: Mapping[str, Sequence[tuple[str, str | None]]],
        names: Mapping[str, str],
    ) -> str:
        """The works that it was surest and wrong about; each leads to itself.

        Args:
            works: As from `worst_errors`.
            pictures: Each work's: (path, the class whose activation map it has or None), by object_id.
            names: What to call works.
        """
        say = self.say
        if not works:
            return section("errors", escape(say("ev.errors_title")), escape(say("ev.no_errors")))
        items = []
        for work in works:
            shown = ""
            for path, explained in pictures.get(work["object_id"], []):
                what = escape(say("ev.spoke_for", label=explained) if explained else say("ev.the_work"))
                shown += f'<img src="{escape(path)}" alt="{what}" title="{what}">'
            name = escape(names.get(work["object_id"], work["object_id"]))
            if self.page:
                name = f'<a href="{escape(address_of_work(self.page, work["object_id"]))}">{name}</a>'
            about = "" if work["label"] == work["subject"] else f", {work['subject']}"
            called = escape(say("ev.called", label="\0", score=say.percent(work["score"])))
            called = called.replace("\0", f"<bdi>{escape(self._labels(work['label']) + about)}</bdi>")
            true = escape(say("ev.is", label="\0")).replace("\0", f"<bdi>{escape(self._labels(work['true']))}</bdi>")
            none = f"<p>{escape(say('no_picture'))}</p>"
            items.append(
                f'<li><div class="pair">{shown or none}</div><div class="text">'
                f'<p class="name" dir="auto">{name}</p><p class="said">{called}</p><p>{true}</p></div></li>'
            )
        hint = say("ev.errors_hint")
        has_maps = any(len(shown) > 1 for shown in pictures.values())
        if has_maps:
            hint += " " + say("ev.maps_hint")
        kind = "errors" if has_maps else "errors plain"
        body = f'<ul class="{kind}">{"".join(items)}</ul>'
        return section("errors", escape(say("ev.sure_and_wrong")), escape(hint), body)

    def _labels(self, value: str | Sequence[str]) -> str:
        return value if isinstance(value, str) else ", ".join(value) or self.say("ev.nothing")


def _figure(title: str, chart: str) -> str:
    return f"<figure><figcaption>{escape(title)}</figcaption>{chart}</figure>"


def _charts(figures: Sequence[str]) -> str:
    return f'<div class="charts">{"".join(figures)}</div>'


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _certain(abstention: Mapping[str, Any], say: Speech) -> str:
    """From which score on labels are certain, as `bundles.thresholds.abstention` has found it."""
    share = say.percent(abstention["target"])
    if abstention["threshold"] is None:
        return (
            say("ev.certain_unknown", n=abstention["n"], share=share)
            if abstention["n"]
            else say("ev.certain_none", share=share)
        )
    kept, right = say.percent(abstention["coverage"]), say.percent(abstention["accuracy"])
    told = say("ev.certain_from", score=say.percent(abstention["threshold"]), kept=kept, right=right)
    low = abstention.get("lower")
    return told if low is None else f"{told} {say('ev.certain_surely', low=say.percent(low))}"


def _range(bounds: Sequence[float | None] | None, say: Speech) -> str:
    if bounds is None or None in bounds:
        return ""
    return say("from_to", **{"from": f"{bounds[0]:.3f}", "to": f"{bounds[1]:.3f}"})
