"""Who said what, and when: through files, twice over, by several people, of other models and damaged."""

import json
from datetime import timezone

import pyarrow as pa
import pytest

from artray.catalogs import annotation_pages
from artray.catalogs.corrections import Corrections, placed, read_corrections
from artray.catalogs.statements import cell_of, history_columns, moment, one_line, statements_of
from artray.catalogs.targets import separate
from artray.errors import InputError
from artray.storage import Location

HEADER = "object_id,task,label,predicted,score,corrected_at,reviewer,reviewed_at,decision\n"


@pytest.fixture
def read(tmp_path):
    def run(text: str, name: str = "corrections.csv") -> Corrections:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return read_corrections([Location.parse(tmp_path / name)])

    return run


def test_reviewer_date_and_decision(read):
    said = read(
        HEADER
        + "a,style,Cubism,Cubism,.5,2026-05-04T03:02:01Z,Ann,2026-05-04T03:02:01Z,accepted\n"
        + "b,style,Rococo,Cubism,.5,2026-05-04T03:02:01Z,Ann,,corrected\n"
        + "c,style,,Cubism,.5,2026-05-04T03:02:01Z,Bob,2026-05-04T05:02:01+02:00,rejected\n"
    ).said("style")
    assert {name: each.decision for name, each in said.items()} == {
        "a": "accepted",
        "b": "corrected",
        "c": "rejected",
    }
    assert {each.reviewer for each in said.values()} == {"Ann", "Bob"}
    assert {each.at for each in said.values()} == {"2026-05-04T03:02:01Z"}


def test_files_of_before_know_no_history(read):
    said = read("object_id,task,label,predicted,score,corrected_at\na,style,x,y,.5,\n").said("style")["a"]
    assert (said.reviewer, said.reviewed_at, said.decision) == (None, None, "corrected")


def test_two_people_differ_and_the_latest_word_counts(read):
    found = read(
        HEADER
        + "a,style,Rococo,,,,Bob,2026-05-05T00:00:00Z,\n"
        + "a,style,Cubism,,,,Ann,2026-05-04T00:00:00Z,\n"
        + "b,style,Cubism,,,,Ann,2026-05-04T00:00:00Z,\n"
        + "b,style,Cubism,,,,Bob,2026-05-05T00:00:00Z,\n"
    )
    assert found.labels == {"style": {"a": "Rococo", "b": "Cubism"}}
    assert found.problems == ("style: people differ about 1 work (a); the latest word counts",)
    assert found.reviewers("style") == "Bob 2"


def test_who_changed_their_mind_does_not_differ_from_others_whatever_the_order_of_rows(read):
    found = read(
        HEADER
        + "a,style,Cubism,,,,Ann,2026-05-05T00:00:00Z,\n"
        + "a,style,Cubism,,,,Bob,2026-05-04T00:00:00Z,\n"
        + "a,style,Rococo,,,,Ann,2026-05-03T00:00:00Z,\n"
    )
    assert (found.labels, found.problems) == ({"style": {"a": "Cubism"}}, ())


def test_what_two_models_of_two_runs_had_said_changes_nothing_of_what_is_right(read):
    header = HEADER.strip() + ",model_id,run_id\n"
    found = read(
        header
        + "a,style,Cubism,Rococo,.5,,Ann,2026-05-04T00:00:00Z,corrected,m1,r1\n"
        + "a,style,Cubism,Cubism,.9,,Ann,2026-05-05T00:00:00Z,accepted,m2,r2\n"
    )
    assert found.labels == {"style": {"a": "Cubism"}}
    assert found.said("style")["a"].decision == "accepted"
    assert found.problems == ()


def test_formulas_and_markup_in_every_field_stay_text(read):
    evil = '\'=HYPERLINK(""http://x"")'
    found = read(HEADER + f'"{evil}",style,"{evil}","{evil}",.5,"{evil}","{evil}\n<script>","{evil}","{evil}"\n')
    ((object_id, said),) = found.said("style").items()
    assert object_id == said.label == said.predicted == '=HYPERLINK("http://x")'
    assert said.reviewer == '=HYPERLINK("http://x") <script>'
    assert (said.reviewed_at, said.decision) == (None, "accepted")
    assert one_line("  \n ") is None


