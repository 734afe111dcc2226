import pyarrow as pa

from artray.catalogs.corrections import Corrections
from artray.catalogs.statements import Statement
from artray.classifiers.reviewed_labels import count_reviewed, reviewers_of

TABLE = pa.table(
    {
        "object_id": ["a", "a", "b", "c", "d"],
        "style_reviewer": ["Ann", "Ann", None, "Bo", None],
        "style_decision": ["accepted", "accepted", "corrected", None, None],
    }
)


def test_who_has_checked_is_told_by_ingest_and_by_corrections() -> None:
    by = reviewers_of(TABLE, "style", "style", None)
    assert by.to_pylist() == ["Ann", "Ann", "", None, None]
    assert count_reviewed(TABLE["object_id"], by) == {"works": 2, "people": 1}
    said = Corrections({"style": {"a": "x", " d ": "y"}}, (), {"style": {"a": Statement("x", reviewer="Cy")}})
    by = reviewers_of(TABLE, "style", "style", said)
    assert by.to_pylist() == ["Cy", "Cy", "", None, ""]
    assert count_reviewed(TABLE["object_id"], by) == {"works": 3, "people": 1}


def test_labels_that_nobody_has_checked() -> None:
    by = reviewers_of(TABLE.select(["object_id"]), "style", "style", None)
    assert by.null_count == len(TABLE)
    assert count_reviewed(TABLE["object_id"], by) == {}
