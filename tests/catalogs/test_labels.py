"""Labels from cells: every row is labelled or counted as dropped."""

import base64
import csv
import gzip
import io
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artray.catalogs.catalog import read_catalog
from artray.catalogs.columns import guess_mapping, uppercase
from artray.catalogs.label_lists import undivided
from artray.catalogs.labels import count_classes, count_values, keep_rows, read_labels, spelled_alike
from artray.catalogs.matching import match
from artray.errors import InputError
from artray.vocabulary import fold, load_vocabulary

TATE = Path(__file__).parents[3] / "shared" / "data" / "tate_artworks_flat.csv.gz"
STYLE = load_vocabulary("style")
EMOTION = load_vocabulary("emotion-16")


def cells(*values: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, pa.string())], pa.string())


def test_vocabulary_case_and_aliases() -> None:
    found = read_labels(cells("IMPRESSIONISM", "Post_Impressionism", "PopArt", "British Pop", None), STYLE)
    assert found.labels.to_pylist() == ["Impressionism", "Post-Impressionism", "Pop Art", None, None]
    assert found.classes == ("Impressionism", "Post-Impressionism", "Pop Art")
    assert {why: (what.count, what.values) for why, what in found.dropped.items()} == {
        "not in the vocabulary": (1, (("British Pop", 1),)),
        "empty": (1, ()),
    }
    assert found.lines() == [
        "labelled: 3 of 5 rows (Impressionism 1, Post-Impressionism 1, Pop Art 1)",
        "  not in the vocabulary: 1 (British Pop 1)",
        "  empty: 1",
    ]


@pytest.mark.parametrize(
    ("several", "labels"),
    [
        ("drop", ["Cubism", None, None, "Cubism"]),
        ("first", ["Cubism", "Cubism", None, "Cubism"]),
        ("known", ["Cubism", None, "Cubism", "Cubism"]),
    ],
)
def test_cells_with_several_values(several, labels: list[str | None]) -> None:
    column = cells("Cubism|", "Cubism|Dada", "Ruralists|Cubism", "cubist|CUBISM")
    assert read_labels(column, STYLE, separator="|", several=several).labels.to_pylist() == labels


def test_the_six_classes_of_study_004() -> None:
    """Artists with several genres are dropped, then six classes kept."""
    genres = cells(
        "Impressionism", "Impressionism,Post-Impressionism", "Pop Art", "Byzantine Art", "Suprematism", "Cubism"
    )
    found = read_labels(genres, STYLE, separator=",", grouping="six-styles")
    assert found.labels.to_pylist() == ["Impressionism", None, "Pop Art", "Byzantine Art", None, "Cubism"]
    assert {why: what.count for why, what in found.dropped.items()} == {"several values": 1, "not in the grouping": 1}
    assert found.classes == ("Impressionism", "Cubism", "Pop Art", "Byzantine Art")


def test_emotions_in_four_and_two_groups() -> None:
    column = cells("SADNESS", "neutral", None, "Lust", "JOY", "gratitude")
    four = read_labels(column, EMOTION, grouping="four")
    order = list(EMOTION.grouping("four"))
    assert [label and order.index(label) for label in four.labels.to_pylist()] == [0, 1, 1, 2, 3, None]
    assert four.dropped["not in the vocabulary"].values == (("gratitude", 1),)
    two = read_labels(column, EMOTION, grouping="two")
    assert [label == "positive" for label in two.labels.to_pylist()[:5]] == [False, False, False, False, True]


def test_without_a_vocabulary_the_most_frequent_spelling_names_the_class() -> None:
    found = read_labels(cells("Landscape", "LANDSCAPE", "LANDSCAPE", "portrait", ""))
    assert found.labels.to_pylist() == ["LANDSCAPE", "LANDSCAPE", "LANDSCAPE", "portrait", None]
    assert found.classes == ("LANDSCAPE", "portrait")
    assert found.dropped["empty"].count == 1


def test_apostrophes_make_no_other_class() -> None:
    assert read_labels(cells("L'art", "L’art", "L`art", "L'art")).classes == ("L'art",)


