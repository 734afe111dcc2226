"""The page of one model's evaluation, also in a real browser."""

import json
import re
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.classifiers.novelty import novelty_told
from artray.errors import InputError
from artray.report.charts import Series, heat_map, line_chart
from artray.report.evaluation import evaluation_page, remove_evaluations, worst_errors
from artray.report.evaluation_sections import EvaluationSections
from artray.report.languages import Speech
from artray.storage import Location
from tests.report.bundles import write_bundle

HOSTILE = "</title><img src=x onerror=alert(1)>\"'\u202e👩‍🎨"
CLASSES = ["Cubism", "Rococo", HOSTILE]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder, CLASSES)
    return folder


@pytest.fixture(scope="module")
def page(bundle, tmp_path_factory):
    return evaluation_page(
        Location.parse(bundle), tmp_path_factory.mktemp("page #1"), {"w02": "A title <b>, Rosa Bonheur"}
    )


def test_the_page_says_each_figure_with_its_interval_and_what_it_compares_with(bundle, page):
    text = page.read_text("utf-8")
    level = json.loads((bundle / "evaluation.json").read_text())["levels"]["artwork"]
    for value in (
        level["accuracy"],
        level["majority"]["accuracy"],
        level["baseline"]["accuracy"],
        level["macro"]["f1"],
        level["per_class"]["Rococo"]["roc_auc"],
        level["baseline"]["per_class"]["Rococo"]["f1"],
        *level["intervals"]["balanced_accuracy"],
    ):
        assert f"{value:.3f}" in text
    assert "± 0.100" in text


def test_repeated_folds_are_counted_as_dealt():
    figures = {"accuracy": {"mean": 0.7, "spread": 0.1, "values": [0.7] * 15}}
    evaluation = {"folds": {"n": 15, "figures": figures}, "repeats": 3}
    assert "5 folds, dealt 3 times" in EvaluationSections(evaluation, Speech()).folds()
    assert "15 folds</h2>" in EvaluationSections(evaluation | {"repeats": 1}, Speech()).folds()


def test_what_was_solved_for_in_one_step_has_no_course():
    told = EvaluationSections({}, Speech())
    steps = [{"epoch": n, "loss": 1 / n, "validation_loss": 1 / n} for n in (1, 2)]
    assert told.learning(steps[:1]) == ""
    assert "How it learned" in told.learning(steps)


def test_what_is_kept_is_shown_where_it_is_known(bundle, page, tmp_path):
    text = page.read_text("utf-8")
    evaluation = json.loads((bundle / "evaluation.json").read_text())
    kept = evaluation["levels"]["artwork"]["kept"]
    assert "Which labels are certain" in text
    assert f"{kept['by_class']['Rococo']['share']:.3f}" in text
    assert "asked for: 90\N{NO-BREAK SPACE}%" in text
    del evaluation["levels"]["artwork"]["kept"]  # as evaluations of before
    shutil.copytree(bundle, tmp_path / "old")
    (tmp_path / "old" / "evaluation.json").write_text(json.dumps(evaluation))
    old = evaluation_page(Location.parse(tmp_path / "old"), tmp_path / "page", {})
    assert "Which labels are certain" not in old.read_text("utf-8")


def test_from_which_score_on_labels_are_certain_is_said_in_the_pages_language(bundle):
    evaluation = json.loads((bundle / "evaluation.json").read_text())
    for found, told in (
        ({"threshold": None, "n": 0}, "Aucune œuvre étiquetée ne montre à partir de quel score 90\xa0% des"),
        ({"threshold": None, "n": 1234}, "1\u202f234 œuvres ne montrent pas"),
        ({"threshold": 0.8, "coverage": 0.5, "accuracy": 0.95, "lower": 0.9}, "score de 80\xa0% : pour 50\xa0% des"),
    ):
        evaluation["abstain"] = {"target": 0.9, **found}
        assert told in EvaluationSections(evaluation, Speech("fr")).kept()


def test_the_lead_and_the_verdict_say_what_the_curators_page_says(bundle):
    evaluation = json.loads((bundle / "evaluation.json").read_text())
    level = evaluation["levels"]["artwork"]
    level |= {"accuracy": 0.999, "intervals": {"accuracy": [None, None], "balanced_accuracy": [0.9, 1]}}
    lead = EvaluationSections(evaluation, Speech()).lead()
    assert "<strong>&gt;\xa099\xa0%</strong>" in lead
    level["intervals"]["balanced_accuracy"] = [0, 1]
    assert "all its labels are uncertain" in EvaluationSections(evaluation, Speech()).lead()
    german = EvaluationSections(evaluation, Speech("de")).lead()
    assert re.findall("<strong>(.*?)</strong>", german)[-1] == Speech("de")("doubted")
    level |= {"accuracy": 0.85, "intervals": {"accuracy": [0.8, 0.9], "balanced_accuracy": [0.8, 0.9]}}
    assert "about 9 of 10" in EvaluationSections(evaluation, Speech()).verdict()


