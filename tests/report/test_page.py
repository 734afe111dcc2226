import json
import math
import re
import string
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artray.errors import ArtrayError, InputError
from artray.labeling.contract import Models
from artray.report.columns import SEARCHED
from artray.report.languages import read_words
from artray.report.overview import Overview
from artray.report.page import SHARD, encode_data, write_page
from artray.report.works import Label, Work, assemble_works

LABELS_SCHEMA = pa.schema(
    [
        ("object_id", pa.string()),
        ("image_uri", pa.string()),
        ("task", pa.string()),
        ("label", pa.string()),
        ("label_uri", pa.string()),
        ("score", pa.float32()),
        ("scores", pa.map_(pa.string(), pa.float32())),
        ("model_id", pa.string()),
        ("status", pa.string()),
        ("error", pa.string()),
    ]
)

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "'); alert(1); ('",
    '"double" \\" \\\\ `${alert(1)}`',
    "line\u2028and\u2029paragraph\r\nbreaks\x00\x07\x7f",
    "\u202eright to left\u202c \u2067isolate שלום مرحبا",
    "👩🏽‍🎨🖼️ 🏳️‍🌈",
    "javascript:alert(1)",
    "x" * 10_000,
    "&lt;b&gt; &amp; \\u003c \\x3c",
    "__proto__",
    "=HYPERLINK(1)",
]


def labels_table(*rows):
    defaults = dict.fromkeys(LABELS_SCHEMA.names) | {"task": "style", "model_id": "m1", "status": "ok"}
    rows = [defaults | {"image_uri": f"/museum/{row['object_id']}.jpg"} | row for row in rows]
    return pa.Table.from_pylist(rows, schema=LABELS_SCHEMA)


def evaluation(classes=("Cubism", "Rococo"), **changes):
    confusion = [[9 if i == j else 1 for j in range(len(classes))] for i in range(len(classes))]
    level = {"n": 20, "accuracy": 0.9, "balanced_accuracy": 0.9, "confusion": confusion}
    return {
        "task": "style",
        "model_id": "m1",
        "classes": list(classes),
        "majority_share": 0.5,
        "levels": {"artwork": level},
    } | changes


# One statement: the call of JSON.parse with one string literal in which each quote and backslash is escaped.
STATEMENT = re.compile(r"globalThis\.(artrayPage|artrayShards\[\d+\]) = JSON\.parse\('((?:[^'\\\n]|\\[\\'])*)'\);\n")


def decoded(text):
    literal = STATEMENT.fullmatch(text)[2]
    return json.loads(re.sub(r"\\([\\'])", r"\1", literal))


def column(values, places=None, name=None):
    return values if places is None else [values[place] for place in places]


def texts(files):
    """The texts of the files, from their pieces."""
    return {name: "".join(pieces) for name, pieces in files}


def collected(files):
    """The data as one record a work, from the texts of the files."""
    files = texts(files)
    data = decoded(files.pop("collection.js"))
    details = [work for name in sorted(files) for work in decoded(files[name])]
    assert len(details) == data["count"]
    status = column(**data["status"])
    cut = [column(**field) for field in data["fields"]]
    data["works"] = [
        {
            **detail,
            "id": data["id"][i],
            "status": status[i],
            "cut": [field[i] for field in cut],
            "thumbnail": data["thumbnail"][i],
            "strip": data["palette"][i],
            "labels": [(task["label"][i], task["score"][i]) for task in data["labels"]],
        }
        for i, detail in enumerate(details)
    ]
    data["fields"] = [field["name"] for field in data["fields"]]
    return data


def data_of(page):
    data = page.parent / "data"
    return collected((path.name, path.read_text("ascii")) for path in data.iterdir() if path.name != "words.js")


def encoded(works, evaluations=(), run=None, thresholds=None, overview=None):
    return collected(encode_data(works, evaluations, run or {}, Models(thresholds or {}), overview))


