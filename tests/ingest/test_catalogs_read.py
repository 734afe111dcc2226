"""What is read of a catalogue reaches the manifest: by flags, under fixed names, and with what is left out counted."""

import json
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest

from artray.errors import InputError
from artray.ingest.manifest import FILE
from artray.ingest.station import IngestOptions, ingest
from artray.job import validate


def run(folder: Path, catalog: str, **options: Any) -> list[dict[str, Any]]:
    given = {"catalog": str(folder / catalog)} if catalog else {}
    values = {"images": str(folder / "pics"), "out": str(folder / "m"), "near_duplicates": False, **given, **options}
    ingest(validate(IngestOptions, values))
    rows: list[dict[str, Any]] = pq.read_table(folder / "m" / FILE).to_pylist()
    return rows


def pictures(folder: Path, *names: str) -> None:
    for name in names:
        (folder / "pics" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "pics" / name).write_bytes(name.encode())


def test_title_artist_and_date_under_fixed_names(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    (tmp_path / "c.csv").write_text("Datei;Titel;Künstler;Datierung;Maße\na.jpg;Meer;Müller;um 1900;x\n")
    (row,) = run(tmp_path, "c.csv")
    assert (row["title"], row["artist"], row["date"]) == ("Meer", "Müller", "um 1900")
    assert (row["Titel"], row["Künstler"], row["Datierung"]) == ("Meer", "Müller", "um 1900")


def test_they_can_be_said_and_the_catalogues_own_column_gives_way(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    (tmp_path / "c.csv").write_text("file,title,Long Name,who,when\na.jpg,x,The Sea,Monet,1900\n")
    (row,) = run(tmp_path, "c.csv", title_column="Long Name", artist_column="who", date_column="when")
    assert (row["title"], row["catalog_title"], row["artist"], row["date"]) == ("The Sea", "x", "Monet", "1900")
    with pytest.raises(InputError, match="no column 'whom'; it has 'who'"):
        run(tmp_path, "c.csv", artist_column="whom")


def test_a_task_keeps_its_name(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    (tmp_path / "c.csv").write_text("file,Artist\na.jpg,Monet\n")
    (row,) = run(tmp_path, "c.csv", label={"artist": "Artist"})
    assert (row["artist"], row["Artist"]) == ("Monet", "Monet")


def test_a_mapping_says_them_too(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    (tmp_path / "c.csv").write_text("file,t,a,d\na.jpg,Sea,Monet,1900\n")
    (tmp_path / "m.yaml").write_text("file: file\nwork_title: t\nartist: a\ndate: d\n")
    (row,) = run(tmp_path, "c.csv", mapping=str(tmp_path / "m.yaml"))
    assert (row["title"], row["artist"], row["date"]) == ("Sea", "Monet", "1900")


def test_ready_mappings_do_without_a_title_that_is_not_there(tmp_path: Path) -> None:
    pictures(tmp_path, "1.jpg")
    header = "ConstituentID,ArtistBio,AccessionNumber,ObjectID,ImageURL,Artist,Classification,Title"
    (tmp_path / "c.csv").write_text(f"{header}\n5,x,1.1,1,http://x.test/1.jpg,Monet,Print,Sea\n")
    (row,) = run(tmp_path, "c.csv")
    assert (row["title"], row["artist"]) == ("Sea", "Monet")
    assert "date" not in row


def test_labels_from_inside_objects_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path, "X0.jpg", "X1.jpg")
    works = [{"acno": f"X{n}", "movements": [{"id": n, "name": name}]} for n, name in enumerate(("Cubism", "Fauvism"))]
    (tmp_path / "c.json").write_text(json.dumps(works))
    assert [row["style"] for row in run(tmp_path, "c.json")] == ["Cubism", "Fauvism"]
    run(tmp_path, "c.json", label={"style": "movements"}, new_split=True)
    assert "style: column 'movements' holds objects; --label style=PATH takes" in capsys.readouterr().err

    (tmp_path / "c.csv").write_text("file,kinds\nX0.jpg,\"['Cubism', 'Fauvism']\"\nX1.jpg,['Fauvism']\n")
    rows = run(tmp_path, "c.csv", label={"style": "kinds"}, new_split=True)
    assert [row["style"] for row in rows] == [None, "Fauvism"]
    assert "style: several values: 1 (Cubism|Fauvism 1)" in capsys.readouterr().err


def test_words_for_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "c.csv").write_text("file,style,artist\na.jpg,NULL,NULL\nb.jpg,Cubism,Unknown\n")
    rows = run(tmp_path, "c.csv")
    assert [(row["style"], row["artist"]) for row in rows] == [(None, None), ("Cubism", "Unknown")]
    assert rows[0]["catalog_style"] == "NULL"
    assert "style: empty: 1 (NULL 1)" in capsys.readouterr().err


def test_flags_of_the_catalogues_form(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    (tmp_path / "c.csv").write_bytes("Report\nfile;Titel\na.jpg;Möbel\n".encode("mac_roman"))
    assert run(tmp_path, "c.csv", encoding="mac_roman", header_line=2)[0]["title"] == "Möbel"
    book = openpyxl.Workbook()
    for sheet, title in ((book.active, "Sea"), (book.create_sheet("second"), "Lake")):
        assert sheet is not None
        sheet.append(["file", "title"])
        sheet.append(["a.jpg", title])
    book.save(tmp_path / "c.xlsx")
    assert run(tmp_path, "c.xlsx", sheet="second", new_split=True)[0]["title"] == "Lake"
    lists = {"objects": [{"file": "a.jpg", "title": "Sea"}], "others": [{"file": "b.jpg"}]}
    (tmp_path / "c.json").write_text(json.dumps(lists))
    assert run(tmp_path, "c.json", records="objects", new_split=True)[0]["title"] == "Sea"
    (tmp_path / "large.csv").write_text("file\n" + "x" * (1 << 20))
    with pytest.raises(InputError, match=r"larger than 1,048,576 bytes: --max-catalog-mb raises the limit"):
        run(tmp_path, "large.csv", max_catalog_mb=1)
    with pytest.raises(InputError, match="--encoding: there is no such encoding; did you mean mac_roman"):
        run(tmp_path, "c.csv", encoding="mac_romn")


def test_folders_of_systems_and_hidden_files_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(
        tmp_path, "a.jpg", "deep/b.jpg", "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "deep/@eaDir/b.jpg", "#recycle/c.jpg"
    )
    pictures(
        tmp_path, "._a.jpg", ".DS_Store", "__MACOSX/._a.jpg", "__MACOSX/a.jpg", ".thumbnails/a.jpg", "Thumbs.db", ".x"
    )
    assert len(run(tmp_path, "")) == 2
    said = capsys.readouterr().err
    assert "left out, in folders of the system: 4 (@eaDir 2, #recycle 1, __MACOSX 1)" in said
    assert "left out, hidden files: 5 (._* 2, .DS_Store 1, .thumbnails 1, others 1)" in said
    assert "not pictures, left out: 1 (.db 1)" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("image1,image2,image3", ("a", "b", "c")),
        ("recto,verso,detail", ("r", "v", "d")),
        ("bild_1,bild_2,bild_3", ("1", "2", "3")),
        ("image,other image,third", ("x", "y", "z")),
    ],
)
def test_pictures_named_in_several_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, names: tuple[str, ...]
) -> None:
    pictures(tmp_path, *(f"s{n}_{name}x.jpg" for n in range(6) for name in names if name != names[2] or n < 2))
    lines = [f"k{n},T{n},Maker {n}," + ",".join(f"s{n}_{name}x.jpg" for name in names) for n in range(6)]
    lines[2:] = [line.rpartition(",")[0] + "," for line in lines[2:]]  # most have no third
    (tmp_path / "c.csv").write_text("\n".join([f"id,title,artist,{header}", *lines]))
    rows = run(tmp_path, "c.csv")
    assert [row["title"] for row in rows] == [f"T{row['image_uri'].rpartition('/s')[2][0]}" for row in rows]
    assert len(rows) == 14
    assert len({row["group"] for row in rows}) == 6
    assert "names of 8 pictures more of the same works" in capsys.readouterr().err