@pytest.mark.parametrize("text", ["", "9999-99-99", "0001-01-01T00:00:00+14:00", "yesterday", None])
def test_no_moment(text):
    assert moment(text) is None


@pytest.mark.parametrize(
    "text", ["2026-05-04T05:02:01.5+02:00", "2026-05-04T03:02:01.50Z", "2026-05-04T05:02:01.500000000+0200"]
)
def test_moments_are_read_on_every_python(text):
    found = moment(text)
    assert found is not None
    assert found.astimezone(timezone.utc).isoformat() == "2026-05-04T03:02:01.500000+00:00"


def test_json_lines_are_corrections_too(read):
    rows = [
        {
            "image": "s3://b/a.jpg",
            "object_id": "a",
            "task": "style",
            "label": "Cubism",
            "score": 0.5,
            "reviewer": "Ann",
        },
        {"image": "s3://b/b.jpg", "object_id": "b", "task": "style", "label": None, "reviewer": "Ann"},
    ]
    found = read("\n".join(map(json.dumps, rows)), "labels.jsonl")
    assert found.labels == {"style": {"a": "Cubism", "b": None}}
    assert found.reviewers("style") == "Ann 2"


@pytest.mark.parametrize("text", ["", HEADER[:15], "\x00\x01\x02", "object_id;label\n1;2\n"])
def test_a_damaged_file_is_one_line(read, text):
    with pytest.raises(InputError) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_a_file_that_was_cut_short_says_what_it_lost(read):
    found = read(HEADER + "a,style,Cubism,,,2026-05-04T00:00:00Z,Ann,,\nb,sty")
    assert found.labels["style"] == {"a": "Cubism"}
    assert found.problems or "sty" in found.labels


@pytest.mark.parametrize("labels", [["a", "b"], ["a; b", "c"], ["[a"], ["[a", "b"], ["one"]])
def test_several_labels_in_a_cell_come_back(labels):
    cell = cell_of(labels)
    assert len(labels) == 1 or sorted(separate(cell)) == sorted(labels)
    assert cell_of([]) is None


def test_history_in_a_table_comes_back(read):
    said = read(
        HEADER + "a,style,Cubism,Cubism,,,Ann,2026-05-04T00:00:00Z,\nb,style,,Cubism,,,Bob,,\nc,style,x,y,,,,,\n"
    ).said("style")
    ids = ["a", "b", "c", "d"]
    columns = {f"style_{name}": values for name, values in history_columns(ids, said).items()}
    table = pa.table({"object_id": ids, "style": ["Cubism", None, "x", "z"], **columns})
    found = dict(statements_of(table, "style"))
    assert {name: (each.label, each.decision, each.reviewer) for name, each in found.items()} == {
        "a": ("Cubism", "accepted", "Ann"),
        "b": (None, "rejected", "Bob"),
        "c": ("x", "corrected", None),
    }
    assert found["a"].reviewed_at.tzinfo == timezone.utc
    assert list(statements_of(table, "medium")) == []


# -- other programs ----------------------------------------------------------------------------------------------------


def choice(task: str, *labels: str) -> dict:
    return {"from_name": task, "to_name": "image", "type": "choices", "value": {"choices": list(labels)}}


