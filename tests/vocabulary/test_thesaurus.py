"""A museum's own thesaurus."""

import csv
import sys

import pytest

from artray.errors import InputError
from artray.vocabulary import load_vocabulary, parse_vocabulary
from artray.vocabulary.thesaurus import parse_thesaurus

TURTLE = """
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix m: <https://museum.org/terms/> .
m:2 a skos:Concept ; skos:prefLabel "Cubism"@en, "Kubismus"@de ; skos:altLabel "Cubist", "shared" ;
    skos:exactMatch <http://www.wikidata.org/entity/Q42934> .
m:1 a skos:Concept ; skos:prefLabel "Jugendstil"@de ; skos:hiddenLabel "Jugenstil" ; skos:altLabel "shared" .
m:3 a skos:Concept ; skos:prefLabel "Cubism"@en .
m:4 a skos:Concept .
"""


def test_skos():
    found = parse_thesaurus(TURTLE.encode(), "terms.ttl")
    assert found.names == ("Cubism", "Cubism <https://museum.org/terms/3>", "Jugendstil")
    assert found.find("kubismus") == found.find("CUBIST") == "Cubism"
    assert found.find("Jugenstil") == "Jugendstil"
    assert found.find("shared") is None
    assert found.uri("Cubism") == "https://museum.org/terms/2"
    assert found.equivalents("Cubism") == ("http://www.wikidata.org/entity/Q42934",)
    assert parse_thesaurus(TURTLE.encode(), "terms.ttl", "de").names[-1] == "Kubismus"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(delimiter):
    rows = [
        ["name", "uri", "aliases", "wikidata"],
        ["Kubismus", "https://m.org/1", "Kubist", "Q42934"],
        ["Ö <b>", "", "", ""],
    ]
    text = "\n".join(delimiter.join(row) for row in rows)
    found = parse_thesaurus(text.encode("utf-8-sig"), "terms.csv")
    assert found.names == ("Kubismus", "Ö <b>")
    assert found.uri("Kubismus") == "https://m.org/1"
    assert found.uri("Ö <b>") is None
    assert found.equivalents("Kubismus") == ("http://www.wikidata.org/entity/Q42934",)


def test_csv_as_people_write_it():
    text = (
        "PrefLabel,URI,altLabel,Wikidata,Iconclass\n"
        "Oil,,oils,http://www.wikidata.org/entity/Q1,\n"
        "Oil,,huile,,25F23(LION)\n"
        "oil,,Öl,,\n"
        "Ink,u:1,encre,,\nInk,u:2,Tusche,,\nInk,u:2,Tinte,,\n"
    )
    found = parse_thesaurus(text.encode(), "terms.csv")
    assert found.names == ("Ink", "Ink <u:2>", "Oil")
    assert {found.find(name) for name in ("oils", "huile", "öl", "OIL")} == {"Oil"}
    assert found.find("Tusche") == found.find("Tinte") == "Ink <u:2>"
    assert found.equivalents("Oil") == ("http://www.wikidata.org/entity/Q1", "https://iconclass.org/25F23%28LION%29")


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("25 F 23 (LION)", "25F23%28LION%29"),
        ("11H(JOHN THE BAPTIST)", "11H%28JOHN%20THE%20BAPTIST%29"),
        ("25F23(LION)(+12) (+46)", "25F23%28LION%29%28%2B12%29%28%2B46%29"),
        ("25F23( LION ) (+ 46)", "25F23%28LION%29%28%2B46%29"),
    ],
)
def test_iconclass_as_it_is_printed(written, address):
    found = parse_thesaurus(f"name,iconclass\nx,{written}\n".encode(), "t.csv")
    assert found.equivalents("x") == (f"https://iconclass.org/{address}",)


@pytest.mark.parametrize("notation", ["lion", "25f23", "25F23 lion", "Q1", "(x)", "25F23(LION"])
def test_what_is_no_iconclass_notation_is_named_with_its_line(notation):
    good = "name,iconclass\nJohn,11H(JOHN)12\nBattle,45(+26)\nNapoleon,61B2(NAPOLEON)11(+52)\n"
    assert len(parse_thesaurus(good.encode(), "t.csv").names) == 3
    with pytest.raises(InputError, match=r"t\.csv, line 5: .* is no Iconclass notation"):
        parse_thesaurus(f"{good}x,{notation}\n".encode(), "t.csv")
    with pytest.raises(InputError, match=r"vocabulary t: .* is no Iconclass notation"):
        parse_vocabulary(f"classes: [{{name: x, iconclass: '{notation}'}}]", "t")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"a,b\n1,2\n", "t.csv"),
        (b"name\n\xff\n", "t.csv"),
        (b"", "t.csv"),
        (b"name\n", "t.csv"),
        (b"@prefix", "t.ttl"),
        (b"<a>", "t.rdf"),
        (b"", "t.ttl"),
    ],
)
def test_what_is_wrong_is_one_line(data, name):
    with pytest.raises(InputError) as caught:
        parse_thesaurus(data, name)
    assert "\n" not in str(caught.value)


def test_a_cell_that_is_too_long_is_one_line():
    before = csv.field_size_limit(1_000)
    try:
        with pytest.raises(InputError, match=r"t\.csv: can.t be read after line 1 "):
            parse_thesaurus(b"name\n" + b"x" * 2_000 + b"\n", "t.csv")
    finally:
        csv.field_size_limit(before)


def test_without_rdflib_there_is_advice(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdflib", None)
    with pytest.raises(InputError, match=r"artray\[skos\]"):
        parse_thesaurus(b"", "t.ttl")


def test_wikidata_beside_aat():
    style = load_vocabulary("style")
    assert style.equivalents("Impressionism") == ("http://www.wikidata.org/entity/Q40415",)
    assert style.equivalents("Kinetic Art") == ()
    assert style.uri("Fauvism") is None