@pytest.mark.slow
def test_columns_of_pictures_can_be_said_and_are_named_where_they_are_not_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(tmp_path, *(f"s{n}_{name}.jpg" for n in range(6) for name in "rv"))
    lines = [f"k{n},T{n},s{n}_r.jpg,s{n}_v.jpg,s{(n + 1) % 6}_r.jpg,s{n + 9}_r.jpg" for n in range(6)]
    (tmp_path / "c.csv").write_text("\n".join(["id,title,recto,verso,related,lost", *lines]))
    titles = [row["title"] for row in run(tmp_path, "c.csv", file_column="recto")]
    assert titles.count(None) == 6
    assert "--file-column 'recto,verso' would join 6 pictures more (6 names in 'verso')" in capsys.readouterr().err
    # Never by names of other works' pictures.
    expected = [f"T{n}" for n in range(6) for _ in "rv"]
    assert [row["title"] for row in run(tmp_path, "c.csv", file_column="recto,verso", new_split=True)] == expected
    # Which of recto and related is meant nobody can tell.
    assert {row["title"] for row in run(tmp_path, "c.csv", new_split=True)} == {None}
    assert "--file-column recto would join 6 of 12 pictures, now it is 0" in capsys.readouterr().err
    lines = [line.rsplit(",", 2)[0] for line in lines]
    (tmp_path / "two.csv").write_text("\n".join(["id,title,recto,verso", *lines]))
    assert [row["title"] for row in run(tmp_path, "two.csv", new_split=True)] == expected
    with pytest.raises(InputError, match="no column 'recto,verse'"):
        run(tmp_path, "c.csv", file_column="recto,verse")
    capsys.readouterr()
    run(tmp_path, "c.csv", file_column="recto,verso,lost", new_split=True)
    assert "names of pictures that aren't there, beside others of their rows: 6" in capsys.readouterr().err