def test_every_work_once_with_its_labels(tmp_path):
    rows = [
        {
            "object_id": f"w{i:03}",
            "task": task,
            "label": "a",
            "score": i / 100,
            "scores": [("a", i / 100), ("b", 0.0)],
        }
        for task in ("style", "genre")
        for i in reversed(range(100))
    ]
    page = write_page(tmp_path / "new" / "report", assemble_works(labels_table(*rows)))
    data = data_of(page)
    assert [work["id"] for work in data["works"]] == [f"w{i:03}" for i in range(100)]
    assert [task["name"] for task in data["tasks"]] == ["genre", "style"]
    assert data["works"][37]["labels"] == [(0, 3700)] * 2
    assert data["works"][37]["scores"] == [[0, 0.37]] * 2
    assert data["works"][37]["uri"] == "/museum/w037.jpg"


def test_page_is_complete_and_names_only_its_own_files(tmp_path):
    page = write_page(tmp_path, [])
    scripts = {"page.js"}
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", "page.css", "data", *scripts}
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"collection.js", "words.js"}
    html = page.read_text(encoding="utf-8")
    data = {"data/words.js", "data/collection.js"}
    assert set(re.findall(r'(?:src|href)="([^"#]+)"', html)) == {"page.css", *data, *scripts}
    assert "default-src 'none'" in html
    for name in ("index.html", "page.css", *scripts):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|https?://(?!www\.w3\.org/2000/svg)\w|@import|url\(",
            text,
        )


def test_catalogue_palette_and_thumbnail_join_by_object_id(tmp_path):
    labels = labels_table(
        {"object_id": "b", "label": "Rococo", "label_uri": "http://vocab.getty.edu/aat/1", "score": 0.5},
        {"object_id": "a", "label": "Cubism", "score": 0.75},
    )
    features = pa.table(
        {
            "object_id": ["z", "a", "b"],
            "image_uri": ["z.jpg", "a.jpg", "b.jpg"],
            "medium": ["oil", "ink", None],
            "title": pa.array(["Z", "Aster", "Bath"]).dictionary_encode(),
            "split": ["train"] * 3,
            "palette_rgb": pa.array([None, [[1, 2, 3], [250, 251, 252]], []], pa.list_(pa.list_(pa.uint8()))),
            "palette_share": pa.array([None, [0.75, 0.25], []], pa.list_(pa.float32())),
            "brightness": pa.array([1.0, 128.74, None], pa.float32()),
            "embedding": pa.array([[0.5]] * 3, pa.list_(pa.float32())),
        }
    )
    works = assemble_works(labels, features, {"b": "thumbs/b #1%.jpg"})
    data = data_of(write_page(tmp_path, works))
    a, b = data["works"]
    assert data["fields"] == ["title", "artist", "date", "medium"]
    assert (a["record"], b["record"]) == (["Aster", "", "", "ink"], ["Bath", "", "", ""])
    assert (a["palette"], b["palette"]) == ([[1, 2, 3, 0.75], [250, 251, 252, 0.25]], [])
    assert (a["strip"], b["strip"]) == ("010203bf" + "fafbfc40", "")
    assert (a["brightness"], b["brightness"]) == (128.7, None)
    assert (a["thumbnail"], b["thumbnail"]) == (None, "thumbs/b%20%231%25.jpg")
    assert data["tasks"][0]["classes"] == [
        {"label": "Cubism", "uri": None},
        {"label": "Rococo", "uri": "http://vocab.getty.edu/aat/1"},
    ]


def test_the_museums_own_word_for_the_title_is_not_shown_twice(tmp_path):
    labels = labels_table({"object_id": "a", "label": "Cubism"}, {"object_id": "b", "label": "Cubism"})
    names = {"Titel": ["Meer", "Wald"], "Ort": ["Meer", "Köln"], "title": ["Meer", "Wald"]}
    works = assemble_works(labels, pa.table({"object_id": ["a", "b"], **names}))
    data = data_of(write_page(tmp_path, works))
    assert data["fields"] == ["title", "artist", "date", "Ort"]
    assert data["works"][1]["record"] == ["Wald", "", "", "Köln"]