def test_novelty_is_shown_where_the_model_knows_it(bundle, page, tmp_path):
    assert "Works of none of the classes" not in page.read_text("utf-8")
    shutil.copytree(bundle, tmp_path / "model")
    file = tmp_path / "model" / "evaluation.json"
    evaluation = json.loads(file.read_text())
    for other in (np.array([0.2, 0.97, 0.98]), None):
        told = evaluation["novelty"] = novelty_told(np.linspace(0, 0.99, 40), other)
        file.write_text(json.dumps(evaluation))
        text = evaluation_page(Location.parse(tmp_path / "model"), tmp_path / "page", {}).read_text("utf-8")
        assert "From 0.95 on" in text
        if other is not None:
            assert "67\N{NO-BREAK SPACE}%" in text
            assert f"{told['other']['roc_auc']:.3f}" in text
        assert ("no works with another label" in text) == (other is None)


def test_the_works_behind_novelty_are_counted_in_the_pages_language():
    told = {"novelty": novelty_told(np.linspace(0, 0.9, 1234))}
    assert "1.234" in EvaluationSections(told, Speech("de")).novelty()


def test_nothing_on_the_page_is_markup_that_a_stranger_wrote(page):
    text = page.read_text("utf-8")
    assert "<img src=x" not in text
    assert "style=" not in text  # the policy would drop it
    assert "<script" not in text
    assert not re.search(r"https?://", text)


def test_the_errors_have_pictures_where_they_can_be_read(bundle, page):
    text = page.read_text("utf-8")
    predictions = pq.read_table(bundle / "predictions.parquet")
    wrong = worst_errors(predictions, "test", 100)
    assert wrong
    readable = [work for work in wrong if int(work["object_id"][1:]) % 2 == 0]
    assert 0 < len(readable) < len(wrong)
    assert text.count("<img ") == len(readable) == len(list((page.parent / "evaluation-style").iterdir()))
    assert text.count("no picture") == len(wrong) - len(readable)


def test_the_surest_errors_come_first():
    predictions = pa.table(
        {
            "object_id": ["a", "b", "c", "d", "e"],
            "part": ["test", "test", "test", "train", "test"],
            "true": ["x", "x", "y", "x", "x"],
            "label": ["y", "x", "x", "y", "y"],
            "scores": pa.array(
                [[("x", 1 - score), ("y", score)] for score in (0.7, 0.2, 0.1, 0.99, 0.8)],
                pa.map_(pa.string(), pa.float32()),
            ),
        }
    )
    found = worst_errors(predictions, "test", 2)
    assert [work["object_id"] for work in found] == ["c", "e"]
    assert [work["score"] for work in found] == pytest.approx([0.9, 0.8])
    assert found[0]["image_uri"] is None


def test_errors_of_works_with_several_labels():
    predictions = pa.table(
        {
            "object_id": ["a", "b", "c"],
            "part": ["test"] * 3,
            "true": [["x"], ["x", "y"], ["y"]],
            "label": [["x", "y"], ["y"], ["y"]],
            "scores": pa.array(
                [[("x", 0.9), ("y", 0.6)], [("x", 0.1), ("y", 0.9)], [("x", 0.4), ("y", 0.5)]],
                pa.map_(pa.string(), pa.float32()),
            ),
        }
    )
    found = worst_errors(predictions, "test", 9)
    assert [(work["object_id"], work["subject"]) for work in found] == [("b", "x"), ("a", "y")]


def test_an_older_evaluation_is_said_in_one_line(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "old")
    (tmp_path / "old" / "evaluation.json").write_text(json.dumps({"levels": {}}))
    with pytest.raises(InputError, match="older release: train it again"):
        evaluation_page(Location.parse(tmp_path / "old"), tmp_path / "page")


def test_written_again_the_page_is_the_same(bundle, page, tmp_path):
    names = {"w02": "A title <b>, Rosa Bonheur"}
    again = evaluation_page(Location.parse(bundle), tmp_path, names)
    (mine := again.with_suffix("") / "mine.jpg").write_text("mine")
    again = evaluation_page(Location.parse(bundle), tmp_path, names)
    assert mine.read_text() == "mine"
    assert again.read_bytes() == page.read_bytes()
    other = evaluation_page(Location.parse(bundle), tmp_path, names, file="evaluation-style-2", heading="style: other")
    assert '<h1 dir="auto">style: other</h1>' in other.read_text("utf-8")
    (notes := tmp_path / "evaluation-notes.html").write_text("mine")
    remove_evaluations(tmp_path, [again])
    notes.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in page.parent.iterdir())