def described(folder: Path, form: str) -> None:
    """A data set with a metadata file in each folder of pictures, whose names are relative to it and stand in both."""
    for part, count in (("train", 8), ("test", 4)):
        pictures(folder, *(f"{part}/000{n}.jpg" for n in range(count)))
        records = [{"file_name": f"000{n}.jpg", "label": f"{part} {n}"} for n in range(count)]
        if form == "csv":
            text = "file_name,label\n" + "".join(f"{record['file_name']},{record['label']}\n" for record in records)
            (folder / "pics" / part / "metadata.csv").write_text(text)
        elif form == "jsonl":
            (folder / "pics" / part / "metadata.jsonl").write_text("\n".join(map(json.dumps, records)))
        else:
            for record in records:
                (folder / "pics" / part / f"{record['file_name']}.json").write_text(json.dumps(record))


@pytest.mark.parametrize("form", ["csv", "jsonl", "sidecars"])
@pytest.mark.parametrize("place", ["pics", ".", "pics/test"])
def test_names_are_relative_to_their_own_files_folder(tmp_path: Path, form: str, place: str) -> None:
    described(tmp_path / "data", form)
    (tmp_path / "data" / "pics" / "notes.csv").write_text("a,b\n1,2\n")  # no metadata
    rows = run(tmp_path, f"data/{place}", images=str(tmp_path / "data" / "pics"))
    told = {row["image_uri"].split("/pics/")[1]: row["label"] for row in rows}
    for path, label in told.items():
        part, number = path[:-4].split("/000")
        assert label == (f"{part} {number}" if part == "test" or place != "pics/test" else None)
    assert len(told) == 12


def test_a_single_metadata_file_describes_its_own_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    described(tmp_path, "csv")
    (tmp_path / "pics" / "train" / "0003.jpg").unlink()
    rows = run(tmp_path, "pics/train/metadata.csv")
    told = {row["image_uri"].split("/pics/")[1]: row["label"] for row in rows}
    # The one that is missing is not looked for in the other folder.
    assert told == {f"train/000{n}.jpg": f"train {n}" for n in range(8)} | {f"test/000{n}.jpg": None for n in range(4)}
    assert "rows that name a picture which isn't there: 1 (train/0003.jpg)" in capsys.readouterr().err


def test_metadata_whose_names_begin_at_the_pictures_folder(tmp_path: Path) -> None:
    pictures(tmp_path, "train/1.jpg", "train/2.jpg", "test/1.jpg")
    (tmp_path / "pics" / "train" / "labels.csv").write_text("file,label\ntrain/1.jpg,a\ntrain/2.jpg,b\ntest/1.jpg,c\n")
    assert [row["label"] for row in run(tmp_path, "pics/train/labels.csv")] == ["c", "a", "b"]


