import csv
import io
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.catalogs.corrections import correct, corrected, read_corrections
from artray.errors import InputError
from artray.storage import Location

HEADER = ["object_id", "task", "label", "predicted", "score", "corrected_at"]


def row(object_id, label, at="2026-05-04T03:02:01.000Z", task="style"):
    return [object_id, task, label, "Cubism", "0.5", at]


def save(path: Path, rows: list[list[str]], encoding: str = "utf-8", **form: str) -> str:
    text = io.StringIO()
    csv.writer(text, **form).writerows([HEADER, *rows])
    path.write_bytes(text.getvalue().encode(encoding))
    return str(path)


def test_the_latest_counts_whatever_the_order_of_files(tmp_path):
    one = save(tmp_path / "1.csv", [row("a", "new", "2026-05-04T03:02:02.000Z"), row("b", "b1")])
    two = save(tmp_path / "2.csv", [row("a", "old"), row("b", "b2"), row("b", "oil", task="medium")])
    for files in ([one, two], [two, one]):
        assert read_corrections([Location.parse(item) for item in files]).labels["style"]["a"] == "new"
        assert read_corrections([Location.parse(item) for item in files]).labels["medium"] == {"b": "oil"}
    assert (
        read_corrections([Location.parse(one), Location.parse(two)]).labels["style"]["b"] == "b2"
    )  # of the same time: the later file


def test_times_of_other_places_are_compared_as_times(tmp_path):
    rows = [row("a", "later", "2026-05-04T02:30:00-02:00"), row("a", "earlier", "2026-05-04T04:00:00Z")]
    assert read_corrections([Location.parse(save(tmp_path / "c.csv", rows))]).labels["style"] == {"a": "later"}


@pytest.mark.parametrize("at", ["04.05.26 03:02", "", "yesterday"])
def test_times_a_spreadsheet_has_changed_leave_it_to_the_rows(tmp_path, at):
    rows = [row("a", "first", at), row("a", "second", at)]
    assert read_corrections([Location.parse(save(tmp_path / "c.csv", rows))]).labels["style"] == {"a": "second"}


@pytest.mark.parametrize(
    ("encoding", "form"),
    [("utf-8", {}), ("utf-8-sig", {}), ("cp1252", {"delimiter": ";"}), ("utf-16", {"delimiter": "\t"})],
)
def test_a_spreadsheet_was_at_it(tmp_path, encoding, form):
    rows = [
        row("Künstler 7", 'Käthe; Kollwitz, "Graphik"\nzwei'),
        row("'=1+1", "'-x-"),
        *[row(f"n{i}", "ö") for i in range(9)],
    ]
    found = read_corrections([Location.parse(save(tmp_path / "c.csv", rows, encoding, **form))]).labels["style"]
    assert found["Künstler 7"] == 'Käthe; Kollwitz, "Graphik"\nzwei'
    assert found["=1+1"] == "-x-"


def test_as_a_workbook(tmp_path):
    book = openpyxl.Workbook()
    for line in [HEADER, row("007", "Cubism")]:
        book.active.append(line)
    book.save(tmp_path / "c.xlsx")
    assert read_corrections([Location.parse(tmp_path / "c.xlsx")]).labels == {"style": {"007": "Cubism"}}


def test_rows_without_what_is_needed_are_counted(tmp_path):
    found = read_corrections([Location.parse(save(tmp_path / "c.csv", [row("", "x"), row("", ""), row("b", "y")]))])
    assert found.labels == {"style": {"b": "y"}}
    assert any("2 rows without object_id or task" in problem for problem in found.problems)


def test_another_table_is_refused(tmp_path):
    (tmp_path / "c.csv").write_text("id,style\n1,x\n")
    with pytest.raises(InputError, match="there is no column object_id, task, label"):
        read_corrections([Location.parse(tmp_path / "c.csv")])
    with pytest.raises(InputError, match="not"):
        read_corrections([Location.parse(tmp_path / "none.csv")])


IDS = st.sampled_from(["a", "b", "c", "d", "e"])
LABELS = st.sampled_from(["x", "y"])


