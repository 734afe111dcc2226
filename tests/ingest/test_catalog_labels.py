"""Labels of a catalogue: their columns, groupings, and several of one work."""

import base64
import json

import pytest

from artray.errors import InputError

THESIS = [
    # Title, Style, Artist, Genre, Tags, Emotion, Image URL; as published, with a title twice and cells left empty
    ("The Fall of Lucifer", "Romanticism", "Gustave Doré", "Religious painting", "fall", "Sadness"),
    ("Portrait of a Knight", "realism", "Vittore Carpaccio", "portrait", "knight", "optimism"),
    ("Portrait of a Knight", "Realism", "Hans Baldung", "portrait", "", "love"),
    ("Untitled", "Realism", "Anon", "landscape", "tree", "Joy"),
    ("Untitled", "Realism", "Anon", "landscape", "tree", "Joy"),
    ("Vincenzo Anastagi", "Mannerism", "El Greco", "Portrait", "", ""),
    ("Never downloaded", "Realism", "Anon", "Portrait", "", "Envy"),
]


@pytest.fixture
def thesis(collection):
    header = ["Title", "Style", "Artist", "Genre", "Tags", "Emotion", "Image URL"]
    collection.describe([dict(zip(header, (*row, "https://x.test/a"), strict=True)) for row in THESIS])
    titles = {title for title, *_ in THESIS[:-1]} | {"Not in the table"}
    collection.add(*(base64.urlsafe_b64encode(title.encode()).decode() + ".jpg" for title in titles))
    return collection


def test_the_thesis_numbers(thesis, capsys):
    """A1: printed as in the thesis' annex A; of a title that stands twice no row is made."""
    counts, rows = thesis.ingest()
    said = capsys.readouterr().err
    numbers = ["styles: 3", "artists: 5", "genres: 3", "tags: 3 (4 with the empty cell: 3 rows)"]
    numbers.append("emotions: 5 (6 with the empty cell: 1 row)")
    assert "".join(f"Number of {line}\n" for line in numbers) in said
    assert "Emotion distribution:\nJOY  2\n" in said
    assert "Style distribution:\nREALISM  5\n" in said
    expected = {
        "rows": 5,
        "catalog_rows": 7,
        "matched": 3,
        "without_record": 2,
        "labelled": {"emotion": 2, "style": 3, "genre": 3},
    }
    assert {name: counts[name] for name in expected} == expected
    assert "pictures named by several rows that disagree: 1" in said
    assert {row["Title"]: (row["Emotion"], row["emotion"], row["style"], row["genre"]) for row in rows} == {
        "The Fall of Lucifer": ("SADNESS", "sadness", "Romanticism", "RELIGIOUS PAINTING"),
        "Untitled": ("JOY", "joy", "Realism", "LANDSCAPE"),
        "Vincenzo Anastagi": (None, None, "Mannerism", "PORTRAIT"),
        None: (None, None, None, None),
    }


def test_emotion_groupings_and_the_genre_filter(thesis, capsys):
    """A2: sixteen emotions to four, a work without one is neutral; portraits only. No record, no label."""
    _, rows = thesis.ingest(grouping={"emotion": "four"})
    assert {row["Title"]: row["emotion"] for row in rows} == {
        "The Fall of Lucifer": "sadness, fear, disgust, anger",
        "Untitled": "optimism, joy, love",
        "Vincenzo Anastagi": "neutral",
        None: None,
    }
    capsys.readouterr()
    counts, rows = thesis.ingest(grouping={"emotion": "four"}, only={"Genre": "portrait"})
    assert {row["Title"]: row["emotion"] for row in rows if row["emotion"]} == {"Vincenzo Anastagi": "neutral"}
    assert counts["labelled"]["emotion"] == 1
    assert "emotion: not portrait: 4" in capsys.readouterr().err


def test_a_mapping_says_how_labels_are_read(collection, capsys):
    cells = ["Dada; Cubism", "Fauve", "Fauvism", "Pointillism", "cubism", "cubism", "Nabis", ""]
    collection.describe([{"Nr": f"W{n}", "Stil": cell, "style": "kept"} for n, cell in enumerate(cells)])
    collection.add(*(f"W{n}.jpg" for n in range(len(cells))))
    mapping = collection.out.with_name("own.yaml")
    how = "{merge: {Bright: [Fauvism, Pointillism]}, min_class_size: 3}"
    mapping.write_text(f"object_id: Nr\nlabels: {{style: Stil}}\nseparator: ;\ntasks: {{style: {how}}}\n")
    counts, rows = collection.ingest(mapping=str(mapping))
    assert [row["style"] for row in rows] == [None, "Bright", "Bright", "Bright", None, None, None, None]
    assert {row["catalog_style"] for row in rows} == {"kept"}
    assert counts["labelled"] == {"style": 3}
    said = capsys.readouterr().err
    for line in (
        "labelled: 3 of 8 rows (Bright 3)",
        "several values: 1 (Dada; Cubism 1)",
        "class too small: 2 (cubism 2)",
        "not in the vocabulary: 1 (Nabis 1)",
        "empty: 1",
        "with --vocabulary style=none each of the column's values is a class",
    ):
        assert f"style: {line}\n" in said
    _, rows = collection.ingest(mapping=str(mapping), label={"kind": "Stil"}, min_class_size=2)
    assert [row["kind"] for row in rows] == [None] * 4 + ["cubism"] * 2 + [None] * 2


