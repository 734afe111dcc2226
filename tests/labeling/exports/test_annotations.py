import json
import sys
import tarfile
from pathlib import Path

import jsonschema
import pytest

from artray.labeling.exports import annotations
from artray.labeling.exports.annotations import write_annotations
from artray.labeling.exports.files import whole_files
from artray.labeling.exports.source import iri, read_source
from artray.storage import Location
from tests.labeling.exports.test_exports import pages

BASE = "https://museum.example.org/art"


def written(tmp_path: Path, labels: str, features: str | None = None, base: str | None = None) -> list[dict]:
    write_annotations(
        read_source(Location.parse(labels), features and Location.parse(features), base_uri=base),
        tmp_path / "page" / "exports" / "annotations",
    )
    return list(pages(tmp_path / "page"))


@pytest.fixture
def iiif(monkeypatch):
    """iiif-prezi3, generated from IIIF's own JSON schema. Its bound on Pillow keeps it out of the environment."""
    folder = Path(sys.prefix) / "validators"
    monkeypatch.syspath_prepend(str(folder))
    return pytest.importorskip("iiif_prezi3", reason=f"pip install --no-deps --target {folder} iiif-prezi3")


def test_iiif_reads_them(tmp_path, collection, features, iiif):
    read = written(tmp_path, collection, features, BASE)
    items = [item for page in read for item in page["items"]]
    for item in items:
        own = {name: value for name, value in item.items() if name != "score"}
        parsed = iiif.Annotation.model_validate(own)
        again = json.loads(parsed.model_dump_json(exclude_unset=True, by_alias=True))
        assert (again["motivation"], again["body"][0]["value"]) == (item["motivation"], item["body"][0]["value"])
    for page in read:
        # IIIF has partOf as a list of objects, the W3C as one IRI.
        iiif.AnnotationPage.model_validate({**page, "@context": page["@context"][:1], "partOf": None})


@pytest.fixture
def model():
    """A validator of a definition of the W3C's annotation model, written down as JSON Schema by Konstantin Baierer."""
    (found, *_) = [*(Path(sys.prefix) / "validators").glob("kba-anno-schema-*.tgz"), None]
    if found is None:
        pytest.skip(f"npm pack --pack-destination {sys.prefix}/validators @kba/anno-schema@0.0.8")
    with tarfile.open(found) as package:
        schema = json.loads(package.extractfile("package/data-model.json").read())
    formats = jsonschema.FormatChecker(["uri", "date-time"])
    return lambda name: jsonschema.Draft6Validator({**schema, "$ref": f"#/definitions/{name}"}, format_checker=formats)


def test_they_are_of_the_annotation_model(tmp_path, collection, features, model):
    read = written(tmp_path, collection, features, BASE)
    items = [item for page in read for item in page["items"]]
    annotation, resource = model("Annotation"), model("SpecificResource")
    motivation, agent, text = model("Motivation"), model("Software"), model("TextualBody")
    for item in items:
        annotation.validate(item)
        # The annotation's own definition is content with any object as a body or target.
        motivation.validate(item["motivation"])
        agent.validate(item["generator"])
        text.validate(item["body"][0])
        for part in [*item["body"][1:], *([item["target"]] if isinstance(item["target"], dict) else [])]:
            resource.validate(part)
        for body in item["body"]:
            motivation.validate(body["purpose"])
    whole = json.loads((tmp_path / "page" / "exports" / "annotations" / "collection.json").read_text("utf-8"))
    # Its contexts are addresses only: ours of `score` is left out. Its list of items is a tuple's: done above.
    model("AnnotationCollection").validate({**whole, "@context": whole["@context"][:1]})
    for page in read:
        model("AnnotationPage").validate({**page, "@context": page["@context"][:1], "items": []})
    broken = [
        {**items[0], "id": "no address"},
        {**items[0], "created": "yesterday"},
        {**items[0], "generator": "artray"},
        {name: value for name, value in items[0].items() if name != "target"},
    ]
    assert not any(annotation.is_valid(item) for item in broken)