@given(st.lists(st.tuples(IDS, st.none() | st.just("") | LABELS), max_size=8), st.dictionaries(IDS, LABELS))
def test_every_row_has_its_correction_or_what_it_had(rows, labels):
    table = pa.table({"object_id": [i for i, _ in rows], "style": pa.array([old for _, old in rows], pa.string())})
    found = correct(table, "style", labels)
    assert found.labels.to_pylist() == [labels.get(object_id, old) for object_id, old in rows]
    corrected = [old for object_id, old in rows if object_id in labels]
    assert found.added + found.changed + found.confirmed == len(corrected)
    assert found.added == sum(old in (None, "") for old in corrected)
    assert set(found.unknown) == labels.keys() - {object_id for object_id, _ in rows}


def test_ids_that_were_composed_or_trimmed_on_the_way():
    table = pa.table({"object_id": ["Mu\u0308nch.jpg", " spaced", "M\u00fcnch"], "style": ["x", "x", "x"]})
    found = correct(table, "style", {"M\u00fcnch.jpg": "y", "spaced": "y"})
    assert found.labels.to_pylist() == ["y", "y", "x"]
    assert found.unknown == ()


def test_a_column_that_is_not_there_is_empty():
    found = correct(pa.table({"object_id": ["a", "b"]}), "style", {"b": "x"})
    assert (found.labels.to_pylist(), found.added) == ([None, "x"], 1)


def test_that_no_label_has_changed_is_said():
    table = pa.table({"object_id": ["a", "b"], "style": ["x", None]})
    told = "the corrections only confirm: no label has changed"
    assert correct(table, "style", {"a": "x"}).lines() == ["corrections: 0 changed, 0 added, 1 confirmed", told]
    assert told not in correct(table, "style", {"a": "x", "b": "x"}).lines()
    assert told not in correct(table, "style", {"c": "x"}).lines()


def test_a_plan_comes_back_with_what_was_filled_in(tmp_path):
    file = tmp_path / "plan.csv"
    file.write_text("object_id,title,chosen_for,task,label\na,T,1870s,style,Cubism\nb,T,1880s,style,\n")
    found = read_corrections([Location.parse(file)])
    assert found.labels == {"style": {"a": "Cubism"}}
    assert found.problems == (f"{file}: 1 work of the plan without a label, left out",)
    file.write_text("object_id,chosen_for,task,label\na,1870s,style,Cubism\nb,1880s,,\nc,1890s,,Rococo\nd,1890s,,\n")
    unlabelled, taskless = read_corrections([Location.parse(file)]).problems
    assert "2 works of the plan without a label, left out" in unlabelled
    assert "1 row without object_id or task, left out" in taskless
    file.write_text("object_id,chosen_for,label\na,1870s,Cubism\n")
    with pytest.raises(InputError, match="names no task: give it a column 'task'"):
        read_corrections([Location.parse(file)])


def test_what_is_said_of_unknown_works():
    found = correct(pa.table({"object_id": ["a"]}), "style", dict.fromkeys("bcde", "x") | {"\x1b[31m": "x"})
    assert found.lines() == [
        "corrections: 0 changed, 0 added, 0 confirmed",
        r"corrections of works that are not here: 5 (\x1b[31m, b, c, …)",
    ]


def test_a_table_for_training(tmp_path, capsys):
    table = pa.table({"object_id": ["a", "a", "b"], "patch": [0, 1, 0], "movement": ["x", "x", None]})
    file = save(tmp_path / "c.csv", [row("a", "y"), row("b", "z"), row("a", "oil", task="medium")])
    assert corrected(table, "movement", "style", [Location.parse(file)])["movement"].to_pylist() == ["y", "y", "z"]
    assert "corrections: 2 changed, 1 added, 0 confirmed" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"no corrections of the task 'genre' \(there are: style, medium\)"):
        corrected(table, "movement", "genre", [Location.parse(file)])
    with pytest.raises(InputError, match="the column 'patch' holds int64"):
        corrected(table, "patch", "style", [Location.parse(file)])