def test_a_folder_of_tables_is_one_catalogue_if_they_are_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(tmp_path, *(f"{n}.jpg" for n in range(4)))
    (tmp_path / "years").mkdir()
    for year in (0, 1):
        lines = [f"{2 * year + n}.jpg,T{2 * year + n},x" for n in range(2)]
        (tmp_path / "years" / f"{year}.csv").write_text("\n".join(["file,title," + "ab"[year], *lines]))
    (tmp_path / "years" / "1.csv").open("a").write("\nTotal: 2,,\n")
    (tmp_path / "years" / "~$1.xlsx").write_text("lock of a workbook that is open")
    assert [row["title"] for row in run(tmp_path, "years")] == ["T0", "T1", "T2", "T3"]
    told = capsys.readouterr().err
    assert "catalogue: 4 rows, 2 files, the first: UTF-8, cells separated by ','" in told
    assert "catalogue: 1.csv: lines below the records, left out ('Total: 2'): 1 (line 4)" in told
    (tmp_path / "years" / "artists.csv").write_text("artist,born,died\nMonet,1840,1926\n")
    with pytest.raises(
        InputError, match=r"its tables have other columns: 0\.csv \(file, title, a, …\) and artists\.csv"
    ):
        run(tmp_path, "years")


def test_json_files_called_as_their_pictures(tmp_path: Path) -> None:
    for part in ("a", "b"):
        pictures(tmp_path, *(f"{part}/{n}.jpg" for n in range(3)))
        for n in range(3):
            file = tmp_path / "pics" / part / (f"{n}.jpg.json" if part == "a" else f"{n}.json")
            file.write_text(json.dumps({"title": f"{part} {n}"}))
    rows = run(tmp_path, "pics")
    assert [row["title"] for row in rows] == [f"{part} {n}" for part in "ab" for n in range(3)]


def test_a_test_part_that_is_empty_names_what_there_is(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "c.csv").write_text("file,part\na.jpg,Train\nb.jpg,Test\n")
    with pytest.raises(InputError, match=r"part=test: no row is in it \(the column holds 'Test', 'Train'\)"):
        run(tmp_path, "c.csv", test_from="part=test")


def test_marks_for_the_same_as_above_are_no_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path, *(f"{n}.jpg" for n in range(4)))
    (tmp_path / "c.csv").write_text("file,kind\n0.jpg,Cubism\n1.jpg,idem\n2.jpg,〃\n3.jpg,do it\n")
    rows = run(tmp_path, "c.csv", label={"kind": "kind"})
    assert [row["kind"] for row in rows] == ["Cubism", None, None, "do it"]
    assert "kind: empty: 2" in capsys.readouterr().err


def test_columns_of_names_without_suffix(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"s{n}{side}.tif" for n in range(6) for side in "rv"))
    lines = [f"k{n},T{n},s{n}r,s{n}v" for n in range(6)]
    (tmp_path / "c.csv").write_text("\n".join(["id,title,recto,verso", *lines]))
    assert [row["title"] for row in run(tmp_path, "c.csv")] == [f"T{n}" for n in range(6) for _ in "rv"]


def test_pictures_that_download_fetched_from_several_columns_are_views_of_one_work(tmp_path: Path) -> None:
    pictures(tmp_path, "7.jpg", "7%2Fb.jpg", "8.jpg", "8%2Fa.jpg", "8%2Fa%232.jpg")
    urls = ["http://m.test/1.jpg,http://m.test/b.jpg", "http://m.test/2.jpg,http://m.test/a.jpg;http://m.test/x/a.jpg"]
    lines = [f"{number},Sea {number},{url}" for number, url in zip((7, 8), urls, strict=True)]
    (tmp_path / "c.csv").write_text("\n".join(["id,title,image_1,image_2", *lines]))
    rows = run(tmp_path, "c.csv")
    titles = {row["image_uri"].rpartition("/")[2]: row["title"] for row in rows}
    assert titles == {
        **dict.fromkeys(("7.jpg", "7%2Fb.jpg"), "Sea 7"),
        **dict.fromkeys(("8.jpg", "8%2Fa.jpg", "8%2Fa%232.jpg"), "Sea 8"),
    }
    assert len({row["group"] for row in rows}) == 2


