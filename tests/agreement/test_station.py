"""The job, from a file of annotations to labels that ingest takes in, and its page."""

import csv
import json
import re

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from artray.agreement.station import AgreementOptions, agreement
from artray.catalogs.corrections import read_corrections
from artray.catalogs.targets import read_targets
from artray.errors import InputError
from artray.ingest.station import IngestOptions, ingest
from artray.job import main
from artray.storage import Location
from tests.agreement.made import simulated

HOSTILE = "</title><img src=x onerror=alert(1)>\"'\u202e"
ROWS = [
    ("w1", "anna", "joy"),
    ("w1", "ben", "joy"),
    ("w1", "carl", "fear"),
    ("w2", "anna", "fear"),
    ("w2", "ben", "fear"),
    ("w2", "carl", "fear"),
    ("w3", "anna", "joy"),
    ("w3", "ben", ""),
    ("w3", "carl", "joy"),
    ("w4", "carl", "fear"),
]


def write(path, rows=ROWS, header=("object_id", "annotator", "emotion")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def run(annotations, out, **options):
    settings = {"label": {"emotion": "emotion"}, "resamples": 20, "min_works": 2}
    return agreement(AgreementOptions(annotations=str(annotations), out=str(out), **(settings | options)))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agreement")
    rows, truth = simulated(80, [0.95, 0.9, 0.85, 0.0], share=0.9)
    rows += [("w00000", HOSTILE, "anger"), ("=1+1", "p00", "joy"), ("=1+1", "p01", "fear"), ("=1+1", HOSTILE, "love")]
    counts = run(write(folder / "annotations.csv", rows), folder / "out", min_works=5, resamples=100)
    return folder / "out", counts, truth


def rows_of(file):
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_everything_is_written_and_counted(done):
    out, counts, _ = done
    assert {file.name for file in out.iterdir()} == {
        "_run.json",
        "agreement-emotion.html",
        "agreement.css",
        "agreement.json",
        "annotators.csv",
        "consensus.parquet",
        "errors.parquet",
        "evaluation.css",
        "labels.csv",
        "page.css",
        "pairs.csv",
        "soft_labels.csv",
    }
    told = counts["tasks"]["emotion"]
    assert (told["works"], told["annotators"], told["consistent"], told["left_out"]) == (81, 5, 3, 0)
    assert told["alpha"] < 0.5 < 0.6 < told["alpha_consistent"]
    figures = json.loads((out / "agreement.json").read_text())["tasks"]["emotion"]
    assert figures["consistent_annotators"] == ["p00", "p01", "p02"]
    assert figures["other_annotators"] == {"p03": "others", HOSTILE: "too few works"}
    low, high = figures["all"]["alpha"]["nominal"]["interval"]
    assert low < figures["all"]["alpha"]["nominal"]["value"] < high
    assert sum(map(sum, figures["confusion"])) == pytest.approx(figures["consistent"]["annotations"])


def test_who_is_consistent_and_who_agrees_with_whom(done):
    out, _, _ = done
    people = rows_of(out / "annotators.csv")
    assert [(row["annotator"], row["consistent"]) for row in people[:4]][3] == ("p03", "false")
    assert {row["annotator"] for row in people[:3]} == {"p00", "p01", "p02"}
    assert people[4]["judged_by"] == "too few works"
    two = {(row["annotator"], row["other"]): row for row in rows_of(out / "pairs.csv")}
    assert float(two["p00", "p01"]["kappa"]) > 0.6 > 0.3 > float(two["p00", "p03"]["kappa"])
    errors = pq.read_table(out / "errors.parquet")
    assert set(errors["annotator"].to_pylist()) == {"p00", "p01", "p02"}
    sums = errors.group_by(["annotator", "true"]).aggregate([("share", "sum")])["share_sum"]
    assert np.asarray(sums) == pytest.approx(1, abs=5e-3)


def test_the_consensus_of_the_consistent_is_right(done):
    out, _, truth = done
    table = pq.read_table(out / "consensus.parquet").filter(pc.field("object_id") != "=1+1")
    names = ["anger", "fear", "joy", "love"]
    assert np.mean([names.index(label) for label in table["label"].to_pylist()] == truth) > 0.9
    assert max(table["annotations"].to_pylist()) == 3


def test_no_spreadsheet_runs_what_stands_in_the_files(done):
    out, _, _ = done
    assert rows_of(out / "labels.csv")[0]["object_id"] == "'=1+1"
    assert rows_of(out / "soft_labels.csv")[0] == {
        "object_id": "'=1+1",
        "task": "emotion",
        "label": '{"fear": 0.5, "joy": 0.5}',
    }


def test_the_page_says_the_figures_and_nothing_of_strangers_as_markup(done):
    out, counts, _ = done
    text = (out / "agreement-emotion.html").read_text("utf-8")
    for value in (counts["tasks"]["emotion"]["alpha"], counts["tasks"]["emotion"]["alpha_consistent"]):
        assert f"<strong>{value:.2f}</strong>" in text
    assert "<img src=x" not in text
    assert "style=" not in text  # the policy would drop it
    assert "<script" not in text
    assert not re.search(r"https?://", text)
    assert "no picture" not in text  # without a manifest there are none to miss
    assert "too few works" in text
    assert "annotators who are not consistent, and not in the consensus: 2 (" in text


def test_works_are_shown_with_their_pictures(tmp_path):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "w1.png")
    places = [str(tmp_path / "w1.png"), str(tmp_path / "nowhere.png")]
    manifest = {"object_id": ["1929.1", "w4"], "image_uri": places, "title": ["A <b> title", None]}
    pq.write_table(pa.table(manifest), tmp_path / "manifest.parquet")
    file = write(tmp_path / "a.csv", [*ROWS, ("w4", "anna", "joy")])
    for _ in range(2):  # again over itself
        counts = run(file, tmp_path / "out", manifest=str(tmp_path / "manifest.parquet"), consensus_of="all")
    assert counts["not_in_manifest"] == 2
    text = (tmp_path / "out" / "agreement-emotion.html").read_text("utf-8")
    assert [path.name for path in (tmp_path / "out" / "agreement-emotion").iterdir()] == ["000.jpg"]
    assert "A &lt;b&gt; title" in text
    assert text.count("no picture") == 1
    assert {row["object_id"] for row in rows_of(tmp_path / "out" / "labels.csv")} == {"1929.1", "w2", "w3", "w4"}