def test_failed_pictures_keep_their_reason_and_have_no_label(tmp_path):
    statuses = ["missing", "denied", "empty", "not_an_image", "truncated", "too_large", "unsupported", "failed"]
    rows = [{"object_id": status, "status": status, "error": f"why {status}"} for status in statuses]
    data = data_of(write_page(tmp_path, assemble_works(labels_table(*rows, {"object_id": "good", "label": "a"}))))
    failed = {work["id"]: work for work in data["works"] if work["status"] != "ok"}
    assert {work["status"]: work["error"] for work in failed.values()} == {
        status: f"why {status}" for status in statuses
    }
    assert all((work["labels"], work["scores"]) == ([(None, None)], [None]) for work in failed.values())
    assert all(f"reason.{status}" in read_words("en") for status in statuses), "each reason has its words"


def test_work_that_one_model_could_not_use_is_shown_as_failed():
    rows = labels_table(
        {"object_id": "a", "task": "style", "label": "Cubism", "score": 0.5},
        {"object_id": "a", "task": "genre", "status": "truncated", "error": "cut"},
    )
    (work,) = assemble_works(rows)
    assert (work.status, work.error, set(work.labels)) == ("truncated", "cut", {"style"})


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_stays_inside_the_string(tmp_path, text):
    label = {"label": text, "score": 0.5, "scores": [(text, 0.5)], "model_id": text, "label_uri": text}
    failure = {"object_id": f"{text}2", "status": "failed", "error": text}
    labels = labels_table({"object_id": text, "task": text, "image_uri": text} | label, {"task": text} | failure)
    features = pa.table({"object_id": [text], "title": [text], "artist": [text], text + " field": [text]})
    page = write_page(tmp_path, assemble_works(labels, features), [evaluation([text, "b"], task=text)], {"title": text})
    for path in (tmp_path / "data").iterdir():  # the page's own words too
        assert not re.search(rb"[<>]|[^\x20-\x7e\n]", path.read_bytes())
    data = data_of(page)
    work = next(work for work in data["works"] if work["id"] == text)
    assert (work["uri"], work["record"]) == (text, [text, text, "", text])
    cut = text if len(text) <= SEARCHED else text[: SEARCHED - 1] + "…"
    assert work["cut"] == [cut, cut, "", cut]
    assert data["tasks"][0] == {
        "name": text,
        "question": json.dumps(sorted([text, "b"]), separators=(",", ":")),
        "catalogue": None,
        "classes": [{"label": text, "uri": text}, {"label": "b", "uri": None}],
        "multilabel": False,
        "models": [{"id": text, "threshold": None, "doubt": None}],
    }
    assert data["run"] == {"title": text}


anything = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("'\"\\<>/&\u2028\u202e" + string.whitespace))
)


@settings(max_examples=100, deadline=None)
@given(works=st.dictionaries(anything, st.tuples(anything, anything), max_size=4), title=anything)
def test_data_round_trips_any_text(works, title):
    files = texts(
        encode_data(
            [Work(key, uri, labels={"t": Label(label, 0.5, {label: 0.5})}) for key, (uri, label) in works.items()],
            [],
            {"title": title},
            Models(),
            None,
        )
    )
    data = collected(files.items())
    assert "</" not in "".join(files.values())
    classes = [c["label"] for task in data["tasks"] for c in task["classes"]]
    assert {w["id"]: (w["uri"], classes[w["labels"][0][0]]) for w in data["works"]} == works
    assert data["run"]["title"] == title


def test_output_depends_on_nothing_but_the_input(tmp_path):
    rows = [
        {"object_id": f"w{i}", "task": task, "label": "ab"[i % 2], "score": 0.5, "scores": [("b", 0.5), ("a", 0.5)]}
        for i in range(20)
        for task in ("style", "genre")
    ]
    written_texts = []
    for name, order in (("one", rows), ("two", rows[::-1]), ("two", rows)):
        page = write_page(tmp_path / name, assemble_works(labels_table(*order)), [evaluation()], {"title": "T"})
        written_texts.append([path.read_bytes() for path in sorted(page.parent.rglob("*.*"))])
    assert written_texts[0] == written_texts[1] == written_texts[2]