def test_label_studios_annotations(read):
    tasks = [
        {
            "id": 1,
            "data": {"image": "s3://b/a.jpg", "object_id": "a"},
            "predictions": [{"result": [choice("style", "Cubism")]}],
            "annotations": [
                {
                    "result": [choice("style", "Cubism")],
                    "completed_by": {"id": 1, "email": "ann@museum.org"},
                    "updated_at": "2026-05-04T03:02:01.000000Z",
                },
                {"result": [], "was_cancelled": True, "completed_by": 2},
            ],
        },
        {
            "id": 2,
            "data": {"image": "s3://b/b.jpg", "object_id": "b"},
            "predictions": [{"result": [choice("style", "Cubism")]}],
            "annotations": [{"result": [], "completed_by": 7}],
        },
        {
            "id": 3,
            "data": {"image": "s3://b/c.jpg"},
            "annotations": [{"result": [choice("theme", "sea", "ships; boats")], "completed_by": 7}],
        },
        {"id": 4, "data": {"image": "s3://b/d.jpg", "object_id": "d"}, "annotations": []},
    ]
    found = read(json.dumps(tasks), "export.json")
    assert found.labels == {"style": {"a": "Cubism", "b": None}}
    said = found.said("style")
    assert (said["a"].decision, said["a"].reviewer, said["a"].at) == (
        "accepted",
        "ann@museum.org",
        "2026-05-04T03:02:01Z",
    )
    assert (said["b"].decision, said["b"].reviewer) == ("rejected", "7")
    assert "1 annotation skipped by its annotator, left out" in found.problems[0]
    works = pa.table({"object_id": ["x", "c"], "image_uri": ["s3://b/x.jpg", "s3://b/c.jpg"]})
    assert placed(found, works, {}).labels["theme"] == {"c": '["sea", "ships; boats"]'}


MIRADOR = {  # Mirador 3 with mirador-annotations
    "id": "https://museum.org/annotations/1",
    "type": "AnnotationPage",
    "items": [
        {
            "body": {"type": "TextualBody", "value": "<p>Cub&iacute;sm</p>".replace("&iacute;", "i")},
            "id": "5f2a",
            "motivation": "commenting",
            "target": {
                "source": {
                    "id": "https://iiif.org/1/canvas",
                    "partOf": {"id": "https://iiif.org/1", "type": "Manifest"},
                }
            },
            "type": "Annotation",
        },
        {
            "body": {"type": "TextualBody", "value": "a dog"},
            "id": "5f2b",
            "target": {
                "source": "https://iiif.org/1/canvas",
                "selector": [{"type": "FragmentSelector", "value": "xywh=1,2,3,4"}],
            },
            "type": "Annotation",
        },
    ],
}
OPEN_ANNOTATION = {  # Mirador 2, and annona's older examples
    "@context": "http://iiif.io/api/presentation/2/context.json",
    "@type": "sc:AnnotationList",
    "resources": [
        {
            "@type": "oa:Annotation",
            "motivation": ["oa:commenting", "oa:tagging"],
            "resource": [
                {"@type": "dctypes:Text", "format": "text/html", "chars": "<p>It is not what it seems</p>"},
                {"@type": "oa:Tag", "chars": "style: Rococo"},
            ],
            "on": [{"@type": "oa:SpecificResource", "full": "https://iiif.org/2/canvas"}],
            "oa:annotatedBy": "Bob",
            "oa:annotatedAt": "2026-05-04T03:02:01Z",
        }
    ],
}
WORKS = pa.table(
    {
        "object_id": ["one", "two", "three"],
        "image_uri": ["/scans/1.jpg", "/scans/2.jpg", "/scans/a b.jpg"],
        "iiif_canvas": ["https://iiif.org/1/canvas", "https://iiif.org/2/canvas", None],
    }
)
TASKS = {"style": ["Cubism", "Rococo"], "medium": ["oil"]}


def test_pages_of_mirador_and_of_open_annotation(read):
    found = placed(read(json.dumps(MIRADOR), "page.json"), WORKS, TASKS)
    assert found.labels == {"style": {"one": "Cubism"}}
    assert "1 annotation on a part of a picture, left out" in found.problems[0]
    said = placed(read(json.dumps(OPEN_ANNOTATION), "list.json"), WORKS, TASKS).said("style")["two"]
    assert (said.label, said.reviewer, said.at) == ("Rococo", "Bob", "2026-05-04T03:02:01Z")


def edited(**changes) -> str:
    annotation = {
        "id": "https://museum.org/annotation/style%2Fa%2F1",
        "type": "Annotation",
        "motivation": "tagging",
        "generator": {"id": "urn:model", "type": "Software", "name": "artray"},
        "body": [
            {"type": "TextualBody", "value": "Cubism", "purpose": "tagging"},
            {"type": "SpecificResource", "source": "http://vocab.getty.edu/aat/1", "purpose": "classifying"},
        ],
        "target": "file:///scans/a%20b.jpg",
        **changes,
    }
    return json.dumps({"type": "AnnotationPage", "items": [annotation]})