def test_soft_labels_come_into_the_manifest_and_train_reads_them(tmp_path):
    """The two commands of the documents."""
    (tmp_path / "scans").mkdir()
    for number in range(1, 5):
        Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(tmp_path / "scans" / f"w{number}.png")
    run(write(tmp_path / "a.csv"), tmp_path / "agreement", consensus_of="all")
    for name, labels in (("soft_labels", "soft"), ("labels", "one")):
        ingest(
            IngestOptions(
                images=str(tmp_path / "scans"),
                out=str(tmp_path / name),
                corrections=[str(tmp_path / "agreement" / f"{name}.csv")],
                near_duplicates=False,
            )
        )
        table = pq.read_table(tmp_path / name / "manifest.parquet")
        found = dict(
            zip(table["object_id"].to_pylist(), read_targets(table["emotion"], labels, "emotion"), strict=True)
        )
        shares = {"joy": 2 / 3, "fear": 1 / 3} if labels == "soft" else {"joy": 1}
        assert found["w1"] == pytest.approx(shares, abs=1e-5)
        assert [found[name] for name in ("w2", "w3", "w4")] == [{"fear": 1}, {"joy": 1}, {"fear": 1}]


def test_a_curators_word_counts_for_more(tmp_path):
    run(write(tmp_path / "a.csv"), tmp_path / "out")
    curator = [("w2", "emotion", "awe", "2026-01-01T00:00:00Z")]
    write(tmp_path / "curator.csv", curator, ("object_id", "task", "label", "corrected_at"))
    files = [Location.parse(tmp_path / "curator.csv"), Location.parse(tmp_path / "out" / "labels.csv")]
    for order in (files, files[::-1]):
        labels = read_corrections(order).labels["emotion"]
        assert (labels["w2"], labels["w3"]) == ("awe", "joy")


def test_all_forms_of_a_table_are_the_same(tmp_path):
    long = write(tmp_path / "long.csv")
    expected = run(long, tmp_path / "csv")["tasks"]["emotion"]
    labels = {(work, who): label for work, who, label in ROWS}
    works, people = ["w1", "w2", "w3", "w4"], ["anna", "ben", "carl"]
    book = openpyxl.Workbook()
    book.active.append(["work", *people])
    for work in works:
        book.active.append([work, *(labels.get((work, who)) or None for who in people)])
    book.save(tmp_path / "wide.xlsx")
    pq.write_table(
        pa.Table.from_pylist([dict(zip(("object_id", "annotator", "emotion"), row, strict=True)) for row in ROWS]),
        tmp_path / "long.parquet",
    )
    result = [{"from_name": "emotion", "type": "choices", "value": {"choices": [None]}}]
    tasks = []
    for work in works:
        annotations = []
        for who in people:
            if label := labels.get((work, who)):
                answer = json.loads(json.dumps(result).replace("null", f'"{label}"'))
                annotations.append({"completed_by": {"email": f"{who}@museum.org"}, "result": answer})
        tasks.append({"id": work, "data": {"image": f"/data/{work}.jpg", "name": work}, "annotations": annotations})
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    for file, options in (
        ("wide.xlsx", {"label": {}, "annotators": people, "task": "emotion", "object": "work"}),
        ("long.parquet", {}),
        ("export.json", {"label": {}, "object": "name"}),
    ):
        told = run(tmp_path / file, tmp_path / file.replace(".", "-"), **options)["tasks"]["emotion"]
        assert told["annotations"] == expected["annotations"], file
        assert told["alpha"] == pytest.approx(expected["alpha"]), file
        assert rows_of(tmp_path / file.replace(".", "-") / "labels.csv") == rows_of(tmp_path / "csv" / "labels.csv")


