"""What looks alike, and what of it ties works together."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from artray.catalogs.columns import Mapping
from artray.ingest.groups import find_alike, join_alike, large_group, two_labels, untie_placeholders, work_groups
from artray.ingest.rows import Rows
from artray.ingest.splits import PARTS, assign_splits


def hashes_of(codes: Sequence[int]) -> np.ndarray:
    """A hash for each number, the same for equal ones and far apart for others."""
    return np.stack([np.random.default_rng(code).integers(0, 2**64, 4, dtype=np.uint64) for code in codes])


def ids_of(count: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([f"p{n:03}" for n in range(count)])])


def rows_of(table: dict[str, list[str | None]], *, recorded: bool = True) -> Rows:
    count = len(next(iter(table.values())))
    ids = [f"p{n:03}" for n in range(count)]
    records: list[int | None] = [n if recorded else None for n in range(count)]
    paths = pa.array([f"{name}.jpg" for name in ids])
    columns = {name: pa.array(cells, pa.string()) for name, cells in table.items()}
    return Rows(pa.table({"object_id": ids, **columns}), records, paths, pa.nulls(count, pa.string()))


def test_what_is_alike_is_said_with_the_largest_group() -> None:
    alike, lines = find_alike(hashes_of([1, 2, 1, 3, 1, 2]), ids_of(6))
    assert alike.tolist() == [0, 1, 0, 3, 0, 1]
    assert lines == ["groups of near-duplicates: 2 with 5 pictures (p000, p002, p004; …), the largest with 3"]
    assert find_alike(hashes_of([1, 2]), ids_of(2))[1] == []


def test_a_cut_chain_is_said() -> None:
    rng = np.random.default_rng(0)
    bits = [rng.integers(0, 2, 256, dtype=np.uint8)]
    for _ in range(39):
        bits.append(bits[-1].copy())
        bits[-1][64 + rng.choice(192, 40, replace=False)] ^= 1
    _, lines = find_alike(np.packbits(np.array(bits), axis=1).view(np.uint64), ids_of(40))
    assert "chains of near-duplicates, cut: 1 (the longest of 40 pictures, with p000)" in lines


def placeholders(makers: int, works: int) -> tuple[list[str | None], list[int]]:
    """Artists of works, and the pictures' hashes: each maker's first work has the placeholder."""
    artists: list[str | None] = [f"Maker {n // works:02}" for n in range(makers * works)]
    return artists, [0 if n % works == 0 else n for n in range(makers * works)]


def test_a_placeholder_ties_no_makers_together(capsys) -> None:
    artists, codes = placeholders(24, 5)
    rows = rows_of({"artist": artists})
    groups, has_maker = work_groups(rows, Mapping(artist="artist"), [])
    joined, counts = join_alike(rows, groups, hashes_of(codes), has_maker=has_maker, tasks=[])
    assert joined == artists
    assert counts["near_duplicates"] == 23
    assert set(assign_splits(joined, [None] * 120)) == set(PARTS)
    said = capsys.readouterr().err
    assert "p000 and 23 more pictures look alike and stand for 24 makers: taken for a placeholder" in said


def test_a_work_under_two_makers_ties_them() -> None:
    artists, codes = placeholders(3, 5)
    rows = rows_of({"artist": artists})
    groups, has_maker = work_groups(rows, Mapping(artist="artist"), [])
    joined, _ = join_alike(rows, groups, hashes_of(codes), has_maker=has_maker, tasks=[])
    assert set(joined) == {"Maker 00"}


def test_a_picture_of_many_works_is_a_placeholder_where_the_catalogue_says_that_they_are() -> None:
    same = np.zeros(30, np.int64)
    groups = [f"w{n}" for n in range(30)]
    nobody = np.zeros(30, bool)
    for recorded, expected in ((np.ones(30, bool), 30), (nobody, 1)):
        alike, lines = untie_placeholders(same, groups, has_maker=nobody, has_record=recorded, ids=ids_of(30))
        assert len(set(alike.tolist())) == expected
        assert len(lines) == (expected > 1)
    assert (
        "stand for 30 works"
        in untie_placeholders(same, groups, has_maker=nobody, has_record=~nobody, ids=ids_of(30))[1][0]
    )


def test_many_placeholders_are_counted() -> None:
    alike = np.repeat(np.arange(0, 60, 6), 6)
    makers = [f"m{n}" for n in range(60)]
    every = np.ones(60, bool)
    untied, lines = untie_placeholders(alike, makers, has_maker=every, has_record=every, ids=ids_of(60))
    assert untied.tolist() == list(range(60))
    assert len(lines) == 4
    assert lines[-1] == "more such placeholders: 7"


def test_one_picture_with_two_labels_is_named() -> None:
    alike = np.array([0, 0, 2, 2, 4, 4, 6])
    labels = pa.chunked_array([["Cubism", "Fauvism", "Dada", "Dada", None, "Dada", "Pop Art"]])
    count, line = two_labels(alike, labels, ids_of(7))
    assert (count, line) == (1, "one picture with two labels: 1 (p000 Cubism, p001 Fauvism)")
    assert two_labels(np.arange(7), labels, ids_of(7)) == (0, None)
    many = pa.chunked_array([["a", "b"] * 5])
    count, line = two_labels(np.repeat(np.arange(0, 10, 2), 2), many, ids_of(10))
    assert count == 5
    assert line is not None
    assert line.endswith("(p000 a, p001 b; p002 a, p003 b; p004 a, p005 b; …)")


def test_one_picture_with_two_lists_of_labels_is_named() -> None:
    """Of tasks with several labels a work; in which order they stand is no difference."""
    alike = np.array([0, 0, 2, 2, 4, 4, 6, 6])
    lists = [["river", "bridge"], ["bridge", "river"], ["river"], ["sea", "river"], ["sea"], None, [], ["sea"]]
    labels = pa.chunked_array([pa.array(lists, pa.list_(pa.string()))])
    assert two_labels(alike, labels, ids_of(8)) == (
        1, "one picture with two labels: 1 (p002 river, p003 river; sea)"
    )  # fmt: skip


def test_two_labels_are_counted_by_task(capsys) -> None:
    rows = rows_of({"style": ["Cubism", "Fauvism", "Dada"]})
    groups, has_maker = work_groups(rows, Mapping(), [])
    joined, counts = join_alike(rows, groups, hashes_of([1, 1, 2]), has_maker=has_maker, tasks=["style"])
    assert counts == {"near_duplicates": 1, "two_labels": {"style": 1}}
    assert joined == ["p000", "p000", "p002"]
    assert "style: one picture with two labels: 1 (p000 Cubism, p001 Fauvism)" in capsys.readouterr().err


def test_a_group_of_more_than_a_quarter_is_said() -> None:
    assert large_group(["a"] * 3 + ["b", "c"]) == "the largest group holds 3 of 5 rows (a)"
    assert large_group([str(n) for n in range(10)]) is None
    assert large_group(["a", "a"]) == "the largest group holds 2 of 2 rows (a)"
    assert large_group(["a"]) is None
    assert large_group([]) is None


def test_of_one_work_with_several_views_it_is_said_so(capsys) -> None:
    rows = rows_of({"artist": ["a", "a", "b", "c"]})
    paths = pa.array(["w1_front.jpg", "w1_back.jpg", "dog.jpg", "cat.jpg"])
    work_groups(Rows(rows.table, rows.records, paths, rows.numbers), Mapping(artist="artist"), [])
    assert (
        "views of one work, by their names: 1 work with 2 pictures (w1_front.jpg, w1_back.jpg); --no-views"
        in capsys.readouterr().err
    )