def test_an_empty_label_takes_the_label_away(tmp_path):
    """`None of these` on the page."""
    found = read_corrections(
        [Location.parse(save(tmp_path / "c.csv", [row("a", ""), row("b", ""), row("c", "Rococo")]))]
    )
    table = pa.table({"object_id": ["a", "b", "c", "d"], "style": ["Cubism", None, "Cubism", "Cubism"]})
    result = correct(table, "style", found.labels["style"])
    assert result.labels.to_pylist() == [None, None, "Rococo", "Cubism"]
    assert (result.changed, result.added, result.cleared, result.confirmed) == (1, 0, 1, 0)
    assert result.lines() == [
        "corrections: 1 changed, 0 added, 0 confirmed, 1 taken away",
        "labels that no work had before: 1 (Rococo)",
    ]


def test_several_labels_of_a_work(tmp_path):
    """As the page writes them: with semicolons, or as JSON where a label has one in it."""
    rows = [row("a", "sky; river"), row("b", ""), row("c", '["x; y", "sky"]'), row("d", "sky;river")]
    labels = read_corrections([Location.parse(save(tmp_path / "c.csv", rows))]).labels["style"]
    old = pa.array([["river"], ["sky"], None, ["river", "sky"], ["sky"]])
    found = correct(pa.table({"object_id": list("abcde"), "style": old}), "style", labels)
    assert found.labels.to_pylist() == [["sky", "river"], None, ["x; y", "sky"], ["sky", "river"], ["sky"]]
    assert (found.changed, found.added, found.confirmed, found.cleared) == (1, 1, 1, 1)
    # A column of text gets the cell as it is, which training reads likewise.
    found = correct(pa.table({"object_id": ["a"], "style": ["river"]}), "style", labels)
    assert found.labels.to_pylist() == ["sky; river"]


@pytest.mark.parametrize("cell", [";", "[]", '[""]'])
def test_a_cell_of_separators_alone_takes_all_labels_away(cell):
    table = pa.table({"object_id": ["a"], "style": pa.array([["river"]])})
    found = correct(table, "style", {"a": cell})
    assert (found.labels.to_pylist(), found.changed, found.cleared) == ([None], 0, 1)


def test_several_labels_for_training(tmp_path):
    table = pa.table({"object_id": ["a", "b"], "style": pa.array([["river"], None], pa.large_list(pa.string()))})
    file = Location.parse(save(tmp_path / "c.csv", [row("b", "sky;river")]))
    assert corrected(table, "style", "style", [file])["style"].to_pylist() == [["river"], ["sky", "river"]]


def test_a_name_with_a_semicolon_stays_whole(tmp_path):
    """Written as a JSON list, which in a catalogue would be values joined by a mark."""
    (tmp_path / "c.csv").write_text('object_id,task,label\na,motif,"[""river"",""boat; sail""]"\nb,motif,river; sky\n')
    found = read_corrections([Location.parse(tmp_path / "c.csv")]).labels["motif"]
    table = pa.table({"object_id": ["a", "b"], "motif": pa.array([["x"], ["x"]], pa.list_(pa.string()))})
    result = correct(table, "motif", found)
    assert result.labels.to_pylist() == [["river", "boat; sail"], ["river", "sky"]]


def test_different_labels_that_no_time_puts_in_order_are_said(tmp_path):
    """The last of them counts; where a later word is there, or all say the same, nothing is to be said."""
    text = "object_id,task,label,corrected_at\n" + "".join(
        f"{work},style,{label},{at}\n"
        for work, label, at in (
            *(("a", "Cubism", ""), ("a", "Rococo", "")),
            *(("b", "Cubism", ""), ("b", "Cubism", "")),
            *(("c", "Cubism", ""), ("c", "Rococo", ""), ("c", "Baroque", "2026-11-20T10:00:00Z")),
            *(("d", "Cubism", "2026-11-20T10:00:00Z"), ("d", "", "2026-11-20T10:00:00Z")),
        )
    )
    (tmp_path / "c.csv").write_text(text)
    found = read_corrections([Location.parse(tmp_path / "c.csv")])
    assert found.labels["style"] == {"a": "Rococo", "b": "Cubism", "c": "Baroque", "d": None}
    assert found.problems == (
        "style: different labels, with one time or without any, are given to 2 works (a, d); the last in the files "
        "counts",
    )
