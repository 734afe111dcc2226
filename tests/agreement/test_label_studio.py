"""Label Studio's JSON, as `artray.catalogs` reads it."""

import io
import json

import pytest

from artray.agreement.annotations import encode
from artray.agreement.label_studio import is_export, read_export
from artray.catalogs.catalog import read_catalog
from artray.errors import InputError


def choice(*labels, name="emotion"):
    return {
        "id": "Dx_aB91ISN",
        "from_name": name,
        "to_name": "image",
        "type": "choices",
        "origin": "manual",
        "value": {"choices": list(labels)},
    }


RATING = {"from_name": "valence", "to_name": "image", "type": "rating", "value": {"rating": 4}}
AMOUNT = {"from_name": "valence", "to_name": "image", "type": "number", "value": {"number": 2}}
PATH = {"from_name": "kind", "to_name": "image", "type": "taxonomy", "value": {"taxonomy": [["Works", "Prints"]]}}
REGION = {
    "from_name": "box",
    "to_name": "image",
    "type": "rectanglelabels",
    "original_width": 600,
    "value": {"x": 1, "y": 2, "width": 3, "height": 4, "rectanglelabels": ["dog"]},
}


def task(number, annotations, **data):
    return {
        "id": number,
        "data": {"image": f"/data/upload/1/1b2c3d4e-w{number}.jpg", **data},
        "annotations": annotations,
        "drafts": [],
        "predictions": [],
        "meta": {},
        "created_at": "2026-01-05T10:17:31.611364Z",
        "inner_id": number,
        "total_annotations": len(annotations),
        "project": 1,
    }


def annotation(who, *results, **more):
    return {
        "id": 7,
        "completed_by": who,
        "result": list(results),
        "was_cancelled": False,
        "ground_truth": False,
        **more,
    }


ANNA = {"id": 1, "email": "anna@museum.org", "first_name": "Anna"}
TASKS = [
    task(1, [annotation(ANNA, choice("joy"), RATING), annotation(2, choice("fear"), AMOUNT, REGION)]),
    task(2, [annotation(ANNA, choice("joy", "love")), annotation(2, choice("joy"), PATH), annotation(3, REGION)]),
    task(3, [annotation(ANNA, choice("joy")), annotation(2, was_cancelled=True)]),
    task(4, [annotation(2, choice("love")), annotation(3, choice("love"), ground_truth=True), annotation(ANNA)]),
    task(5, []),
]


def read(tasks):
    return read_catalog(io.BytesIO(json.dumps(tasks).encode()), "project-1.json").table


def test_an_export_is_known_by_its_annotations():
    assert is_export(read(TASKS))
    assert is_export(read([{"completions": item["annotations"], "data": item["data"], "id": 1} for item in TASKS[:2]]))
    assert not is_export(read([{"id": 1, "image": "a.jpg", "emotion": "joy", "annotator": 1}]))
    assert not is_export(read([{"id": 1, "annotations": [{"text": "a note"}]}, {"id": 2, "annotations": "a note"}]))


def test_annotations_become_rows():
    rows = read_export(read(TASKS), None, {})
    assert list(rows.tasks) == ["emotion", "valence", "kind"]
    found = encode(rows, "emotion", separator="|")
    assert found.annotators == ["2", "anna@museum.org"]
    assert found.objects[0] == "/data/upload/1/1b2c3d4e-w1.jpg"
    assert found.classes == ("fear", "joy", "love")
    assert found.votes().tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert found.gold.tolist() == [-1, -1, -1, 2]
    assert found.left_out == {
        "annotations skipped by their annotator": 1,
        "regions and texts, which are no labels of a work": 2,
        "empty cells": 2,
        "cells with several labels (joy|love)": 1,
    }
    valence = encode(rows, "valence", level="interval")
    assert valence.values.tolist() == [2, 4]
    assert rows.table["label kind"].drop_null().to_pylist() == ["Works / Prints"]


def test_which_control_and_which_key():
    table = read([task(1, [annotation(1, choice("joy"))], title="Mona Lisa")])
    assert read_export(table, "title", {"mood": "emotion"}).table.to_pylist() == [
        {"object": "Mona Lisa", "annotator": "1", "label mood": "joy"}
    ]
    assert read_export(table, "id", {}).table["object"].to_pylist() == ["1"]
    for work, labels, line in (
        (None, {}, r"--object KEY says which key of the tasks' data names the work \(there is: image, title, id\)"),
        ("titel", {}, r"--object titel: the tasks' data have no such key; did you mean title\?"),
        ("title", {"x": "emotions"}, r"--label x=emotions: no annotation answers it; did you mean emotion\?"),
    ):
        with pytest.raises(InputError, match=line):
            read_export(table, work, labels)
    with pytest.raises(InputError, match="holds no choice, rating or number"):
        read_export(read([task(1, [annotation(1, REGION)])]), None, {})


@pytest.mark.parametrize("result", [None, "x", [1], [{"type": "choices", "value": None}], [{"value": {"choices": 1}}]])
def test_odd_results_are_no_labels(result):
    odd = {**annotation(1), "result": result}
    rows = read_export(read([task(1, [odd, annotation(2, choice("joy"))])]), None, {})
    assert rows.table["label emotion"].to_pylist() == [None, "joy"]