def test_what_a_program_said_and_nobody_touched_is_no_correction(read):
    found = read(edited(), "page.json")
    assert (found.labels, found.unplaced) == ({}, ())
    assert "made by a program, and not touched by anybody" in found.problems[0]


def test_our_own_annotation_edited_names_its_work_and_task(read):
    works = pa.table({"object_id": ["a/1"], "image_uri": ["/elsewhere.jpg"]})
    page = edited(creator={"type": "Person", "name": "Ann"}, modified="2026-05-04T03:02:01Z")
    said = placed(read(page, "page.json"), works, TASKS)
    assert said.labels == {"style": {"a/1": "Cubism"}}
    assert said.reviewers("style") == "Ann 1"
    body = [{"type": "TextualBody", "value": "rejected", "purpose": "assessing"}]
    for name in ("style%2Fa%2F1", "style%2Fa%2F1%2Freview", "style%2Fa%2F1%2FCubism"):
        page = edited(id=f"https://museum.org/annotation/{name}", creator="Ann", body=body)
        assert placed(read(page, "page.json"), works, TASKS).labels == {"style": {"a/1": None}}


def test_a_picture_is_found_by_its_address_and_what_is_not_found_is_counted(read):
    page = edited(id="x1", creator="Ann")
    assert placed(read(page, "page.json"), WORKS, TASKS).labels == {"style": {"three": "Cubism"}}
    gone = placed(read(edited(id="x1", creator="Ann", target="https://elsewhere/1"), "page.json"), WORKS, TASKS)
    assert gone.labels == {}
    assert gone.problems == ("1 annotation whose picture is not here, left out",)
    body = {"type": "TextualBody", "value": "a fine picture"}
    unknown = placed(read(edited(id="x1", creator="Ann", body=body), "page.json"), WORKS, TASKS)
    assert "whose text is no label of any task" in unknown.problems[0]


def test_two_annotations_of_a_work_say_that_one_counts(read):
    one, two, three = (
        json.loads(edited(id=name, creator="Ann", modified=f"2026-05-0{day}T00:00:00Z", body={"value": label}))["items"]
        for name, day, label in (("x1", 5, "Rococo"), ("x2", 4, "Cubism"), ("x3", 3, "oil"))
    )
    page = {"type": "AnnotationPage", "items": one + two + three}
    found = placed(read(json.dumps(page), "page.json"), WORKS, TASKS)
    assert found.labels == {"medium": {"three": "oil"}, "style": {"three": "Rococo"}}
    assert [problem.partition(" of one")[0] for problem in found.problems] == ["1 work has annotations"]


@pytest.mark.parametrize(
    "damage",
    [
        {"body": None},
        {"body": [None, 3]},
        {"target": None, "id": None},
        {"target": [1, 2], "id": 5},
        {"body": {"value": 7}},
    ],
)
def test_odd_annotations_are_left_out_and_counted(read, damage):
    found = read(edited(creator="Ann", **damage), "page.json")
    assert (found.labels, found.unplaced) == ({}, ())
    assert "without a text or a picture" in found.problems[0]


def test_a_folder_of_pages_says_what_else_lies_there(tmp_path):
    (tmp_path / "page.json").write_text(edited(id="x1", creator="Ann"))
    (tmp_path / "collection.json").write_text('{"type": "AnnotationCollection", "first": "page.json"}')
    (tmp_path / "notes.md").write_text("x")
    assert read_corrections([Location.parse(tmp_path)]).problems == ()
    (tmp_path / "corrections.csv").write_text("object_id,task,label\na,style,Rococo\n")
    (tmp_path / "export.json").write_text("[]")
    found = read_corrections([Location.parse(tmp_path)])
    assert len(found.unplaced) == 1
    assert "2 files that are no annotation pages, left out" in found.problems[0]


@pytest.mark.parametrize("depth", [300, 900, 5_000])
def test_what_is_nested_too_deeply_is_no_page(depth):
    assert annotation_pages.parsed(b"[" * depth + b'"Annotation"' + b"]" * depth) is None