def test_the_pages_hold_what_the_collection_says(tmp_path, collection, features, monkeypatch):
    monkeypatch.setattr(annotations, "PAGE", 25)
    read = written(tmp_path, collection, features)
    folder = tmp_path / "page" / "exports" / "annotations"
    whole = json.loads((folder / "collection.json").read_text("utf-8"))
    assert len(read) > 3
    assert [len(page["items"]) for page in read[:-1]] == [25] * (len(read) - 1)
    assert whole["total"] == sum(len(page["items"]) for page in read)
    assert [page["startIndex"] for page in read] == [25 * number for number in range(len(read))]
    assert [page["id"] for page in read] == sorted(path.name for path in folder.glob("page-*.json"))
    assert {page["partOf"] for page in read} == {whole["id"]}
    assert (read[0]["id"], read[-1]["id"]) == (whole["first"], whole["last"])
    assert [page.get("prev") for page in read[1:]] == [page["id"] for page in read[:-1]]
    ids = [item["id"] for page in read for item in page["items"]]
    assert len(set(ids)) == len(ids)
    assert all(item.startswith("urn:uuid:") for item in ids)


def test_written_again_there_are_no_old_pages_and_the_users_files_stay(tmp_path, collection, features, monkeypatch):
    monkeypatch.setattr(annotations, "PAGE", 25)
    assert len(written(tmp_path, collection, features)) > 3
    mine = tmp_path / "page" / "exports" / "annotations" / "notes.txt"
    mine.write_text("mine")
    monkeypatch.setattr(annotations, "PAGE", 5_000)
    written(tmp_path, collection, features)
    assert {path.name for path in mine.parent.iterdir()} == {"notes.txt", "collection.json", "page-000001.json"}


def test_targets(tmp_path, collection, features, ids):
    canvas = {object_id: number for number, object_id in enumerate(ids)}
    targets = {
        item["target"]
        for page in written(tmp_path, collection, features)
        for item in page["items"]
        if "created" in item
    }
    assert "https://iiif.example.org/1/canvas" in targets
    assert iri(f"s3://museum/scans/{ids[0][:40]}.jpg") in targets  # whose canvas is no address
    assert not any(c in target for target in targets for c in '<>" {}|\\^`\n\u2028\u202e')
    assert len(targets) == len([number for number in canvas.values() if number % 7 != 6])


def test_objects_are_regions(tmp_path, collection, features):
    objects = [
        item for page in written(tmp_path, collection, features) for item in page["items"] if "created" not in item
    ]
    (dog,) = objects  # the cat's score is too low
    assert dog["body"] == [
        {"type": "TextualBody", "value": "dog", "format": "text/plain", "language": "en", "purpose": "tagging"}
    ]
    assert dog["score"] == 0.9
    assert dog["target"]["selector"]["value"] == "xywh=percent:25,12.5,75,50"


def test_a_collection_without_labels_is_one_empty_page(tmp_path, collection, rows, monkeypatch):
    monkeypatch.setattr(annotations, "_labels", lambda *_: iter(()))
    (page,) = written(tmp_path, collection)
    assert page["items"] == []


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("/scans/a b#1.jpg", "file:///scans/a%20b%231.jpg"),
        ("s3://museum/ü/100%?.jpg", "s3://museum/%C3%BC/100%25%3F.jpg"),
        ("https://example.org/iiif/a%20b?x=1", "https://example.org/iiif/a%20b?x=1"),
        ("relative/a b.jpg", "relative/a%20b.jpg"),
    ],
)
def test_iri(uri, wanted):
    assert iri(uri) == wanted


def test_a_users_folder_beside_the_exports_stays(tmp_path):
    mine = tmp_path / "dataset.part" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    (mine.parent / "old.parquet").write_bytes(b"of an export that was killed")
    with whole_files(tmp_path / "dataset", [r"[a-z]+\.parquet"]) as part:
        assert sorted(file.name for file in part.iterdir()) == ["notes.txt"]
        (part / "a.parquet").write_bytes(b"new")
    assert [file.name for file in (tmp_path / "dataset").iterdir()] == ["a.parquet"]
    assert mine.read_text() == "mine"
