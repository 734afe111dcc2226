"""Corrections reach the manifest."""

import json
from collections import Counter

import pytest

from artray.errors import InputError
from tests.ingest.collection import CATALOG, Collection, by_id


def test_corrections(collection, tmp_path, capsys):
    collection.add("monet/a.jpg", "monet/b.jpg", "c.png")
    collection.describe(CATALOG)
    _, before = collection.ingest(label={"style": "style"})
    corrections = tmp_path / "corrections.csv"
    corrections.write_text(
        "object_id,task,label,predicted,score,corrected_at\r\n"
        "1939.1,style,Pointillism,Impressionism,0.6,2026-05-04T03:02:01.000Z\r\n"
        "1940.1,style,Ukiyo-e,Ukiyo-e,0.9,2026-05-04T03:02:01.000Z\r\n"
        "1940.1,medium,print,oil,0.5,2026-05-04T03:02:01.000Z\r\n"
        "9999.1,medium,print,oil,0.5,2026-05-04T03:02:01.000Z\r\n"
    )
    counts, after = collection.ingest(label={"style": "style"}, corrections=[str(corrections)])
    assert counts["corrected"] == {
        "medium": {"changed": 0, "added": 1, "confirmed": 0, "unknown": 1},
        "style": {"changed": 1, "added": 0, "confirmed": 1, "unknown": 0},
    }
    assert by_id(after, "style")["1939.1"] == ("Pointillism",)
    assert by_id(after, "style")["1939.2"] == by_id(before, "style")["1939.2"]
    assert by_id(after, "medium")["1940.1"] == ("print",)
    assert set(by_id(after, "medium").values()) == {("print",), (None,)}
    assert by_id(after, "catalog_style")["1939.1"] == ("Impressionism",)  # what the catalogue says
    said = capsys.readouterr().err
    assert "medium: corrections of works that are not here: 1 (9999.1)" in said
    assert "medium: column 'medium' is new" in said


def test_who_corrected_what_stands_in_the_manifest(collection, tmp_path, capsys):
    collection.add("monet/a.jpg", "monet/b.jpg", "c.png")
    collection.describe(CATALOG)
    corrections = tmp_path / "corrections.csv"
    corrections.write_text(
        "object_id,task,label,predicted,score,corrected_at,reviewer,reviewed_at,decision\r\n"
        "1939.1,style,Pointillism,Impressionism,0.6,,Ann,2026-05-04T03:02:01.000Z,corrected\r\n"
        "1940.1,style,Ukiyo-e,Ukiyo-e,0.9,,=cmd(),2026-05-04T03:02:01.000Z,accepted\r\n"
    )
    _, table = collection.ingest(label={"style": "style"}, corrections=[str(corrections)])
    names = ("style_reviewer", "style_reviewed_at", "style_decision")
    assert by_id(table, *names)["1939.1"] == ("Ann", "2026-05-04T03:02:01Z", "corrected")
    assert by_id(table, *names)["1940.1"] == ("=cmd()", "2026-05-04T03:02:01Z", "accepted")
    assert by_id(table, *names)["1939.2"] == (None, None, None)
    assert "style: corrections by Ann 1, =cmd() 1" in capsys.readouterr().err


def test_annotations_name_their_works_by_the_pictures_address(collection, tmp_path):
    collection.add("monet/a.jpg", "monet/b.jpg", "c.png")
    collection.describe(CATALOG)
    _, before = collection.ingest(label={"style": "style"})
    address = by_id(before, "image_uri")["1939.1"][0]
    page = tmp_path / "page.json"
    body = {"type": "TextualBody", "value": "<p>Ukiyo-e</p>"}
    note = {"id": "1", "type": "Annotation", "creator": "Ann", "body": body, "target": f"file://{address}"}
    page.write_text(json.dumps({"type": "AnnotationPage", "items": [note]}))
    counts, table = collection.ingest(label={"style": "style"}, corrections=[str(page)])
    assert by_id(table, "style", "style_reviewer")["1939.1"] == ("Ukiyo-e", "Ann")
    assert counts["corrected"]["style"]["changed"] == 1


def test_corrections_move_no_work_to_another_part(tmp_path):
    rows = [{"id": f"w{n}", "file": f"{n}.jpg", "kind": "oil" if n % 3 else "print"} for n in range(60)]
    corrections = tmp_path / "corrections.csv"
    corrections.write_text("object_id,task,label\n" + "".join(f"w{n},technique,glass\n" for n in range(0, 60, 2)))
    splits = []
    for name, options in (("plain", {}), ("corrected", {"corrections": [str(corrections)]})):
        (tmp_path / name).mkdir()
        own = Collection(tmp_path / name)
        own.add(*(row["file"] for row in rows))
        own.describe(rows)
        counts, read = own.ingest(label={"technique": "kind"}, **options)
        splits.append(by_id(read, "split"))
    assert splits[0] == splits[1]
    assert counts["labelled"] == {"technique": 60}
    assert Counter(by_id(read, "technique").values())["glass",] == 30


def test_corrections_of_a_task_by_another_name(collection, tmp_path):
    collection.add("monet/a.jpg", "c.png")
    collection.describe(CATALOG)
    corrections = tmp_path / "corrections.csv"
    corrections.write_text("object_id,task,label\n1939.1,movement,Pointillism\n")
    options = {"corrections": [str(corrections)], "label": {"style": "style"}}
    _, rows = collection.ingest(**options, corrections_column={"movement": "style"})
    assert by_id(rows, "style", "catalog_style")["1939.1"] == ("Pointillism", "Impressionism")
    with pytest.raises(InputError, match="no corrections of that task \\(there are: movement\\)"):
        collection.ingest(**options, corrections_column={"style": "style"})
    with pytest.raises(InputError, match="the manifest has a column of that name"):
        collection.ingest(**options, corrections_column={"movement": "split"})


def test_labels_that_are_new_are_said(collection, tmp_path, capsys):
    collection.add("a.jpg", "b.jpg")
    collection.describe([{"id": "a", "style": "Cubism"}, {"id": "b", "style": "Realism"}])
    (tmp_path / "k.csv").write_text("object_id,task,label\na,style,Realizm\nb,style,Cubism\n")
    collection.ingest(corrections=[str(tmp_path / "k.csv")])
    assert "style: labels that no work had before: 1 (Realizm)" in capsys.readouterr().err
