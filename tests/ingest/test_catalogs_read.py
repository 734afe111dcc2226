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