def test_classes_follow_the_bundle_and_scores_are_best_first(tmp_path):
    rows = labels_table(
        {"object_id": "a", "label": "c", "score": 0.6, "scores": [("a", 0.1), ("b", 0.00001), ("c", 0.6), ("d", 0.3)]}
    )
    data = data_of(write_page(tmp_path, assemble_works(rows), [evaluation(["d", "c", "b"])]))
    assert [c["label"] for c in data["tasks"][0]["classes"]] == ["d", "c", "b", "a"]
    assert data["works"][0]["labels"] == [(1, 6000)]
    assert data["works"][0]["scores"] == [[1, 0.6, 0, 0.3, 3, 0.1]]


def test_undefined_numbers_become_null(tmp_path):
    nan = float("nan")
    rows = labels_table({"object_id": "a", "label": "a", "score": nan, "scores": [("a", nan), ("b", 1.0)]})
    level = evaluation()["levels"]["artwork"] | {"balanced_accuracy": nan, "accuracy": None}
    data = data_of(write_page(tmp_path, assemble_works(rows), [evaluation(levels={"artwork": level})]))
    (answer,) = data["works"][0]["labels"]
    assert (data["tasks"][0]["classes"][answer[0]]["label"], answer[1]) == ("a", None)
    assert data["evaluations"][0]["levels"]["artwork"]["balanced_accuracy"] is None


def test_doubled_ids_are_refused():
    row = {"object_id": "a", "label": "x"}
    with pytest.raises(InputError, match="'a' twice"):
        assemble_works(labels_table(row, row))
    with pytest.raises(InputError, match="'a' twice"):
        assemble_works(labels_table(row), pa.table({"object_id": ["a", "a"]}))


def test_labels_that_are_none_are_refused():
    with pytest.raises(InputError, match="lack the column task, score"):
        assemble_works(labels_table().drop_columns(["task", "score"]))


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"levels": {}},
        {"levels": []},
        {"classes": ["one"]},
        {"majority_share": "half"},
        {"levels": {"artwork": {"n": 1, "accuracy": 1, "confusion": [[1, 0]]}}},
    ],
)
def test_evaluation_that_is_none_is_refused(tmp_path, broken):
    with pytest.raises(InputError, match="evaluation"):
        write_page(tmp_path, [], [evaluation() | broken if broken else broken])


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.jpg", "thumbs/../../x.jpg", "//host/x.jpg"])
def test_thumbnail_outside_the_folder_is_refused(tmp_path, path):
    with pytest.raises(InputError, match="outside the page"):
        write_page(tmp_path, [Work("a", "a.jpg", thumbnail=path)])


def test_thumbnail_that_looks_like_an_address_stays_a_file_name():
    data = encoded([Work("a", "a.jpg", thumbnail="javascript:alert(1)")])
    assert data["works"][0]["thumbnail"] == "javascript%3Aalert%281%29"


def test_folder_that_can_not_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"file/report/data/collection\.js: a folder where a file"):
        write_page(tmp_path / "file" / "report", [])


