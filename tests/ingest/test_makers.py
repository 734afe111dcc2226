"""Makers in cells: one maker's works are never on two sides."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artray.ingest.makers import equal_ties, is_maker_column, maker_ties, makers, unknown_makers
from artray.ingest.splits import assign_splits, merge_groups

KNOWN = ["Claude Monet", "Vincent van Gogh", "Ray Eames", "Charles Eames"]


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("Maker C|Maker B", ["maker c", "maker b"]),
        ("Berthe Morisot; Claude Monet", ["berthe morisot", "claude monet"]),
        ("Berthe Morisot\nClaude Monet", ["berthe morisot", "claude monet"]),
        ("Bernd Becher and Hilla Becher", ["bernd becher", "hilla becher"]),
        ("Bernd Becher & Claude Monet", ["bernd becher", "claude monet"]),
        ("Ray und Charles Eames", ["charles eames"]),
        ("Charles Eames, Ray Eames", ["charles eames", "ray eames"]),
        ("Art & Language (Terry Atkinson, born 1939; Ian Burn)", ["art & language", "terry atkinson", "ian burn"]),
        # What follows a maker or comes from the workshop looks like the maker's.
        ("after Claude Monet", ["claude monet"]),
        ("formerly attributed to Claude Monet", ["claude monet"]),
        ("Possibly after Claude Monet", ["claude monet"]),
        ("Workshop of Claude Monet", ["claude monet"]),
        ("Nach Claude Monet", ["claude monet"]),
        ("D’après Claude Monet", ["claude monet"]),
        ("Sir Joshua Reynolds and studio", ["sir joshua reynolds"]),
        ("Charles Hullmandel, after Claude Monet", ["charles hullmandel", "claude monet"]),
        # Spelling, dates, countries and roles make no other maker.
        ("CLAUDE  MONET", ["claude monet"]),
        ("Monet, Claude", ["claude monet"]),
        ("Claude Monet (French, 1840–1926), artist", ["claude monet"]),
        ("Claude Monet, 1840-1926", ["claude monet"]),
        ("Claude Monet, born 1840, Paris", ["claude monet"]),
        ("[Claude Monet]", ["claude monet"]),
        ("Painter: Claude Monet", ["claude monet"]),
        ("Malerin: Berthe Morisot; Künstler: Claude Monet", ["berthe morisot", "claude monet"]),
        ("1. Claude Monet 2. Auguste Renoir", ["claude monet", "auguste renoir"]),
        # These are one maker.
        ("Gilbert & George", ["gilbert & george"]),
        ("Tiffany & Co.", ["tiffany & co."]),
        ("Gogh, Vincent van (Dutch; 1853)", ["vincent van gogh"]),
        ("Royal Doulton, Stoke on Trent", ["royal doulton, stoke on trent"]),
        ("Unknown|Claude Monet", ["claude monet"]),
        ("Unknown", ["unknown"]),
        ("(?)", ["(?)"]),
    ],
)
def test_makers_in_a_cell(cell: str, names: list[str]) -> None:
    assert makers([*KNOWN, cell])[-1] == names


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Albrecht Dürer", "Albrecht Durer"),
        ("Albrecht Dürer", "Duerer, Albrecht"),
        ("Albrecht Dürer (German, 1471-1528)", "Durer, Albrecht (1471-1528)"),
        ("J. M. W. Turner", "J.M.W. Turner"),
        ("Peder Krøyer", "Peder Kroyer"),
    ],
)
def test_letters_and_spaces_make_no_other_maker(one: str, other: str) -> None:
    ties = maker_ties(pa.array([one, other, "Albrecht Durst", "Albrecht Duerer"])).tolist()
    assert ties[0] == ties[1]
    assert ties[2] not in ties[:2]


def test_commas_separate_where_names_stand_on_both_sides_of_them() -> None:
    lists = ["Ada Bell, Cy Dee", "Eve Fox, Ada Bell", "Cy Dee, Gus Hill"]
    assert makers(lists) == [["ada bell", "cy dee"], ["eve fox", "ada bell"], ["cy dee", "gus hill"]]
    towns = ["Ada Bell, New York", "Eve Fox, New York", "Cy Dee, New York"]
    assert makers(towns) == [[town.lower()] for town in towns]


def test_a_separator_of_the_catalogue() -> None:
    assert makers(["Ada Bell / Cy Dee + Gus", "Ada Bell"], "+")[0] == ["ada bell", "cy dee", "gus"]
    ties = maker_ties(pa.array(["a+b", "b", None, "c", None]), separator="+", people=False)
    assert ties[0] == ties[1]
    assert len(set(ties.tolist())) == 4


def test_cells_that_are_no_people_are_divided_at_marks_only() -> None:
    ties = maker_ties(pa.array(["oil|ink", "ink", "oil and ink", "Ink"]), people=False)
    assert ties[0] == ties[1]
    assert len(set(ties.tolist())) == 3


def test_rows_without_a_value_are_tied_to_none() -> None:
    for ties in (maker_ties(pa.array([None, "A B", None], pa.string())), equal_ties(pa.array([None, "1", None]))):
        assert len(set(ties.tolist())) == 3
    assert maker_ties(pa.array([], pa.string())).tolist() == []


def test_who_nobody_knows() -> None:
    column = pa.array(["Unknown", "unknown", "Anonymous", "Unknown", None, "Claude Monet", "Unbekannt"])
    assert unknown_makers(column) == {"Unknown": 2, "unknown": 1, "Anonymous": 1, "Unbekannt": 1}


def test_columns_of_makers() -> None:
    for name in ("Artist Display Name", "Künstler", "Ku\u0308nstler/in", "creators", "AUTHOR"):
        assert is_maker_column(name), name
    assert not is_maker_column("family")


names = st.sampled_from(["Ada Bell", "Cy Dee", "Eve Fox", "Gus Hill", "Ida Jay", "Kim Lee", "Max Noe", "Ola Poe"])
marks = st.sampled_from(["|", "; ", " and ", " & ", "\n"])
qualifiers = st.sampled_from(["", "", "after ", "Attributed to ", "workshop of "])


@st.composite
def cells(draw: st.DrawFn) -> tuple[str | None, set[str]]:
    """A cell and the makers that it names."""
    several = draw(st.lists(names, max_size=3, unique=True))
    if not several:
        return draw(st.sampled_from([(None, set()), ("Unknown", set())]))
    mark = draw(marks)
    return mark.join(draw(qualifiers) + name for name in several), set(several)


@settings(max_examples=50)
@given(st.lists(cells(), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_a_maker_is_never_on_two_sides_whatever_the_cells(drawn, random) -> None:
    column = [cell for cell, _ in drawn]
    works = [f"work {at}" for at in range(len(column))]

    def split(order: list[int]) -> list[str]:
        mine = pa.array([column[at] for at in order], pa.string())
        groups = merge_groups([column[at] or works[at] for at in order], maker_ties(mine))
        return assign_splits(groups, [None] * len(order))

    parts = split(list(range(len(column))))
    for name in {name for _, those in drawn for name in those}:
        assert len({part for part, (_, those) in zip(parts, drawn, strict=True) if name in those}) == 1
    order = random.sample(range(len(column)), len(column))
    assert split(order) == [parts[at] for at in order]


def test_makers_of_many_rows_take_no_time() -> None:
    column = pa.array([f"Given{n % 9000} Surname" if n % 5 else f"Ada {n % 700} | Cy {n % 30}" for n in range(100_000)])
    ties = maker_ties(column)
    assert len(np.unique(ties)) > 7000
