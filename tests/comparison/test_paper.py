"""The paper folder: its tables and texts, that they cite what is there, and that LaTeX and others can read them."""

import csv
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pyarrow as pa
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from artray.comparison.curve import Curve, Point
from artray.comparison.differences import breakdown, predictions_table, read_records
from artray.comparison.paper import figures
from artray.comparison.paper.cards import citation as cited
from artray.comparison.paper.figures import COLOURS, COLUMN, curve_drawing, drawings
from artray.comparison.paper.folder import write_paper
from artray.comparison.paper.methods import data_statement, methods, split_of
from artray.comparison.paper.references import REFERENCES, bibtex
from artray.comparison.paper.tables import bounds, number, tables_of
from artray.comparison.paper.texts import cited_plain, keys_in, latex
from artray.comparison.results import results_of
from artray.comparison.station import CompareOptions, compare
from artray.comparison.subjects import distinct_names, read_works
from artray.storage import Location
from tests.citations import read_citation
from tests.comparison.made import CLASSES, write_model

SPECIAL = "A & B_1 50% {x} $y$ ~ ^ \\ #"


def told_of(folder, **changes):
    """Results of two models, and their breakdown."""
    places = [write_model(folder / f"m{at}", seed=at, skill=0.9 - 0.4 * at, **changes) for at in range(2)]
    locations = [Location.parse(place) for place in places]
    works = read_works(locations, distinct_names(locations, []), "test")
    return results_of(works, resamples=200, permutations=100), breakdown(works, read_records(None, works), [])


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    return told_of(tmp_path_factory.mktemp("paper"))


