"""JSON as museums' systems and APIs give it: lists, answers, pages, lines, sequences, single objects, folders."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from artray.catalogs.catalog import Catalog, read_catalog
from artray.catalogs.folder import load_catalog
from artray.errors import InputError
from artray.storage import Location

WORKS = [
    {
        "id": 90000 + n,
        "title": f"W{n}",
        "creators": [{"id": n, "description": f"A{n}"}],
        "images": {"web": {"url": "u"}},
    }
    for n in range(6)
]
ALL = [str(work["id"]) for work in WORKS]


def read(content: Any, name: str = "c.json", **options) -> Catalog:
    text = content if isinstance(content, str) else json.dumps(content)
    return read_catalog(io.BytesIO(text.encode()), name, **options)


def ids(catalog: Catalog) -> list[str]:
    return catalog.table["id"].to_pylist()


@pytest.mark.parametrize(
    "answer",
    [
        {"pagination": {"total": 6}, "data": WORKS},
        {"info": {"total": 6}, "records": WORKS},
        {"elapsedMilliseconds": 0, "count": 6, "artObjects": WORKS, "facets": [{"name": "x"}]},
        {"offset": 0, "items": WORKS},
        {"data": {"objects": {"edges": [{"node": work} for work in WORKS]}}},
        [{"record": work} for work in WORKS],
        {"response": {"docs": WORKS, "numFound": 6}},
        {"took": 1, "hits": {"total": 6, "hits": [{"_id": "x", "_source": work} for work in WORKS]}},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": work} for work in WORKS]},
        {"@context": "http://x", "id": "https://x.test/set", "type": "Collection", "orderedItems": WORKS},
        {"title": "Artworks", "data": WORKS},
        [{"page": 1, "data": WORKS[:4]}, {"page": 2, "data": WORKS[4:]}, {"page": 3, "data": []}],
        [WORKS[:3], WORKS[3:]],
        {"columns": ["id", "title"], "index": [0], "data": [[work["id"], work["title"]] for work in WORKS]},
        {"id": {str(n): work["id"] for n, work in enumerate(WORKS)}},
        {f"1915.{n}": work for n, work in enumerate(WORKS)},
        {"head": {"vars": ["id"]}, "results": {"bindings": [{"id": {"type": "literal", "value": n}} for n in ALL]}},
        [{"id": {"$oid": n}, "title": "x"} for n in ALL],
        WORKS,
    ],
)
def test_answers_of_apis(answer: Any) -> None:
    assert ids(read(answer)) == ALL


LINES = "\n".join(map(json.dumps, WORKS))


@pytest.mark.parametrize(
    "text",
    [
        LINES,
        "\ufeff" + LINES,
        "\x1e" + LINES.replace("\n", "\n\x1e"),
        "\n".join(json.dumps(work, indent=1) for work in WORKS),
        "".join(map(json.dumps, WORKS)),
        "\n".join(json.dumps({"data": WORKS[n : n + 2]}) for n in (0, 2, 4)),
        "\n".join(json.dumps(WORKS[n : n + 3]) for n in (0, 3)),
    ],
)
@pytest.mark.parametrize("name", ["c.json", "c.jsonl", "c.ndjson"])
def test_several_values_in_a_file(text: str, name: str) -> None:
    assert ids(read(text, name)) == ALL


@pytest.mark.parametrize("one", [WORKS[0], {"data": WORKS[0]}, {"artObject": WORKS[0], "elapsed": 3}])
def test_one_object(one: Any) -> None:
    assert ids(read(one)) == ["90000"]


def test_several_lists_are_asked_about() -> None:
    content = {"objects": WORKS, "exhibitions": [{"id": 1, "title": "x"}]}
    with pytest.raises(
        InputError, match=r"2 lists of objects: objects \(6\), exhibitions \(1\); --records says"
    ) as caught:
        read(content)
    assert "\n" not in str(caught.value)
    assert ids(read(content, records="objects")) == ALL
    assert ids(read({"a": {"b.c": WORKS}, "d": WORKS}, records="a.b.c")) == ALL
    with pytest.raises(InputError, match="--records works: there is no list of objects in that place"):
        read(content, records="works")
    with pytest.raises(InputError, match=r"--records a: c\.csv is not JSON"):
        read("id\n1\n", "c.csv", records="a")


def test_a_search_without_records_is_refused() -> None:
    with pytest.raises(InputError, match="neither a list of objects nor an object of lists"):
        read({"total": 3, "objectIDs": [1, 2, 3]})


def test_lists_within_records_are_no_records() -> None:
    works = [{"file": f"{n}.jpg", "tags": [{"term": "a"}, {"term": "b"}]} for n in range(3)]
    assert read(works).table["file"].to_pylist() == ["0.jpg", "1.jpg", "2.jpg"]
    assert read("\n".join(map(json.dumps, works)), "c.jsonl").table.num_rows == 3
    assert read([{"Bild": "a.jpg", "tags": ["x", "y"], "makers": [{"n": "A"}]}]).table["tags"].to_pylist() == ["x|y"]


def test_what_is_left_out_is_counted() -> None:
    catalog = read([{"data": WORKS}, {"error": "timeout"}, 3])
    assert ids(catalog) == ALL
    assert [str(problem) for problem in catalog.problems] == [
        "entries that are not a JSON object, left out: 1 (line 3)",
        "answers without records in data: 1 (line 2)",
    ]


@pytest.mark.parametrize("name", ["c.json", "c.jsonl"])
def test_depth_is_bounded(name: str) -> None:
    for text in ("[" * 100_000, '{"a":' * 100_000, '{"id": 1, "a": ' + "[" * 900 + "]" * 900 + "}"):
        try:
            catalog = read(text, name)
        except InputError:
            continue
        assert catalog.table.num_rows == 1


def test_rows_of_a_data_set_as_its_viewer_answers() -> None:
    features = [
        {"feature_idx": 0, "name": "file", "type": {"dtype": "string", "_type": "Value"}},
        {"feature_idx": 1, "name": "style", "type": {"names": ["Cubism", "Fauvism"], "_type": "ClassLabel"}},
    ]

    def answer(*numbers: int) -> dict[str, Any]:
        rows = [
            {"row_idx": n, "row": {"file": f"{n}.jpg", "style": n % 2}, "truncated_cells": ["file"] if n == 3 else []}
            for n in numbers
        ]
        return {"features": features, "rows": rows, "num_rows_total": 9, "partial": False}

    catalog = read(answer(0, 1, 2))
    assert catalog.table.to_pydict() == {
        "file": ["0.jpg", "1.jpg", "2.jpg"],
        "style": ["Cubism", "Fauvism", "Cubism"],
    }
    assert catalog.problems == ()
    pages = read("\n".join(json.dumps(answer(*page)) for page in ((0, 1), (2, 3))), "c.jsonl")
    assert pages.table["style"].to_pylist() == ["Cubism", "Fauvism"] * 2
    assert [*map(str, pages.problems)] == [
        "rows with cells that the server has cut short (truncated_cells): 1 (line 4)"
    ]


def test_a_folder_of_files(tmp_path: Path) -> None:
    for work in WORKS:
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / f"{work['id']}.json").write_text(json.dumps(work))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "notes.txt").write_text("x")
    catalog = load_catalog(Location.parse(str(tmp_path)))
    assert ids(catalog) == ALL
    assert catalog.form == "7 JSON files"
    assert [str(problem) for problem in catalog.problems] == ["files that are not JSON, left out (broken.json): 1"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="a folder as catalogue holds JSON files or tables, and there are none"):
        load_catalog(Location.parse(str(tmp_path / "empty")))
    with pytest.raises(InputError, match=r"nowhere\.json: not found"):
        load_catalog(Location.parse(str(tmp_path / "nowhere.json")))


def test_an_empty_list_holds_no_records() -> None:
    with pytest.raises(InputError, match=r"c\.json: holds an empty list, and no records"):
        read([])


def test_a_work_with_its_picture_alone_stays_a_work() -> None:
    works = [{"id": "1", "image": {"id": "a"}}, {"image": {"id": "b"}}]
    assert read(works).table["id"].to_pylist() == ["1", None]


def test_a_name_given_twice_is_said(tmp_path: Path) -> None:
    """JSON leaves open which of its values counts; in a catalogue it is the last."""
    works = ['{"id": "1", "title": "a", "title": "b"}', '{"id": "2", "title": "c"}', '{"id": "3", "id": "4", "x": "c"}']
    told = ["2 objects give a name twice ('title', 'id'): the last value counts"]
    for text, name in (
        (f"[{', '.join(works)}]", "c.json"),
        ("\n".join(works), "c.json"),
        ("\n".join(works), "c.jsonl"),
    ):
        found = read(text, name)
        assert ids(found) == ["1", "2", "4"]
        assert found.table["title"].to_pylist() == ["b", "c", None]
        assert [problem for problem in map(str, found.problems) if "twice" in problem] == told
    for number, work in enumerate(works):
        (tmp_path / f"{number}.json").write_text(work)
    assert told[0] in map(str, load_catalog(Location.parse(str(tmp_path))).problems)