def test_several_tasks_with_levels_and_gold(tmp_path):
    rows = [(work, who, label, str(len(who) % 3 + 1)) for work, who, label in ROWS]
    file = write(tmp_path / "a.csv", rows, ("object_id", "annotator", "emotion", "valence"))
    gold = write(tmp_path / "gold.csv", [("w1", "fear"), ("w2", "fear")], ("object_id", "emotion"))
    counts = run(
        file,
        tmp_path / "out",
        label={"emotion": "emotion", "valence": "valence"},
        level={"valence": "ordinal"},
        gold=str(gold),
    )
    assert list(counts["tasks"]) == ["emotion", "valence"]
    figures = json.loads((tmp_path / "out" / "agreement.json").read_text())["tasks"]
    assert set(figures["valence"]["all"]["alpha"]) == {"nominal", "ordinal"}
    assert (figures["emotion"]["gold"], figures["valence"]["gold"]) == (2, 0)
    table = pq.read_table(tmp_path / "out" / "consensus.parquet")
    assert set(table["task"].to_pylist()) == {"emotion", "valence"}
    assert table["label"].to_pylist()[0] == "fear"


def test_consistent_people_who_have_no_work_in_common(tmp_path):
    """Gold works say of each that they are good; only a third, who is not, shares works with them."""
    truth = {f"w{number}": "ab"[number % 2] for number in range(8)}
    rows = [(work, "anna" if int(work[1]) < 4 else "ben", label) for work, label in truth.items()]
    rows += [(work, "carl", "a") for work in truth]
    gold = write(tmp_path / "gold.csv", truth.items(), ("object_id", "emotion"))
    counts = run(write(tmp_path / "a.csv", rows), tmp_path / "out", gold=str(gold), min_works=3)
    assert counts["tasks"]["emotion"]["consistent"] == 2
    text = (tmp_path / "out" / "agreement-emotion.html").read_text("utf-8")
    assert "2 of them label consistently; they have no work in common." in text


def test_what_does_not_count_is_said(tmp_path, capsys):
    rows = [*ROWS, ("w1", "anna", "fear"), ("w5", "dora", "joy"), ("w6", "anna", "joy|fear")]
    run(write(tmp_path / "a.csv", rows), tmp_path / "out", consensus="majority")
    said = capsys.readouterr().err
    for line in (
        "emotion: left out, empty cells: 1",
        "emotion: left out, cells with several labels (joy|fear): 1",
        "emotion: labels that annotators gave to a work again: 1, which only tell",
        "emotion: works with one annotation, which are in no coefficient: 2 (w4, w5)",
        "emotion: annotators with one work: 1 (dora)",
        "emotion: annotators who are not consistent, and not in the consensus: 1 (dora); 1 label",
        "emotion: works that none of the consistent annotators labelled, without consensus: 1 (w5)",
    ):
        assert line in said


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"label": {}}, r"--label TASK=COLUMN says which column holds the labels, or --annotators .*object_id, annot"),
        ({"annotators": ["a", "b"]}, r"--annotators and --label: "),
        ({"label": {"Emotion!": "emotion"}}, r"a task can't be called 'Emotion!'"),
        (
            {"level": {"emotoin": "ordinal"}},
            r"--level emotoin=ordinal: there is no task 'emotoin'; did you mean emotion",
        ),
        ({"level": {"emotion": "ordinal"}}, r"--level emotion=ordinal: the labels are no numbers \(joy, fear\)"),
        ({"object": "id"}, r"--object id: there is no such column"),
        ({"gold": "gold.csv"}, r"--gold .*gold.csv: has none of the columns emotion \(it has: object_id, style\)"),
        ({"manifest": "manifest.parquet"}, r"--manifest .*: has no column 'image_uri': it is no manifest"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, options, line):
    write(tmp_path / "gold.csv", [("w1", "Cubism")], ("object_id", "style"))
    pq.write_table(pa.table({"object_id": ["w1"]}), tmp_path / "manifest.parquet")
    for name in ("gold", "manifest"):
        if name in options:
            options = options | {name: str(tmp_path / options[name])}
    file = write(tmp_path / "a.csv")
    with pytest.raises(InputError, match=line) as raised:
        run(file, tmp_path / "out", **options)
    assert "\n" not in str(raised.value)


def test_a_table_is_not_written_over(tmp_path):
    file = write(tmp_path / "labels.csv")
    with pytest.raises(InputError, match="is the place of --annotations"):
        run(file, tmp_path)
    assert len(rows_of(file)) == len(ROWS)


def test_another_jobs_place_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "bundle.json").write_text("{}")
    with pytest.raises(InputError, match="holds the output of another job"):
        run(write(tmp_path / "a.csv"), tmp_path / "out")


def test_as_a_command(tmp_path, capsys):
    arguments = ["--annotations", str(write(tmp_path / "a.csv")), "--label", "emotion=emotion"]
    arguments += ["--out", str(tmp_path / "out"), "--resamples", "20", "--min-works", "2"]
    main(AgreementOptions, agreement, arguments, "agreement")
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["rows"] == len(ROWS)
    with pytest.raises(SystemExit) as ended:
        main(AgreementOptions, agreement, [*arguments, "--level", "emotion=rank"], "agreement")
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
