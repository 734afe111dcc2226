"""Vocabularies: what ships is consistent, and has no AAT number without evidence."""

import re
from pathlib import Path

import pytest

from artray.errors import InputError
from artray.vocabulary import AAT, Class, fold, load_vocabulary, parse_vocabulary, vocabularies

FACTS = Path(__file__).parents[3] / "shared" / "facts" / "aat.md"


def test_what_ships() -> None:
    assert vocabularies() == ("emotion-16", "medium", "style", "valence")
    for name in vocabularies():
        vocabulary = load_vocabulary(name)
        assert vocabulary.description
        assert len(set(vocabulary.names)) == len(vocabulary.names)
        for each in vocabulary.classes:
            assert vocabulary.find(each.name.upper()) == each.name
            assert all(vocabulary.find(alias) == each.name for alias in each.aliases)


@pytest.mark.skipif(not FACTS.exists(), reason="needs the list of numbers with evidence")
def test_every_aat_number_has_evidence_and_its_concept() -> None:
    evidence = {number: fold(name) for name, number in re.findall(r"([\w /-]+?) (3\d{8})", FACTS.read_text("utf-8"))}
    assert len(evidence) >= 28
    for name in vocabularies():
        for each in load_vocabulary(name).classes:
            if each.uri is not None:
                assert each.uri.startswith(AAT)
                term = evidence[each.uri.removeprefix(AAT)]
                assert term in {fold(each.name), *map(fold, each.aliases)}, each


def test_aat_numbers_of_well_known_styles() -> None:
    style = load_vocabulary("style")
    assert style.uri("Impressionism") == "http://vocab.getty.edu/aat/300021503"
    assert style.uri("Fauvism") is None
    assert style.uri("no such style") is None


@pytest.mark.parametrize(
    ("text", "name"),
    [("Post_Impressionism", "Post-Impressionism"), ("ART NOUVEAU (MODERN)", "Art Nouveau"), ("PopArt", "Pop Art"),
     ("pop", "Pop Art"), ("Naïve Art", "Naive Art"),
     ("Neo-Classicism", "Neoclassicism"), ("British Pop", None), ("", None)],
)  # fmt: skip
def test_find(text: str, name: str | None) -> None:
    assert load_vocabulary("style").find(text) == name


def test_emotions_as_the_thesis_groups_them() -> None:
    emotion = load_vocabulary("emotion-16")
    four = list(emotion.grouping("four"))
    published = {
        "sadness": 0,
        "fear": 0,
        "disgust": 0,
        "anger": 0,
        "neutral": 1,
        "lust": 2,
        "envy": 2,
        "surprise": 2,
        "optimism": 3,
        "joy": 3,
        "love": 3,
    }
    assert {name: four.index(emotion.group(name, "four") or "") for name in emotion.names} == published
    assert emotion.missing["four"] == four[1]
    two = list(emotion.grouping("two"))
    assert {name: two.index(emotion.group(name, "two") or "") for name in emotion.names} == {
        name: int(number == 3) for name, number in published.items()
    }
    assert emotion.missing["two"] == two[0]


def test_movements_of_pandora_and_the_six_styles() -> None:
    style = load_vocabulary("style")
    assert len(style.grouping("pandora18k")) == 18
    assert len(style.grouping("six-styles")) == 6
    assert style.group("Rococo", "six-styles") is None
    with pytest.raises(InputError, match="no grouping 'seven'"):
        style.group("Rococo", "seven")


def test_own_vocabulary() -> None:
    vocabulary = parse_vocabulary("classes: [oil, {name: gouache, aat: 1, aliases: [body colour]}]", "technique")
    assert vocabulary.classes == (Class("oil"), Class("gouache", f"{AAT}1", ("body colour",)))
    assert vocabulary.find("Body-Colour") == "gouache"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("classes: []", "no classes"),
        ("classes: [a, A]", "names both a and A"),
        ("classes: [a, {name: b, aliases: [A]}]", "names both a and b"),
        ("classes: [a]\ngroupings: {g: {x: [b]}}", "does not exist"),
        ("classes: [a]\ngroupings: {g: {x: [a], y: [a]}}", "twice"),
        ("classes: [a]\nmissing: {g: x}", "missing"),
        ("classes: [{name: a, att: 1}]", "can't be read"),
        ("classes: [{name: a, aliases: b}]", "can't be read"),
        ("a: [", "can't be read"),
        ("3", "can't be read"),
    ],
)
def test_wrong_vocabularies(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_vocabulary(text, "x")
    assert "\n" not in str(caught.value)


def test_unknown_vocabulary() -> None:
    with pytest.raises(InputError, match=r"there is no vocabulary '\.\./style', but emotion-16"):
        load_vocabulary("../style")
