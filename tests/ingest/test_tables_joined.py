"""Folders as classes, a second table, the column that joins."""

import pytest

from artray.errors import InputError
from tests.ingest.collection import by_id


def test_folders_are_classes(collection):
    """A5: train/han, train/kom, test/…; the test part is given by the folders."""
    collection.add(
        *(f"{part}/{name}/{n}.jpg" for part in ("train", "test") for name in ("han", "kom") for n in range(9))
    )
    mapping = collection.out.with_name("folders.yaml")
    mapping.write_text("path: (?P<part>train|test)/(?P<maker>[^/]+)/[^/]+$\nlabels: {medium: maker}\n")
    counts, rows = collection.ingest(mapping=str(mapping), test_from="part=test")
    assert counts["labelled"] == {"medium": 36}
    assert {(row["maker"], row["medium"]) for row in rows} == {("han", "hand"), ("kom", "code")}
    assert all((row["part"] == "test") == (row["split"] == "test") for row in rows)
    assert counts["split"]["validation"] > 0
    _, rows = collection.ingest(mapping="class-folders", new_split=True)
    assert by_id(rows, "class")["train/han/0"] == ("han",)


def test_pandora_without_its_list(collection):
    """A3: NN_Movement/artist/file.jpg; movement and artist come from the path."""
    collection.add(*(f"Pandora_18k/06_Rococo/francois-boucher/{n}.jpg" for n in range(4)))
    collection.add(*(f"Pandora_18k/15_Cubism/school/juan-gris/{n}.jpg" for n in range(4)), "other.jpg")
    counts, rows = collection.ingest(mapping="pandora18k")
    assert by_id(rows, "artist_folder", "style", "group") == {
        **{
            f"Pandora_18k/06_Rococo/francois-boucher/{n}": ("francois-boucher", "Rococo", "francois-boucher")
            for n in range(4)
        },
        **{
            f"Pandora_18k/15_Cubism/school/juan-gris/{n}": ("school/juan-gris", "Cubism", "school/juan-gris")
            for n in range(4)
        },
        "other": (None, None, "other"),
    }
    assert counts["labelled"] == {"style": 8}


@pytest.mark.parametrize(
    "options", [{"label": {"style": "movement"}}, {"id_column": "nr"}, {"mapping": "tate", "file_column": "f"}]
)
def test_columns_without_a_catalogue_are_refused(collection, options):
    collection.add("a.jpg")
    with pytest.raises(InputError, match="there is no --catalog, and the paths' columns are: none"):
        collection.ingest(**options)


def test_a_second_table(collection, capsys):
    """NGA: published_images.csv names the pictures, objects.csv describes the works."""
    header = ["uuid", "iiifurl", "iiifthumburl", "viewtype", "depictstmsobjectid"]
    images = [
        (f"0f9c{n}-11ab", f"https://api.nga.gov/iiif/0f9c{n}-11ab", "", "primary", str(n // 2)) for n in range(40)
    ]
    collection.describe([dict(zip(header, row, strict=True)) for row in images])
    collection.add(*(f"{row[0]}.jpg" for row in images))
    works = collection.catalog.with_name("objects.csv")
    works.write_text("objectid,title,attribution,classification\n" + "".join(f"{n},T{n},A,Print\n" for n in range(19)))
    counts, rows = collection.ingest(attach=str(works), label={"classification": "classification"})
    assert counts["labelled"] == {"classification": 38}
    assert {row["title"] for row in rows} == {None, *(f"T{n}" for n in range(19))}
    sides: dict[str, set[object]] = {}
    for row in rows:
        sides.setdefault(row["depictstmsobjectid"], set()).add(row["split"])
    assert len(sides) == 20
    assert all(len(parts) == 1 for parts in sides.values())
    assert "attached: 38 with a partner, 2 without a partner, 0 keys twice" in capsys.readouterr().err
    collection.ingest()
    assert "without --attach objects.csv" in capsys.readouterr().err


def test_the_column_that_joins_is_taken_or_named(collection, capsys):
    rows = [{"id": str(90000 + n), "accession_number": f"{1915 + n}.{500 + n}"} for n in range(8)]
    collection.add(*(f"{row['accession_number']}_web.jpg" for row in rows))
    collection.describe(rows)
    counts, _ = collection.ingest(id_column="id")
    assert counts["matched"] == 0
    assert "--id-column accession_number would join 8 of 8 pictures, now it is 0" in capsys.readouterr().err
    counts, written = collection.ingest()
    assert counts["matched"] == 8
    assert {row["object_id"] for row in written} == {row["accession_number"] for row in rows}


def test_several_files_in_a_cell_and_one_that_is_not_there(collection, capsys):
    collection.add("w0_front.jpg", "w0_back.jpg", "w1_front.jpg")
    files = ["w0_front.jpg; w0_back.jpg", "w1_front.jpg; w1_back.jpg"]
    collection.describe([{"id": f"w{n}", "files": cell, "style": "Dada"} for n, cell in enumerate(files)])
    counts, rows = collection.ingest()
    assert (counts["matched"], counts["failed"]) == (3, 1)
    assert by_id(rows, "size")["w1/w1_back"] == (None,)
    assert len({row["group"] for row in rows}) == 2
    assert (
        "names of pictures that aren't there, beside others of their rows: 1 (w1_back.jpg)" in capsys.readouterr().err
    )


def test_what_a_flag_says_is_not_said_to_be_guessed(collection, capsys):
    collection.add("a.jpg")
    collection.describe([{"id": "1", "file": "a.jpg", "artist": "Klee", "style": "Cubism", "Titel": "Fugue"}])
    collection.ingest()
    guessed = capsys.readouterr().err
    assert all(f"guessed: {what}: column" in guessed for what in ("file", "label style", "artist", "title"))
    collection.ingest(label={"style": "style"}, title_column="Titel", file_column="file", new_split=True)
    said = capsys.readouterr().err
    assert "guessed: artist: column 'artist'" in said
    assert not any(f"guessed: {what}" in said for what in ("file", "label", "title"))
