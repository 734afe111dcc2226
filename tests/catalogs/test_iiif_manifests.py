"""IIIF manifests as catalogues."""

import json
from typing import Any

import pytest

from artray.catalogs.columns import guess_mapping
from artray.errors import InputError
from tests.catalogs.read import problems, read


def body(number: int) -> dict[str, Any]:
    return {"id": f"https://iiif.test/{number}/full/max/0/default.jpg", "type": "Image"}


def third(*bodies: Any) -> dict[str, Any]:
    """A manifest of version 3: a canvas a body."""
    canvases = [
        {
            "id": f"https://m.test/{number}",
            "type": "Canvas",
            "label": {"none": [f"f. {number}r"]},
            "items": [{"type": "AnnotationPage", "items": [{"type": "Annotation", "body": each}]}] if each else [],
        }
        for number, each in enumerate(bodies, 1)
    ]
    canvases[0]["metadata"] = [{"label": {"en": ["Hand"]}, "value": {"en": ["A"]}}]
    return {
        "@context": "http://iiif.io/api/presentation/3/context.json",
        "id": "https://m.test/hours",
        "type": "Manifest",
        "label": {"fr": ["Livre d'heures"], "en": ["A book of hours"]},
        "metadata": [
            {"label": {"en": ["Artist"]}, "value": {"en": ["<b>Bruges</b> master", "Another &amp; shop"]}},
            {"label": {"en": ["Date"]}, "value": {"none": ["c. 1480"]}},
        ],
        "items": canvases,
    }


def second(count: int) -> dict[str, Any]:
    """A manifest of version 2, whose pictures are named by their services."""
    canvases = [
        {
            "@id": f"https://m.test/{number}",
            "@type": "sc:Canvas",
            "label": f"f. {number}r",
            "images": [{"resource": {"@type": "dctypes:Image", "service": {"@id": f"https://iiif.test/{number}/"}}}],
        }
        for number in range(1, count + 1)
    ]
    sequences = [{"@type": "sc:Sequence", "canvases": canvases}]
    return {"@id": "https://m.test/hours", "@type": "sc:Manifest", "label": "A book of hours", "sequences": sequences}


def test_a_row_for_each_canvas_with_its_pictures_address() -> None:
    catalog = read(json.dumps(third(body(1), [body(2), body(9)])), "hours.json")
    first, other = catalog.table.to_pylist()
    assert first == {
        "id": "https://m.test/1",
        "work_id": "https://m.test/hours",
        "title": "A book of hours",
        "page": "f. 1r",
        "image_url": "https://iiif.test/1/full/max/0/default.jpg",
        "Artist": "Bruges master|Another & shop",
        "Date": "c. 1480",
        "Hand": "A",
    }
    assert (other["image_url"], other["Hand"]) == ("https://iiif.test/2/full/max/0/default.jpg", None)
    mapping = guess_mapping(catalog.table).mapping
    assert (mapping.url, mapping.object_id, mapping.artwork) == ("image_url", "id", "work_id")
    assert (mapping.artist, mapping.work_title, mapping.date) == ("Artist", "title", "Date")


def test_version_two() -> None:
    catalog = read(json.dumps(second(2)), "hours.json")
    assert catalog.table["image_url"].to_pylist() == [f"https://iiif.test/{n}/full/full/0/default.jpg" for n in (1, 2)]
    assert catalog.table["page"].to_pylist() == ["f. 1r", "f. 2r"]


def test_a_label_that_is_there_several_times_loses_nothing() -> None:
    book = third(body(1))
    book["metadata"] += [{"label": {"en": ["Artist"]}, "value": name} for name in ("A third", "A third", None)]
    book["metadata"] += [{"label": "title", "value": "Hours"}]
    (row,) = read(json.dumps(book), "hours.json").table.to_pylist()
    assert row["Artist"] == "Bruges master|Another & shop|A third"
    assert (row["title"], row["title (metadata)"]) == ("A book of hours", "Hours")


def test_a_book_of_many_pages_says_how_they_stay_together() -> None:
    told = "many pages of one work: --split-by work_id keeps them in one part"
    for pages, wanted in ((10, False), (11, True)):
        catalog = read(json.dumps(second(pages)), "hours.json")
        assert (told in problems(catalog)) == wanted
        assert (guess_mapping(catalog.table).mapping.artwork == "work_id") == (not wanted)


def test_several_manifests_and_what_is_on_their_canvases() -> None:
    choice = {"type": "Choice", "items": [body(3), body(4)]}
    both = third(choice, None)
    twice = third(body(5))
    twice["items"][0]["items"] *= 2
    catalog = read(json.dumps([both, twice]), "books.json")
    assert [url and url.split("/")[3] for url in catalog.table["image_url"].to_pylist()] == ["3", None, "5"]
    assert problems(catalog) == {
        "canvases without a picture": (2,),
        "canvases that show several pictures, the first taken": (3,),
    }


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"type": "Collection", "label": {"en": ["All"]}, "items": [{"type": "Manifest"}] * 7}, "names 7 manifests"),
        (third(None), "none of its 1 canvases shows a picture"),
    ],
)
def test_what_shows_no_picture_is_one_line(document: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(json.dumps(document), "x.json")