def test_classes_that_are_spelled_alike_are_named() -> None:
    told = spelled_alike({"Art Deco": 3, "Art Déco": 2, "1": 1, "01": 1, "1.0": 1, "A-": 1, "A+": 1, "Dada": 1})
    assert told is not None
    assert told.startswith("classes that are spelled alike: 'Art Deco' 3, 'Art Déco' 2; '1' 1, '01' 1, '1.0' 1 (a")
    assert spelled_alike({"Cubism": 1, "Dada": 1, "-1": 1, "1": 1}) is None


@pytest.mark.parametrize("mark", [", ", " / ", " & ", "<br>", "::", " und "])
def test_values_that_nothing_divides_are_named(mark: str) -> None:
    both = f"Dada{mark}Cubism"
    told = undivided(cells("Dada", "Cubism", both, both, ""), None)
    assert (
        told == f"2 cells with {mark!r} between values that are labels by themselves ({both}); --separator divides them"
    )
    assert undivided(cells("Dada", f"Dada{mark}Rococo"), None) is None
    assert undivided(cells(f"Dada{mark}Cubism"), STYLE) is not None


def test_merge_keep_and_minimum_size() -> None:
    column = cells(*["Cubism"] * 3, *["Analytical Cubism"] * 2, "Dada", "Fauvism", "Fauvism")
    found = read_labels(
        column, STYLE, merge={"Cubism": ["Cubism", "Analytical Cubism"]}, keep=["Cubism", "Dada"], min_class_size=2
    )
    assert found.counts == {"Cubism": 5}
    assert {why: (what.count, what.values) for why, what in found.dropped.items()} == {
        "class not kept": (2, (("Fauvism", 2),)),
        "class too small": (1, (("Dada", 1),)),
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": ["Kubismus"]}, "no class 'Kubismus'"),
        ({"merge": {"x": ["Kubismus"]}}, "no class 'Kubismus'"),
        ({"merge": {"x": ["Dada"], "y": ["Dada"]}}, "merged into 'x' and into 'y'"),
        ({"grouping": "seven"}, "no grouping 'seven'"),
    ],
)
def test_wrong_options(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_labels(cells("Dada"), STYLE, **options)
    with pytest.raises(InputError, match="needs a vocabulary"):
        read_labels(cells("Dada"), grouping="four")


@settings(deadline=None)
@given(
    st.lists(
        st.none() | st.lists(st.sampled_from(["Dada", "dada", "Cubism", "Rococo", "x", ""]), max_size=3).map("|".join),
        max_size=30,
    ),
    st.sampled_from(["drop", "first", "known"]),
    st.integers(1, 4),
    st.booleans(),
)
def test_every_row_is_labelled_or_counted(values: list[str | None], several, minimum: int, keep: bool) -> None:
    found = read_labels(
        cells(*values),
        STYLE,
        separator="|",
        several=several,
        keep=["Dada", "Cubism"] if keep else None,
        min_class_size=minimum,
    )
    labels = found.labels.to_pylist()
    assert len(labels) == len(values)
    assert Counter(label for label in labels if label) == found.counts
    assert sum(found.counts.values()) + sum(what.count for what in found.dropped.values()) == len(values)
    assert all(count >= minimum for count in found.counts.values())
    assert list(found.classes) == [name for name in STYLE.names if name in found.counts]


def test_genre_filter() -> None:
    column = cells("Portrait", "PORTRAIT|Landscape", "self-portrait", None)
    assert keep_rows(column, ["portrait"], separator="|").to_pylist() == [True, True, False, False]
    with pytest.raises(InputError, match=r"no row has 'portraits'; there are 'portrait'"):
        keep_rows(column, ["portraits"], separator="|")


def test_counts_as_the_thesis_prints_them() -> None:
    table = pa.table(
        {"Style": ["REALISM", "REALISM", "DADA"], "Emotion": ["JOY", None, "FEAR"], "Tags": ["a", "b", "c"]}
    )
    # len(set(column)) there: an empty cell counts as one value more.
    assert count_classes(table, ["Style", "Emotion", "Tags"]) == [
        "Number of styles: 2",
        "Number of emotions: 2 (3 with the empty cell: 1 row)",
        "Number of tags: 3",
    ]
    assert count_values(table, "Style", top=1) == ["Style distribution:", "REALISM  2", "and 1 more"]


def test_the_thesis_from_workbook_to_groups() -> None:
    """A1 and A2 in small: rows in, matched, labelled, grouped; the join multiplies nothing."""
    works = [
        ("The Fall of Lucifer", "Romanticism", "Gustave Dore", None, "angels", "sadness"),
        (
            "The Four Horsemen of the Apocalypse",
            "Northern Renaissance",
            "Albrecht Dürer",
            "Religious Painting",
            "",
            "Anger",
        ),
        (
            "The Four Horsemen of the Apocalypse",
            "Northern Renaissance",
            "Albrecht Dürer",
            "Religious Painting",
            "",
            "anger",
        ),
        ("Vincenzo Anastagi", "Mannerism", "El Greco", "portrait", "", "OPTIMISM"),
        ("Peasants and horse", "Realism", "A", "genre painting", "horses", None),
        ("Portrait of a Knight", "High Renaissance", "B", "Portrait", "", "pride"),
    ]
    book = openpyxl.Workbook()
    book.active.append(["Title", "Style", "Artist", "Genre", "Tags", "Emotion", "Image URL"])
    for work in works:
        book.active.append([*work, "https://museum.test/" + quote(work[0]) + "/original"])
    stream = io.BytesIO()
    book.save(stream)
    stream.seek(0)
    catalog = read_catalog(stream, "emos.xlsx")
    mapping = guess_mapping(catalog.table).mapping
    table = uppercase(catalog.table, mapping.uppercase)
    assert count_classes(table, ["Style", "Artist", "Genre", "Emotion"]) == [
        "Number of styles: 5",
        "Number of artists: 5",
        "Number of genres: 3 (4 with the empty cell: 1 row)",
        "Number of emotions: 4 (5 with the empty cell: 1 row)",
    ]
    assert count_values(table, "Emotion", top=1) == ["Emotion distribution:", "ANGER  2", "and 3 more"]

    titles = list(dict.fromkeys(work[0] for work in works))
    names = [base64.urlsafe_b64encode(title.encode()).decode() + ".jpg" for title in titles] + ["cover.jpg"]
    found = match(pa.table({"path": names}), table, mapping)
    assert found.report.lines() == [
        "pictures with a row: 5 of 6 (5 by base64)",
        "rows with a picture: 6 of 6",
        "pictures that no row names: 1 (cover.jpg)",
        f"pictures named by several rows that agree: 1 ({names[1]})",
    ]
    emotions = table["Emotion"].take(found.table["row"].drop_null())
    grouped = read_labels(emotions, EMOTION, grouping="four")
    assert grouped.lines() == [
        "labelled: 4 of 5 rows (sadness, fear, disgust, anger 2, neutral 1, optimism, joy, love 1)",
        "  not in the vocabulary: 1 (PRIDE 1)",
    ]
    genres = table["Genre"].take(found.table["row"].drop_null())
    assert keep_rows(genres, ["portrait"]).to_pylist() == [False, False, True, False, True]


@pytest.mark.slow
@pytest.mark.skipif(not TATE.exists(), reason="needs the shared data")
def test_tate_movements() -> None:
    with gzip.open(TATE, "rt", encoding="utf-8", newline="") as file:
        movements = [row["movements"] or None for row in csv.DictReader(file)]
    found = read_labels(cells(*movements), STYLE, separator="|", several="known", min_class_size=20)
    assert found.dropped["empty"].count == 69_202 - 6_203
    assert sum(found.counts.values()) + sum(what.count for what in found.dropped.values()) == 69_202
    assert found.counts["Neoclassicism"] > 200
    assert found.dropped["not in the vocabulary"].values[0][0] == "British Pop"


@pytest.mark.parametrize("values", [["-1", "0", "1"], ["−0.5", "0.5"], ["A", "A-", "A+", "B"], ["1.5", "15", "1 5"]])
def test_signs_and_grades_are_labels_of_their_own(values):
    assert len({fold(value) for value in values}) == len(values)