MOTIFS = ["river; bridge", "river;sky", "bridge; sky", None, "river", "sky; river; bridge"] * 5


def described(collection):
    names = [f"{number:02d}.jpg" for number in range(len(MOTIFS))]
    collection.add(*names)
    collection.describe([{"file": name, "Motive": motif or ""} for name, motif in zip(names, MOTIFS, strict=True)])


def test_all_values_of_a_cell_where_a_work_may_have_several_labels(collection, capsys):
    described(collection)
    options = {"label": {"motif": "Motive"}, "separator": ";", "multilabel": ["motif"]}
    counts, rows = collection.ingest(**options)
    read = {row["image_uri"][-6:-4]: row["motif"] for row in rows}
    assert [read[f"{number:02d}"] for number in range(6)] == [
        ["river", "bridge"],
        ["river", "sky"],
        ["bridge", "sky"],
        None,
        ["river"],
        ["sky", "river", "bridge"],
    ]
    said = capsys.readouterr().err
    assert counts["labelled"] == {"motif": 25}
    assert "motif: labelled: 25 of 30 rows, 50 labels (bridge 15, river 20, sky 15)" in said
    assert "nothing in" not in said  # each label is in each part
    for part in ("train", "validation", "test"):
        assert {label for row in rows if row["split"] == part for label in row["motif"] or []} == {
            "river",
            "bridge",
            "sky",
        }


def test_a_separator_that_is_said_makes_a_task_with_several_labels(collection, capsys):
    described(collection)
    _, rows = collection.ingest(label={"motif": "Motive", "place": "file"}, separator=";")
    assert rows[0]["motif"] == ["river", "bridge"]
    assert rows[0]["place"] == "00.jpg"  # no cell holds several
    said = capsys.readouterr().err
    assert "motif: cells hold several values (divided by ';', or lists), so a work may have several labels" in said
    _, rows = collection.ingest(label={"motif": "Motive"}, separator=";", one_label=["motif"])
    assert {row["motif"] for row in rows} == {None, "river"}
    assert "motif: several values: 20" in capsys.readouterr().err
    with pytest.raises(InputError, match="give one of the two"):
        collection.ingest(label={"motif": "Motive"}, multilabel=["motif"], one_label=["motif"])


def test_what_a_mapping_says_of_several_values_stays(collection, tmp_path):
    described(collection)
    (tmp_path / "m.yaml").write_text("file: file\nlabels: {motif: Motive}\ntasks: {motif: {several: first}}\n")
    _, rows = collection.ingest(mapping=str(tmp_path / "m.yaml"), separator=";")
    assert [row["motif"] for row in rows[:4]] == ["river", "river", "bridge", None]


def test_lists_of_a_catalogue_in_json_need_no_mark_of_their_own(collection, tmp_path):
    collection.add("a.jpg", "b.jpg")
    works = [{"file": "a.jpg", "subjects": ["sea", "boat"]}, {"file": "b.jpg", "subjects": ["sky"]}]
    (tmp_path / "c.json").write_text(json.dumps(works))
    _, rows = collection.ingest(catalog=str(tmp_path / "c.json"), label={"motif": "subjects"}, separator=";")
    assert [row["motif"] for row in rows] == [["sea", "boat"], ["sky"]]


def test_values_that_are_one_class_are_one_label(collection):
    collection.add("a.jpg", "b.jpg")
    collection.describe([{"file": "a.jpg", "style": "Cubism; cubism"}, {"file": "b.jpg", "style": "Fauvism; unheard"}])
    _, rows = collection.ingest(label={"style": "style"}, separator=";")
    assert [row["style"] for row in rows] == ["Cubism", None]


def test_without_a_separator_one_label_a_work_is_the_default_and_says_what_keeps_all(collection, capsys):
    described(collection)
    _, rows = collection.ingest(label={"motif": "Motive"})
    assert {row["motif"] for row in rows} == {None, "river"}
    said = capsys.readouterr().err
    assert "motif: several values: 20" in said
    assert "--multilabel motif keeps all values of a cell" in said


def test_several_labels_of_a_task_that_is_not_there(collection):
    described(collection)
    with pytest.raises(InputError, match="--multilabel motiv: there is no task 'motiv'"):
        collection.ingest(label={"motif": "Motive"}, multilabel=["motiv"])


def test_corrections_of_several_labels(collection, tmp_path):
    described(collection)
    (tmp_path / "c.csv").write_text("object_id,task,label\n03,motif,sky; river\n04,motif,\n")
    _, rows = collection.ingest(
        label={"motif": "Motive"}, separator=";", multilabel=["motif"], corrections=[str(tmp_path / "c.csv")]
    )
    read = {row["object_id"]: row["motif"] for row in rows}
    assert (read["03"], read["04"], read["00"]) == (["sky", "river"], None, ["river", "bridge"])