@pytest.mark.parametrize(("number", "file"), [(0, "data/collection.js"), (3, "page.js")])
def test_a_full_disk_is_one_line_that_names_the_file(tmp_path, monkeypatch, number, file):
    opened, files = Path.open, []  # by which the others are written too

    def full(path, mode="r", *arguments, **options):
        if "w" in mode and len(files) == number:
            raise OSError(28, "No space left on device")
        files.extend([path] * ("w" in mode))
        return opened(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(ArtrayError) as raised:
        write_page(tmp_path, [])
    assert str(raised.value) == f"{tmp_path}/{file}: no space left on the disk; with more room the same command goes on"
    assert not isinstance(raised.value, InputError)


def test_large_collection_is_in_several_files_and_an_older_one_leaves_none(tmp_path):
    works = [Work(f"{i:05}", f"{i}.jpg", record={"title": f"Work {i}"}) for i in range(2 * SHARD + 1)]
    page = write_page(tmp_path, works)
    assert {path.name for path in (tmp_path / "data").iterdir()} == {
        "collection.js",
        "words.js",
        *(f"works-000{n}.js" for n in range(3)),
    }
    assert [work["uri"] for work in data_of(page)["works"]] == [f"{i}.jpg" for i in range(2 * SHARD + 1)]
    assert len(data_of(write_page(tmp_path, works[:3]))["works"]) == 3
    assert len(list((tmp_path / "data").iterdir())) == 3


def test_the_users_files_in_the_pages_folder_stay(tmp_path):
    mine = [tmp_path / name for name in ("notes.txt", "data/catalog.csv", "data/works.js", "data/raw/works-0000.js")]
    for file in mine:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    write_page(tmp_path, [Work("a", "a.jpg")])
    write_page(tmp_path, [])
    assert all(file.read_text() == "mine" for file in mine)


def test_values_that_works_share_are_written_once():
    works = [Work(f"{i:04}", "a.jpg", record={"artist": f"Artist {i % 3}"}) for i in range(300)]
    files = texts(encode_data(works, [], {}, Models(), None))
    assert files["collection.js"].count("Artist") == 3
    assert [work["cut"][1] for work in collected(files.items())["works"]] == [f"Artist {i % 3}" for i in range(300)]


def test_works_that_look_like_no_class_are_uncertain():
    novelties = [None, 0.5, float(np.float32(0.95)), 1.0]
    works = [
        Work(f"{i}", "a.jpg", labels={"style": Label("a", 0.9, novelty=novelty)}) for i, novelty in enumerate(novelties)
    ]
    assert encoded(works)["labels"][0]["uncertain"] == [2, 3]


def test_labels_below_their_models_threshold_are_uncertain():
    scores = [0.2, 0.5, 0.9]
    works = [
        Work(f"{i}", "a.jpg", labels={"style": Label("a", score, model_id=model), "genre": Label("b", score)})
        for i, (score, model) in enumerate(zip(scores, ["m1", "m1", "m2"], strict=True))
    ]
    data = encoded(works, thresholds={"m1": 0.5, "m2": math.inf, "other": 0.3})
    genre, style = data["labels"]
    assert (genre["uncertain"], style["uncertain"]) == ([], [0, 2])
    assert [task["models"] for task in data["tasks"]] == [
        [{"id": "", "threshold": None, "doubt": None}],
        [{"id": "m1", "threshold": 0.5, "doubt": None}, {"id": "m2", "threshold": 2, "doubt": None}],
    ]


def test_overview_is_told_by_the_places_of_the_works():
    overview = Overview(
        object_ids=["c", "gone", "a"],
        nearest=np.array([[1, 2], [0, 2], [0, 1]], np.int32),
        similarity=np.array([[0.9, 0.8], [0.9, 0.1], [0.8, 0.1]], np.float32),
        positions=np.array([[0, 0.5], [1, 1], [0.25, 0.75]], np.float32),
    )
    data = encoded([Work(key, f"{key}.jpg") for key in "abc"], overview=overview)
    assert [work["near"] for work in data["works"]] == [[2, 0.8], [], [0, 0.8]]
    assert data["position"] == {"x": [2500, None, 0], "y": [7500, None, 5000]}
    assert encoded([Work("a", "a.jpg")])["position"] is None


def test_objects_of_the_feature_table_come_with_their_boxes():
    seen = {"label": "dog", "score": 0.75, "ymin": 0.1, "xmin": 0.2, "ymax": 0.5, "xmax": 1.0}
    features = pa.table({"object_id": ["a"], "objects": [[seen, seen | {"score": 0.001}]]})
    (work,) = encoded(assemble_works(labels_table({"object_id": "a", "label": "x"}), features))["works"]
    assert work["objects"] == [["dog", 0.75, 0.1, 0.2, 0.5, 1.0]]


def test_evaluation_leads_to_its_page():
    shown = encoded([], [evaluation(page="evaluation-style #1.html"), evaluation(model_id="m2")])["evaluations"]
    assert [item["heading"] for item in shown] == ["style: m1", "style: m2"]
    assert [one["page"] for one in shown] == ["evaluation-style%20%231.html", None]
    with pytest.raises(InputError, match="outside the page"):
        encoded([], [evaluation(page="../elsewhere.html")])


def several(*labels, **scores):
    best = max(scores, key=scores.get)
    return Label(best, scores[best], scores, model_id="m1", labels=labels)


def test_a_work_with_several_labels_has_them_with_their_scores():
    works = [
        Work("a", "a.jpg", labels={"motif": several("river", "sky", "bridge", river=0.9, sky=0.7, bridge=0.3)}),
        Work("b", "b.jpg", labels={"motif": several("sky", river=0.5, sky=0.4, bridge=0.1)}),
        Work("c", "c.jpg", labels={"motif": several(river=0.2, sky=0.1, bridge=0.0)}),
        Work("d", "d.jpg", status="missing"),
    ]
    models = Models(multilabel=frozenset(["m1"]), concepts={"m1": {"sky": "http://sky"}}, doubts={"m1": "No better."})
    data = decoded(texts(encode_data(works, [], {}, models, None))["collection.js"])
    (task,), (labels,) = data["tasks"], data["labels"]
    assert task["multilabel"]
    assert [each["label"] for each in task["classes"]] == ["bridge", "river", "sky"]
    assert task["classes"][2]["uri"] == "http://sky"
    assert task["models"] == [{"id": "m1", "threshold": None, "doubt": "No better."}]
    assert labels["said"] == [[1, 9000, 2, 7000, 0, 3000], [2, 4000], [], None]
    assert labels["label"] == [1, 1, 1, None]
    assert labels["uncertain"] == [2]  # nothing is said of it


def test_a_task_of_one_label_is_told_as_ever():
    data = encoded([Work("a", "a.jpg", labels={"style": Label("x", 0.5)})])
    assert (data["tasks"][0]["multilabel"], data["labels"][0]["said"]) == (False, None)


def test_labels_of_the_table_are_those_of_the_work():
    row = {"object_id": "a", "label": "x", "score": 0.9, "scores": [("x", 0.9), ("y", 0.0)]}
    table = labels_table(row)
    assert next(iter(assemble_works(table))).labels["style"].said == ("x",)
    table = table.append_column("labels", pa.array([["x", "y"]]))
    (work,) = assemble_works(table)
    assert work.labels["style"].said == ["x", "y"]
    assert work.labels["style"].scores == {"x": pytest.approx(0.9), "y": 0.0}


def test_an_evaluation_of_several_labels_says_what_it_found_of_each():
    level = evaluation()["levels"]["artwork"] | {"per_class": {"Cubism": {"recall": 0.75}, "Rococo": {"recall": 0.5}}}
    (shown,) = encoded([], [evaluation(labels="multilabel", levels={"artwork": level})])["evaluations"]
    assert (shown["multilabel"], shown["levels"]["artwork"]["found"]) == (True, [0.75, 0.5])
    (shown,) = encoded([], [evaluation()])["evaluations"]
    assert (shown["multilabel"], shown["levels"]["artwork"]["found"], shown["doubt"]) == (False, None, None)


def test_of_scores_that_look_alike_the_labels_comes_first():
    label = Label("b", 0.500004, {"a": 0.499996, "b": 0.500004})
    (work,) = encoded([Work("w", "w.jpg", labels={"style": label})])["works"]
    assert work["scores"] == [[1, 0.5, 0, 0.5]]
