"""Titles, artists and dates by their columns' names, in museums' languages."""

import pyarrow as pa
import pytest

from artray.catalogs.columns import guess_mapping
from artray.catalogs.roles import ARTISTS, DATES, LABELS, TITLES, folded


@pytest.mark.parametrize(
    ("title", "artist", "date"),
    [
        ("Title", "Artist", "Date"),
        ("object_title", "Maker", "Object Date"),
        ("Titel", "Künstler", "Datierung"),
        ("Werktitel", "Künstler/in", "Entstehungszeit"),
        ("Bezeichnung", "Kuenstler", "Jahr"),
        ("Titre", "Auteur", "Date de création"),
        ("TITRE", "Artiste", "Année"),
        ("Titolo", "Autore", "Datazione"),
        ("Titolo dell'opera", "Artista", "Anno"),
        ("Título", "Autor", "Fecha"),
        ("Titulo", "Artista", "Año"),
        ("Titel", "Vervaardiger", "Datering"),
        ("Titel", "Kunstenaar", "Jaar"),
        ("Titel", "Konstnär", "Årtal"),
        ("Titel", "Upphovsman", "Datering"),
        ("Название", "Автор", "Дата"),
        ("作品名", "作者", "制作年"),
    ],
)
def test_names_in_many_languages(title: str, artist: str, date: str) -> None:
    table = pa.table({"x": ["1"], date: ["1900"], artist: ["Monet"], title: ["Sea"]})
    mapping = guess_mapping(table).mapping
    assert (mapping.work_title, mapping.artist, mapping.date) == (title, artist, date)
    assert mapping.described() == {"title": title, "artist": artist, "date": date}


def test_folded() -> None:
    assert [folded(name) for name in ("Künstler/in", "Année ", "object_title")] == [
        "kunstlerin",
        "annee",
        "objecttitle",
    ]


@pytest.mark.parametrize("name", ["Künstler / Urheber", "Artist(s)", "Künstler (Name)", "Artiste, école"])
def test_names_with_something_behind(name: str) -> None:
    assert guess_mapping(pa.table({"x": ["1"], name: ["Monet"]})).mapping.artist == name


def test_addresses_of_pictures_inside_objects() -> None:
    images = ['{"web": {"url": "https://x.test/1.jpg", "width": "893"}}', '{"web": {"url": "https://x.test/2.jpg"}}']
    assert guess_mapping(pa.table({"id": ["1", "2"], "images": images})).mapping.url == "images.web.url"
    several = ['[{"url": "https://x.test/1.jpg"}, {"url": "https://x.test/2.jpg"}]'] * 2
    assert guess_mapping(pa.table({"id": ["1", "2"], "images": several})).mapping.url is None


def test_all_names_are_as_they_are_compared() -> None:
    labels = [name for names in LABELS.values() for name in names]
    assert [name for name in (*TITLES, *ARTISTS, *DATES, *labels) if folded(name) != name] == []


@pytest.mark.parametrize(
    ("column", "task"),
    [("Stil", "style"), ("Estilo", "style"), ("Stile", "style"), ("Género", "genre"), ("Objektart", "classification")],
)
def test_labels_by_their_names(column: str, task: str) -> None:
    table = pa.table({"Nr": ["1", "2"], column: ["a", "b"]})
    assert guess_mapping(table).mapping.labels == {task: column}