@pytest.mark.parametrize("suffix", ["-150x150", "-1024x683", "-scaled", "_300x200"])
def test_smaller_copies_beside_a_picture_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    pictures(tmp_path, *(f"up/w{n}{size}.jpg" for n in range(3) for size in ("", suffix, "-300x200")))
    (tmp_path / "c.csv").write_text("file,title\n" + "".join(f"up/w{n}.jpg,T{n}\n" for n in range(3)))
    assert [row["title"] for row in run(tmp_path, "c.csv")] == ["T0", "T1", "T2"]
    assert "left out, smaller copies of pictures that are there: 6 (up/w0" in capsys.readouterr().err
    assert len(run(tmp_path, "c.csv", views=False, new_split=True)) == 9
    # A catalogue may name them.
    (tmp_path / "d.csv").write_text(
        "url,title\n" + "".join(f"https://m.test/up/w{n}{suffix}.jpg?v=2,T{n}\n" for n in range(3))
    )
    rows = run(tmp_path, "d.csv", new_split=True)
    assert {row["title"] for row in rows} == {"T0", "T1", "T2", None}
    assert len({row["group"] for row in rows}) == 3


def test_sizes_of_works_and_copies_without_their_picture_stay(tmp_path: Path) -> None:
    pictures(tmp_path, "sea.jpg", "sea_30x40.jpg", "w-300x200.jpg", "w-1024x683.jpg", "x/sea-300x200.jpg")
    rows = run(tmp_path, "")
    assert len(rows) == 5
    groups = {row["image_uri"].rpartition("/pics/")[2]: row["group"] for row in rows}
    assert groups["w-300x200.jpg"] == groups["w-1024x683.jpg"]
    assert len(set(groups.values())) == 4


@pytest.mark.parametrize("text", ["file,title\n", "file,title\N{LINE SEPARATOR}a.jpg,Sea\N{LINE SEPARATOR}"])
def test_a_catalogue_without_records_is_refused(tmp_path: Path, text: str) -> None:
    pictures(tmp_path, "a.jpg")
    (tmp_path / "c.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"c\.csv: holds no records, at most a header"):
        run(tmp_path, "c.csv")


def test_names_of_pictures_within_objects(tmp_path: Path) -> None:
    pictures(tmp_path, "w0_a.jpg", "w0_b.jpg", "w1_a.jpg")
    works = [{"nr": f"k{n}", "images": [{"file": f"w{n}_{side}.jpg"} for side in "ab"[: 2 - n]]} for n in range(2)]
    (tmp_path / "c.json").write_text(json.dumps(works))
    assert [row["nr"] for row in run(tmp_path, "c.json")] == ["k0", "k0", "k1"]


def test_labels_that_may_be_several_or_one_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path, *(f"{n}.jpg" for n in range(4)))
    (tmp_path / "c.csv").write_text("file,kind\n0.jpg,Déco\n1.jpg,Deco\n2.jpg,Deco / Dada\n3.jpg,Dada\n")
    run(tmp_path, "c.csv", label={"kind": "kind"})
    told = capsys.readouterr().err
    assert "kind: classes that are spelled alike: 'Deco' 1, 'Déco' 1" in told
    assert "kind: 1 cell with ' / ' between values that are labels by themselves (Deco / Dada)" in told


def test_columns_are_named_in_any_form_of_unicode_and_mappings_in_any_encoding(tmp_path: Path) -> None:
    pictures(tmp_path, "a.jpg")
    (tmp_path / "c.csv").write_text("Nümmer,Töne\na,hell\n", encoding="utf-8")
    apart = {"id_column": "Nu\N{COMBINING DIAERESIS}mmer", "label": {"tone": "To\N{COMBINING DIAERESIS}ne"}}
    assert [row["tone"] for row in run(tmp_path, "c.csv", **apart)] == ["hell"]
    text = "object_id: Nu\N{COMBINING DIAERESIS}mmer\nlabels: {tone: Töne}\n"
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / "m.yaml").write_text(text, encoding=encoding)
        assert [row["tone"] for row in run(tmp_path, "c.csv", mapping=str(tmp_path / "m.yaml"))] == ["hell"]