unit = st.floats(0, 1)


@given(st.lists(st.tuples(unit, unit), max_size=8), st.text(max_size=8), st.integers(0, 30))
def test_a_line_chart_is_well_formed_and_stays_inside(points, name, colour):
    name = "".join(character for character in name if character.isprintable())
    svg = line_chart(name, [Series(name, points, colour, marked=True)], name, "y", bars=[0.5, 1])
    chart = ET.fromstring(f"<p>{svg}</p>")[0]
    for circle in chart.iter("circle"):
        assert 0 <= float(circle.get("cx")) <= 440
        assert 0 <= float(circle.get("cy")) <= 330
    assert sum(1 for _ in chart.iter("circle")) == len(points)


@pytest.mark.slow
@given(st.integers(2, 40), st.integers(0, 3))
def test_a_heat_map_shades_by_the_share_of_the_row(classes, seed):
    matrix = np.random.default_rng(seed).integers(0, 5, (classes, classes))
    matrix[0] = 0
    names = [f"{'x' * number}<" for number in range(classes)]
    chart = ET.fromstring(heat_map("t", matrix.tolist(), names, "true", "given"))
    heats = [item for item in chart.iter("rect") if item.get("class").startswith("heat")]
    shades = np.array([float(item.get("fill-opacity")) for item in heats]).reshape(classes, classes)
    assert np.allclose(shades, 0.85 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), atol=6e-4)
    assert [number for number, item in enumerate(heats) if "right" in item.get("class")] == [
        number * (classes + 1) for number in range(classes)
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(page, browser, scheme):
    Axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe
    for width in (1440, 1024, 390):
        size = {"width": width, "height": 900}
        view = browser.new_page(color_scheme=scheme, viewport=size, bypass_csp=True)  # for axe; the policy has its test
        said, asked = [], []
        view.on("console", lambda message, said=said: said.append(message.text))
        view.on("request", lambda request, asked=asked: asked.append(request.url))
        view.goto(page.as_uri())
        assert said == []
        assert [url for url in asked if not url.startswith("file:")] == []
        assert view.locator("svg.chart").count() >= 6
        assert view.evaluate("document.documentElement.scrollWidth <= innerWidth")
        heat, paper = (
            view.evaluate(f"getComputedStyle(document.querySelector('{place}')).{what}")
            for place, what in ((".heat", "fill"), ("body", "backgroundColor"))
        )
        assert heat not in ("rgb(0, 0, 0)", paper)
        assert HOSTILE[:10] in view.locator("#classes").inner_text()
        assert [(one["id"], one["nodes"][0]["html"]) for one in Axe().run(view).response["violations"]] == []
        view.locator(".errors img").first.scroll_into_view_if_needed()
        assert view.evaluate("document.images[0].decode().then(() => document.images[0].naturalWidth)") == 60
        view.close()


def test_a_model_no_better_than_chance_is_said_to_be_so(tmp_path):
    write_bundle(tmp_path, CLASSES)
    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    evaluation["levels"]["artwork"]["intervals"]["balanced_accuracy"] = [0.3, 0.9]
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    text = evaluation_page(Location.parse(tmp_path), tmp_path / "page").read_text("utf-8")
    assert "This model is not surely better than chance" in text
    evaluation["levels"]["artwork"]["intervals"]["balanced_accuracy"] = [0.5, 0.9]
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation))
    assert "chance (" not in evaluation_page(Location.parse(tmp_path), tmp_path / "page").read_text("utf-8")


def test_its_works_and_cells_lead_to_the_curators_page_and_it_speaks_other_languages(bundle, tmp_path):
    text = evaluation_page(Location.parse(bundle), tmp_path, {}, page="index.html", language="de").read_text("utf-8")
    assert '<html lang="de">' in text
    assert "Zurück zu den Werken" in text
    (work,) = worst_errors(pq.read_table(bundle / "predictions.parquet"), "test", 1)
    assert f'<a href="index.html#work={work["object_id"]}">' in text
    level = json.loads((bundle / "evaluation.json").read_text())["levels"]["artwork"]
    assert text.count('<a href="index.html#cell=') == np.count_nonzero(level["confusion"])
    assert "style=" not in text
    assert re.search(r'<section id="verdict">.*<p class="verdict-words">[^<_]+</p>', text)
