"""Words for nothing are no labels and no artists, unless they are classes."""

import pyarrow as pa
import pytest

from artray.catalogs.empty_words import says_nothing, without_nobody
from artray.catalogs.labels import read_labels
from artray.vocabulary import parse_vocabulary


@pytest.mark.parametrize(
    "word",
    [
        "NULL", "None", "-", "–", "N/A", "n/a", "n.a.", "NaN", "<NA>", "\\N", "?", "Unknown", "unbekannt", "Inconnu",
        "indéterminé", "k. A.", "[unbekannt]", "(none)", "nicht erfasst", "s. n.", "(not recorded)",
        "sconosciuto", "desconocido", "onbekend", "okänd", "неизвестно", "不明", "*", "—", "…",
        "none recorded", "Not yet classified", "keine", "aucune", "brak", "なし", "нет",
    ],
)  # fmt: skip
def test_words_for_nothing(word: str) -> None:
    assert says_nothing(word)


@pytest.mark.parametrize(
    "word", ["Cubism", "Naïve", "Nude", "N", "0", "1", "★★★", "Anonymous school", "Ka", "None of these", "[Sea]", "()"]
)
def test_words_for_something(word: str) -> None:
    assert not says_nothing(word)


def test_they_are_empty_cells_and_counted() -> None:
    cells = ["NULL", "Cubism", "Fauvism", "N/A", "Unknown", "None", "-", "n/a", "Cubism; unknown", None]
    labels = read_labels(pa.array(cells), separator=";")
    assert labels.labels.to_pylist() == [None, "Cubism", "Fauvism", *[None] * 5, "Cubism", None]
    assert str(labels.dropped["empty"]) == "7 (NULL 1, N/A 1, Unknown 1, None 1, - 1, n/a 1)"


def test_a_class_that_is_named_stays_one() -> None:
    cells = pa.array(["none", "slight", "unknown"])
    vocabulary = parse_vocabulary("classes: [{name: none}, {name: slight}]", "damage")
    assert read_labels(cells, vocabulary).labels.to_pylist() == ["none", "slight", None]
    assert read_labels(cells, keep=["none", "slight"]).labels.to_pylist() == ["none", "slight", None]
    assert read_labels(cells, merge={"some": ["slight", "unknown"]}).labels.to_pylist() == [None, "some", "some"]


def test_null_is_no_artist_and_unknown_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    table = pa.table({"artist": ["NULL", "Unknown", "Anonymous", "-", None, "Monet"]})
    found = without_nobody(table, "artist")["artist"].to_pylist()
    assert found == [None, "Unknown", "Anonymous", None, None, "Monet"]
    assert "artist: NULL, n/a and the like, taken for no artist: 2" in capsys.readouterr().err
    assert without_nobody(table, None) is table
