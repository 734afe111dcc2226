import pyarrow as pa
import pytest

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


@pytest.mark.parametrize(
    ("reviewer", "decision", "people"),
    [
        (pa.array([12, 7, None]), pa.array(["accepted", "buy", "corrected"]), ["12", None, ""]),
        (pa.nulls(3), pa.nulls(3), [None] * 3),
        (pa.array([["Ann"], None, ["Bo"]]), pa.array([3, 4, 5]), [None] * 3),
    ],
)
def test_columns_of_the_catalogue_may_be_called_so_too(
    reviewer: pa.Array, decision: pa.Array, people: list[str | None]
) -> None:
    table = pa.table({"object_id": ["a", "b", "c"], "style_reviewer": reviewer, "style_decision": decision})
    assert reviewers_of(table, "style", "style", None).to_pylist() == people