@pytest.fixture(scope="module")
def paper(told, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    results, rows = told
    (folder / "mine.txt").write_text("a file of the author's")
    (folder / "tables").mkdir()
    (folder / "tables" / "by-decade.tex").write_text("of an earlier run")
    predictions = predictions_table(results.works, read_records(None, results.works))
    split = {"--split-by": ["artist"], "--seed": 3, "--near-duplicates": "on"}
    write_paper(
        Location.parse(folder),
        results,
        rows,
        predictions,
        drawn=[],
        split=split,
        authors=["Ada Lovelace"],
        license="mit",
    )
    return folder


def test_the_folder_holds_what_it_says(paper):
    names = {str(file.relative_to(paper)) for file in paper.rglob("*") if file.is_file()}
    tables = {f"tables/{name}.{kind}" for name in ("results", "differences", "classes", "by-group") for kind in
              ("csv", "md", "tex")}  # fmt: skip
    texts = {f"{name}.{kind}" for name in ("methods", "data-statement") for kind in ("md", "tex")}
    assert names == tables | texts | {
        "mine.txt", "README.md", "predictions.csv", "references.bib", "paper.tex", "figures.tex", "model-card-1.md",
        "model-card-2.md", "CITATION.cff",
    }  # fmt: skip
    assert "pip install 'artray[paper]'" in (paper / "README.md").read_text("utf-8")


def test_tables_say_the_same_in_each_form(told, paper):
    results, _ = told
    with (paper / "tables" / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, model in zip(rows, results.models, strict=True):
        accuracy = model.figures["accuracy"]
        assert float(row["accuracy"]) == accuracy.value
        assert float(row["accuracy_lower_groups"]) == accuracy.intervals["groups"][0]
        text = f"{number(accuracy.value)} {bounds(accuracy.intervals['groups'])}"
        for kind in ("md", "tex"):
            assert text in (paper / "tables" / f"results.{kind}").read_text("utf-8")


def test_every_row_of_a_latex_table_has_its_columns(told):
    for table in tables_of(*told):
        body = re.search(r"\\toprule\n(.*)\n  \\bottomrule", table.latex(), re.S)
        assert body is not None
        rows = [line for line in body[1].splitlines() if line.endswith("\\\\")]
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(table.header)}
        assert f"{{l{'r' * (len(table.header) - 1)}}}" in table.latex()


def test_numbers_as_papers_print_them():
    assert [number(value) for value in (0.8017, -0.0086, 1.0, 12.5, None, -0.00001)] == [
        ".802", "−.009", "1.000", "12.500", "–", ".000",
    ]  # fmt: skip
    assert bounds((0.689, -0.9)) == "[.689, −.900]"


def test_what_is_cited_is_there_and_nothing_else(paper):
    entries = re.findall(r"^@\w+\{([\w-]+),$", (paper / "references.bib").read_text("utf-8"), re.M)
    cited = {key for file in paper.rglob("*.tex") for found in re.findall(r"\\cite\{([^}]+)\}", file.read_text("utf-8"))
             for key in found.split(",")}  # fmt: skip
    assert sorted(cited) == entries
    assert {"mcnemar", "efron", "artray", "keras"} <= cited


def test_references_are_whole():
    for key, reference in REFERENCES.items():
        assert {"author", "title", "year"} <= reference.fields.keys(), key
        assert reference.short.endswith(reference.fields["year"])
    text = bibtex(REFERENCES)
    assert text.count("{") == text.count("}")


def test_the_methods_say_what_was_done(told):
    data, models, evaluation = methods(told[0], {"--split-by": ["artist"], "--seed": 3, "--near-duplicates": "on"})
    assert "3 classes (landscape, portrait and still life), given by 120 labelled works" in data
    assert "60 for training, 20 for validation and 40 for testing, so that no value of artist is on both sides" in data
    assert "(seed 3)" in data
    assert "Left out were, by reason: unlabelled 7 and unreadable 1." in data
    assert "Model m0 is a linear discriminant analysis [@fisher]" in models
    assert "of 40 works that no model learned from; they fall into 20 groups" in evaluation
    assert "artray 0.1.0 [@artray], Keras 3.15.1 [@keras], TensorFlow 2.21.0 [@tensorflow] and Ray [@ray]" in evaluation
    assert "Holm" not in evaluation  # of one pair nothing is corrected


def test_the_methods_say_of_networks_only_what_is_known(tmp_path):
    def said(columns, *specs):
        place = write_model(
            tmp_path / "m",
            input={
                "kind": "features",
                "columns": columns,
                "features": [{"name": "embedding", **spec} for spec in specs],
            },
            config={"model": {"name": "linear_mean"}},
        )
        works = read_works([Location.parse(place)], ["m"], "test")
        return methods(results_of(works, resamples=100, permutations=100), {})[1]

    lite = {"backbone": "efficientnet-lite0", "weights": "imagenet", "statistics": True}
    other = {"backbone": "/home/ada/siglip.keras", "weights": "imagenet", "column": "embedding_siglip"}
    text = said(["style_statistics"], lite)
    assert "middle blocks, and a logistic regression" in text
    assert "channels of EfficientNet-Lite0 [@efficientnet], pretrained on ImageNet [@imagenet], as they tell" in text
    second = {"backbone": "efficientnet-lite2", "weights": "imagenet", "column": "embedding_lite2", "statistics": True}
    text = said(["embedding_lite2_statistics"], second)
    assert "middle blocks, and a logistic" in text
    assert "channels of EfficientNet-Lite2" in text
    text = said(["embedding_siglip"], lite, other)
    assert (
        "with shrunk covariance [@ledoit-wolf] and a logistic regression. It sees the embedding of the network " in text
    )
    assert "siglip.keras [what it is, and what it has learned from]" in text
    assert not any(word in text for word in ("ImageNet", "middle", "/home"))
    assert "network vit_base [what it is" in said(["embedding"], {"backbone": "vit_base", "weights": "imagenet"})
    assert "ResNet50V2, with random weights." in said(["embedding"], {"backbone": "ResNet50V2", "weights": None})


def test_what_only_the_author_knows_is_asked_for(told, monkeypatch):
    text = "\n".join(data_statement(told[0], {}))
    for question in ("[Who gave them, when", "[Where they come from", "[Which works, artists or periods"):
        assert question in text
    monkeypatch.setitem(told[0].works.subjects[0].bundle.data, "reviewed", {"works": 1, "people": 2})
    assert "column 'genre'; those of 1 work were checked by 2 people. [" in data_statement(told[0], {})[1]
    assert "How the split was dealt is not known; the examples' fingerprint is " in text
    parts = {"test": 0.2, "train": 0.8}
    split = {"--seed": 3, "--split": parts, "--split-by": ["Artist"], "--folds": None, "columns": 1}
    assert "ingest with seed 3, split (test 0.2, train 0.8), split-by Artist; the" in data_statement(told[0], split)[-1]


def test_the_split_is_read_from_the_manifest(tmp_path):
    table = pa.table({"object_id": ["a"]})
    (Location.parse(tmp_path / "bare") / "manifest.parquet").write_table(table)
    told = table.replace_schema_metadata({"artray.split": json.dumps({"--seed": 7})})
    (Location.parse(tmp_path / "told") / "manifest.parquet").write_table(told)
    assert split_of(Location.parse(tmp_path / "bare")) == {}
    assert split_of(Location.parse(tmp_path / "told")) == {"--seed": 7}
    assert split_of(None) == {}


def test_the_model_card_is_one_that_the_hub_reads(told, paper):
    card = ModelCard((paper / "model-card-1.md").read_text("utf-8"))
    assert (card.data.license, card.data.library_name) == ("mit", "keras")
    results = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert results["accuracy"] == told[0].models[0].figures["accuracy"].value
    assert all(f"| {name} |" in card.text for name in CLASSES)
    assert "TensorFlow 2.21.0 (Abadi et al. 2016) and Ray (Moritz et al. 2018)." in card.text.replace("\\", "")


def test_the_citation(paper):
    citation = read_citation((paper / "CITATION.cff").read_text("utf-8"))
    assert citation["authors"] == [{"family-names": "Lovelace", "given-names": "Ada"}]
    assert citation["references"][0]["title"] == "artray"


def test_a_citation_without_authors_or_with_one_name_is_one():
    assert read_citation(cited("style", None, []))["authors"] == [{"name": "[Authors]"}]
    assert read_citation(cited("style", "Ä & B: 'x'", ["Plato"]))["authors"] == [{"name": "Plato"}]


def test_special_characters_are_text_everywhere(tmp_path):
    results, rows = told_of(tmp_path, classes=(SPECIAL, "b", "c"))
    for table in tables_of(results, rows):
        if table.name == "classes":
            assert latex(SPECIAL) in table.latex()
    assert latex("a\u202eb\nc") == "a b c"
    assert (cited_plain("[@nobody] [@holm]"), keys_in("[@nobody]")) == ("[@nobody] (Holm 1979)", [])
    assert keys_in("x [@efron; @holm] y [@efron]") == ["efron", "holm"]


def test_predictions(told, paper):
    works = told[0].works
    with (paper / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["object_id"] for row in rows] == works.object_ids
    assert [row["m1: right"] == "true" for row in rows] == works.right[1].tolist()
    scores = np.array([[float(row[f"m0: {name}"]) for name in CLASSES] for row in rows])
    np.testing.assert_allclose(scores, works.scores[0], atol=1e-6)


def test_a_class_called_as_a_column_is_one_beside_it(tmp_path):
    place = Location.parse(write_model(tmp_path / "m", classes=("right", "label", "c")))
    works = read_works([place], ["m"], "test")
    table = predictions_table(works, read_records(None, works))
    assert table["m: right"].to_pylist() == works.right[0].tolist()
    assert table["m: score of right"].to_pylist() == works.scores[0][:, 0].tolist()
    assert set(table["m: label"].to_pylist()) <= {"right", "label", "c"}


def test_without_matplotlib_the_rest_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("artray.comparison.station.has_matplotlib", lambda: False)
    model = write_model(tmp_path / "m")
    counts = compare(CompareOptions(model=[model], out=str(tmp_path / "out"), resamples=100, permutations=100))
    assert counts["figures"] == 0
    assert "no figures: they need matplotlib: pip install 'artray[paper]'" in capsys.readouterr().err
    assert (tmp_path / "out" / "paper" / "paper.tex").exists()


def test_models_are_told_apart_without_colour():
    assert len(COLOURS) == len(figures._LINES) == len(figures._MARKS) == len(set(map(str, figures._LINES)))


@pytest.mark.slow
def test_a_curve_whose_points_lie_beside_their_intervals_by_a_rounding():
    points = [Point(100.0, 1, 0.6, (0.6000000000000001, 0.6000000000000001)), Point(200.0, 1, 0.7, (0.7, 0.7))]
    assert set(curve_drawing(Curve(points, None, None, None)).files) == {"svg", "pdf", "png"}


@pytest.mark.slow
def test_figures_stand_for_themselves_and_latex_takes_them(tmp_path):
    """At print size, fonts inside, the same twice; then the whole folder as a document, where there is LaTeX."""
    import matplotlib

    before = dict(matplotlib.rcParams)
    results, rows = told_of(tmp_path, classes=(SPECIAL, "b", "c"))
    drawn = drawings(results, rows)
    assert dict(matplotlib.rcParams) == before
    assert [each.name for each in drawn] == [
        "performance", "differences", "roc", "calibration", "confusion-1", "confusion-2", "classes",
    ]  # fmt: skip
    for each in drawn:
        svg = each.files["svg"].decode()
        assert "<text" not in svg  # letters are outlines
        assert not re.search(r'(href|src)="(?!#|data:)', svg)
        assert b"/FontFile2" in each.files["pdf"]
    png = Image.open(io.BytesIO(drawn[2].files["png"]))
    assert png.width / png.info["dpi"][0] == pytest.approx(COLUMN, rel=0.01)
    points = [Point(100.0 * at, 1, 0.5 + 0.1 * at, (0.4 + 0.1 * at, 0.6 + 0.1 * at)) for at in (1, 2, 3)]
    assert curve_drawing(Curve(points, None, None, None)) == curve_drawing(Curve(points, None, None, None))
    place = tmp_path / "paper"
    predictions = predictions_table(results.works, read_records(None, results.works))
    write_paper(Location.parse(place), results, rows, predictions, drawn=drawn, split={})
    if not shutil.which("pdflatex"):
        pytest.skip("figures are right; LaTeX is not here to try the document")
    for command in ("pdflatex", "bibtex", "pdflatex", "pdflatex"):
        flags = ["-interaction=nonstopmode", "-halt-on-error"] if command == "pdflatex" else []
        done = subprocess.run([command, *flags, "paper"], cwd=place, capture_output=True, text=True, timeout=300)
        assert not done.returncode, done.stdout[-2000:]
    assert "undefined" not in (place / "paper.log").read_text("utf-8", "replace")
