"""The column that joins, where the guess joins few."""

import pyarrow as pa
import pytest

from artray.catalogs.columns import Mapping, guess_mapping
from artray.catalogs.join_columns import Join, find_join


def join(paths: list[str], catalog: dict[str, list[str | None]], *, guessed: bool = True, **mapping: str) -> Join:
    table = pa.table({name: pa.array(cells, pa.string()) for name, cells in catalog.items()})
    found = guess_mapping(table).mapping.model_copy(update=mapping) if guessed else Mapping(**mapping)
    return find_join(pa.table({"path": pa.array(paths, pa.string())}), table, found, guessed=guessed)


NUMBERS = range(16)
STYLES: list[str | None] = ["Cubism" if n % 2 else "Fauvism" for n in NUMBERS]
IDS: list[str | None] = [str(90_000 + 7 * n) for n in NUMBERS]
ACCESSIONS: list[str | None] = [f"{1915 + n}.{500 + n}" for n in NUMBERS]
ADDRESSES: list[str | None] = [f"https://cdn.test/{name}/{name}_web.jpg" for name in ACCESSIONS]
WEB = [f"{name}_web.jpg" for name in ACCESSIONS]


def test_the_column_that_joins_is_taken_and_said() -> None:
    found = join(WEB, {"id": IDS, "accession_number": ACCESSIONS, "style": STYLES})
    assert found.mapping.object_id == "accession_number"
    assert found.match.report.pictures_matched == 16
    assert found.lines == ("guessed: object_id: column 'accession_number' (it joins 16 of 16 pictures, 'id' 0)",)


def test_the_last_part_of_addresses_says_more_than_a_number_in_a_name() -> None:
    found = join(WEB, {"id": IDS, "accession_number": ACCESSIONS, "image_web": ADDRESSES, "style": STYLES})
    assert (found.mapping.object_id, found.mapping.url) == ("id", "image_web")
    assert found.match.table["row"].to_pylist() == list(NUMBERS)


@pytest.mark.parametrize(
    ("column", "paths"),
    [
        ("image file", [f"INV_{n:04}.jpg" for n in NUMBERS]),
        ("Nr.", [f"x/INV_{n:04}.jpg" for n in NUMBERS]),
        ("Nr.", [f"INV_{n:04}/front.jpg" for n in NUMBERS]),
    ],
)
def test_names_without_suffix_and_folders(column: str, paths: list[str]) -> None:
    inventory: list[str | None] = [f"INV_{n:04}" for n in NUMBERS]
    found = join(paths, {"number": [str(n) for n in NUMBERS], column: inventory, "style": STYLES})
    assert found.match.table["row"].to_pylist() == list(NUMBERS)


def test_numbers_of_pictures_are_not_the_works() -> None:
    names: list[str | None] = [f"0f{n:04}-a1" if n % 3 == 0 else None for n in NUMBERS]
    found = join([f"{name}.jpg" for name in names if name], {"id": IDS, "image_id": names})
    assert (found.mapping.object_id, found.mapping.file) == ("id", "image_id")
    assert found.match.report.pictures_matched == 6


def test_what_the_user_said_stays_and_the_better_column_is_named() -> None:
    found = join(WEB, {"id": IDS, "accession_number": ACCESSIONS}, guessed=False, object_id="id")
    assert found.mapping.object_id == "id"
    assert found.lines == ("--id-column accession_number would join 16 of 16 pictures, now it is 0",)


def test_columns_that_join_to_other_rows_are_named_only() -> None:
    names: list[str | None] = [f"w{n}" for n in NUMBERS]
    found = join([f"w{n}.jpg" for n in NUMBERS], {"old number": names, "new number": names[::-1]})
    assert found.match.report.pictures_matched == 0
    assert found.lines == ("--id-column 'old number' would join 16 of 16 pictures, now it is 0",)


def test_a_guess_that_joins_is_kept() -> None:
    found = join([f"{name}.jpg" for name in IDS], {"id": IDS, "copy": IDS})
    assert (found.mapping.object_id, found.lines) == ("id", ())


def test_titles_and_few_rows_change_nothing() -> None:
    found = join(["a.jpg", "b.jpg"], {"title": ["c", "d"], "style": ["Dada", "Pop Art"]})
    assert (found.lines, found.match.report.pictures_matched) == ((), 0)
    assert join(["a.jpg"], {"title": []}).lines == ()


def test_of_further_columns_that_say_different_things_none_is_taken() -> None:
    names: list[str | None] = [f"w{n}.jpg" for n in NUMBERS]
    first: list[str | None] = [f"a{n}.jpg" for n in NUMBERS]
    columns = {"image": first, "old image": names, "new image": names[::-1]}
    found = join([*(f"w{n}.jpg" for n in NUMBERS), *(f"a{n}.jpg" for n in NUMBERS)], columns)
    assert found.match.report.pictures_matched == 16
    assert [line.partition(" (")[0] for line in found.lines] == [
        f"--file-column 'image,{name} image' would join 16 pictures more" for name in ("old", "new")
    ]
    del columns["new image"]
    found = join([*(f"w{n}.jpg" for n in NUMBERS), *(f"a{n}.jpg" for n in NUMBERS)], columns)
    assert (found.match.report.pictures_matched, found.mapping.more_files) == (32, ("old image",))


@pytest.mark.parametrize(
    ("column", "cell", "path"),
    [
        ("object_id", "{n}", "{n:06}_01.jpg"),  # padded, and a view
        ("object_id", "{n},0", "{n}.jpg"),  # a German spreadsheet's whole number
        ("id", "ark:/12148/btv1b{n}x", "btv1b{n}x.jpg"),
        ("id", "oai:museum.test:{n}", "{n}.jpg"),
        ("uri", "https://museum.test/object/{n}/", "{n}.jpg"),
        ("file", "{n}.jpg?v=2", "{n}.jpg"),
        ("file", "'{n}.jpg'", "{n}.jpg"),
    ],
)
def test_other_ways_to_write_numbers_and_names(column: str, cell: str, path: str) -> None:
    numbers = [507 + 3 * n for n in NUMBERS]
    found = join([path.format(n=n) for n in numbers], {column: [cell.format(n=n) for n in numbers], "style": STYLES})
    assert found.match.table["row"].to_pylist() == list(NUMBERS)


def test_that_nothing_joins_is_said() -> None:
    found = join(["a.jpg", "b.jpg"], {"id": ["1", "2"]})
    assert any(line.startswith("no row has found its picture") for line in found.match.report.lines())
