"""Films in, curves out: in this process, without Ray."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from artray.errors import ArtrayError, InputError
from artray.film import sampling
from artray.film.container import Film
from artray.film.sampling import cut_stretches, folder_of, frame_id, list_films
from artray.film.station import FilmOptions, label_film
from artray.storage import Location
from tests.film.making import make_film, make_sound, scenes, write_colour_bundle
from tests.labeling import serial

pytestmark = pytest.mark.slow  # whole stations


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_colour_bundle(tmp_path_factory.mktemp("model") / "colours")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two sound films, each of known colours, and some that are none."""
    folder = tmp_path_factory.mktemp("films")
    make_film(folder / "one.mp4", scenes(["red", "green", "blue"], 3), 9)
    (folder / "more").mkdir()
    make_film(folder / "more" / "two <b>.mkv", scenes(["blue", "red"], 3), 6)
    (folder / "text.mp4").write_text("no film")
    (folder / "empty.mov").write_bytes(b"")
    make_sound(folder / "sound.mp4")
    (folder / "notes.txt").write_text("of the archive")
    return folder


def install(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Let all passes run here; gives the ids of what each has worked on, by its name."""
    made: dict[str, list[str]] = {}
    serial.install(monkeypatch)

    def run_pass(title, manifest, out, worker, arguments, **_):
        work = worker(**json.loads(json.dumps(arguments)))
        table = Location.parse(manifest).dataset().to_table()
        for number in range(len(table)):
            part = Location.parse(out) / f"part-{number:06d}.parquet"
            if not part.exists():
                rows = table.slice(number, 1)
                result = work(rows)  # may fail, and then nothing is written
                made.setdefault(title, []).extend(rows["object_id"].to_pylist())
                part.write_table(result)

    monkeypatch.setattr(sampling, "run_pass", run_pass)
    return made


@pytest.fixture
def passes(monkeypatch):
    return install(monkeypatch)


@pytest.fixture(scope="module")
def labelled(films, bundle, tmp_path_factory):
    """Where the films were labelled, what the job said, and its passes."""
    out = tmp_path_factory.mktemp("labelled") / "out"
    with pytest.MonkeyPatch.context() as patch:
        passes = install(patch)
        return out, run(films, bundle, out, smooth=3), passes


def run(films, bundle, out, **options):
    return label_film(FilmOptions(films=films, model=[bundle], out=out, smooth=options.pop("smooth", 0), **options))


def rows(out):
    return pq.read_table(out / "seconds.parquet").to_pylist(maps_as_pydicts="strict")


def test_films_cut_together_give_their_curve_back(labelled):
    out, counts, passes = labelled
    told = [row for row in rows(out) if row["film"] == "one.mp4"]
    assert [row["label"] for row in told] == [*["red"] * 3, *["green"] * 3, *["blue"] * 3]
    assert [row["second"] for row in told if row["cut"]] == [3, 6]
    assert [row["shot"] for row in told] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [row["second"] for row in told] == list(range(9))
    assert told[4]["scores"]["green"] > 0.9
    middle = np.mean([told[second]["scores"]["green"] for second in (2, 3, 4)])
    assert told[3]["smoothed"]["green"] == pytest.approx(middle, abs=1e-6)
    assert (counts["rows"], counts["ok"], counts["failed"]) == (5, 2, 3)
    assert counts["frames"] == {"ok": 15}
    assert counts["cuts"] == 3
    assert passes["films"] == ["empty.mov", "more/two <b>.mkv", "one.mp4", "sound.mp4", "text.mp4"]


def test_what_is_no_film_is_a_row_with_a_status_everywhere(labelled):
    out, _, _ = labelled
    wanted = {"empty.mov": "empty", "sound.mp4": "unsupported", "text.mp4": "not_a_film"}
    for table in (out / "films.parquet", out / "seconds.parquet"):
        found = {row["film"]: row["status"] for row in pq.read_table(table).to_pylist() if row["status"] != "ok"}
        assert found == wanted
    manifest = pq.read_table(out / "manifest" / "manifest.parquet").to_pylist()
    assert {row["film"]: row["frame_status"] for row in manifest if row["image_uri"] is None} == wanted
    page = (out / "index.html").read_text("utf-8")
    assert "text.mp4</bdi>: not a film" in page


def test_frames_are_pictures_and_pages_lead_to_them(labelled):
    out, _, _ = labelled
    manifest = pq.read_table(out / "manifest" / "manifest.parquet").to_pylist()
    frames = [row for row in manifest if row["image_uri"]]
    assert {row["object_id"] for row in frames} >= {"one.mp4#t=0", "one.mp4#t=8", "more/two <b>.mkv#t=5"}
    assert all(Path(row["image_uri"]).stat().st_size == row["size"] for row in frames)
    name = folder_of("more/two <b>.mkv")
    page = (out / "films" / f"{name}.html").read_text("utf-8")
    assert "two &lt;b&gt;.mkv" in page
    assert "<b>" not in page
    assert "<script" not in page + (out / "index.html").read_text("utf-8")
    assert f'href="../frames/{name}/' in page
    assert "<style>" in (out / "films" / f"{name}.svg").read_text("utf-8")
    assert not (out / "_sampling").exists()


def test_only_films_that_are_new_or_have_changed_are_sampled_again(films, bundle, passes, tmp_path):
    folder, out = tmp_path / "films", tmp_path / "out"
    folder.mkdir()
    make_film(folder / "a.mp4", scenes(["red"], 3), 3)
    make_film(folder / "b.mp4", scenes(["blue"], 3), 3)
    run(folder, bundle, out)
    assert run(folder, bundle, out)["sampled"] == 0
    make_film(folder / "b.mp4", scenes(["green"], 4), 4)
    make_film(folder / "c.mp4", scenes(["blue"], 2), 2)
    passes.clear()
    counts = run(folder, bundle, out)
    assert passes["films"] == ["b.mp4", "c.mp4"]
    assert counts["sampled"] == 2
    assert [(row["film"], row["label"]) for row in rows(out)] == [
        *[("a.mp4", "red")] * 3, *[("b.mp4", "green")] * 4, *[("c.mp4", "blue")] * 2
    ]  # fmt: skip
    (folder / "a.mp4").unlink()
    assert run(folder, bundle, out)["gone"] == 1
    assert {row["film"] for row in rows(out)} == {"b.mp4", "c.mp4"}


def test_a_run_that_died_goes_on_with_the_stretches_that_are_missing(bundle, passes, tmp_path, monkeypatch):
    folder, out = tmp_path / "films", tmp_path / "out"
    folder.mkdir()
    for name in "abc":
        make_film(folder / f"{name}.mp4", scenes(["red", "blue"], 1), 2)
    frames_at = sampling.frames_at

    def dies(uri, *told, **more):
        if uri.name == "b.mp4":
            raise KeyboardInterrupt
        return frames_at(uri, *told, **more)

    monkeypatch.setattr(sampling, "frames_at", dies)
    with pytest.raises(KeyboardInterrupt):
        run(folder, bundle, out)
    monkeypatch.setattr(sampling, "frames_at", frames_at)
    run(folder, bundle, out)
    assert Counter(passes["films"]) == Counter({"a.mp4": 1, "b.mp4": 1, "c.mp4": 1})
    assert Counter(passes["stretches"]) == Counter({"a.mp4#0": 1, "b.mp4#0": 1, "c.mp4#0": 1})
    assert [row["label"] for row in rows(out)] == ["red", "blue"] * 3


def test_some_frames_of_each_shot(films, bundle, passes, tmp_path):
    out = tmp_path / "out"
    counts = run(films / "one.mp4", bundle, out, per_shot=1, smooth=4)
    assert counts["labelled"] == 3
    told = rows(out)
    assert [row["second"] for row in told if row["label"]] == [1, 4, 7]
    assert told[0]["smoothed"]["red"] == told[1]["scores"]["red"]  # known from what is near
    assert len(told) == 9
    assert run(films / "one.mp4", bundle, out, per_shot=2)["labelled"] == 6
    assert run(films / "one.mp4", bundle, out)["labelled"] == 9


def test_other_settings_need_another_place_or_overwrite(films, bundle, passes, tmp_path):
    out = tmp_path / "out"
    run(films / "one.mp4", bundle, out)
    with pytest.raises(InputError, match="made with another --every or --size"):
        run(films / "one.mp4", bundle, out, every=3)
    (out / "mine.txt").write_text("stays")
    run(films / "one.mp4", bundle, out, every=3, overwrite=True)
    assert [row["second"] for row in rows(out)] == [0, 3, 6]
    assert len(list((out / "frames").rglob("*.jpg"))) == 3
    assert (out / "mine.txt").exists()


def test_most_films_gone_is_asked_about(bundle, passes, tmp_path):
    folder, out = tmp_path / "films", tmp_path / "out"
    folder.mkdir()
    for name in "abc":
        make_film(folder / f"{name}.mp4", scenes(["red"], 1), 1)
    run(folder, bundle, out)
    for name in "ab":
        (folder / f"{name}.mp4").unlink()
    with pytest.raises(InputError, match=r"2 of 3 films are not in .* any more \(a.mp4\)"):
        run(folder, bundle, out)
    run(folder, bundle, out, overwrite=True)
    assert {row["film"] for row in rows(out)} == {"c.mp4"}


def test_without_a_readable_film_the_job_says_why(bundle, passes, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.mp4").write_text("no film")
    with pytest.raises(ArtrayError, match=r"no film could be read: 1 not_a_film \(no MP4"):
        run(folder, bundle, tmp_path / "out")
    assert pq.read_table(tmp_path / "out" / "films.parquet")["status"].to_pylist() == ["not_a_film"]


def test_what_is_listed(films, capsys):
    assert list(list_films(Location.parse(films))) == [
        "empty.mov", "more/two <b>.mkv", "one.mp4", "sound.mp4", "text.mp4"
    ]  # fmt: skip
    assert "not films, left out: 1 (notes.txt)" in capsys.readouterr().err
    assert list(list_films(Location.parse(films / "one.mp4"))) == ["one.mp4"]


def test_wrong_places(films, bundle, passes, tmp_path):
    with pytest.raises(InputError, match="no films there"):
        run(bundle, bundle, tmp_path / "out")
    with pytest.raises(InputError, match="lies within --films"):
        run(films, bundle, films / "out")
    other = tmp_path / "page"
    other.mkdir()
    (other / "index.html").write_text("mine")
    with pytest.raises(InputError, match=r"holds index\.html"):
        run(films, bundle, other)


@pytest.mark.parametrize("every", [0.3, 1, 7])
@pytest.mark.parametrize("gop", [0.5, 4, 600])
def test_stretches_hold_each_moment_once_and_end_at_key_frames(every, gop):
    film = Film(
        duration=500, width=1, height=1, rate=25, codec="", begin=0, keys=tuple(np.arange(0, 500, gop).tolist())
    )
    stretches = list(cut_stretches(film, every, most=50))
    numbers = [first + number for first, count, _ in stretches for number in range(count)]
    assert numbers == list(range(len(numbers)))
    assert (len(numbers) - 1) * every < 500 <= len(numbers) * every
    for first, _, keys in stretches:
        assert keys[0] == film.key_before(first * every)
        assert first == 0 or film.key_before((first - 1) * every) < keys[0]


def test_names():
    assert frame_id("a/b.mp4", 12345.675) == "a/b.mp4#t=12345.675"
    assert frame_id("b.mp4", 100) == "b.mp4#t=100"
    assert folder_of("x/Ünder the sky?.mp4") != folder_of("y/Ünder the sky?.mp4")
    assert folder_of("x/Ünder the sky?.mp4").startswith("nder-the-sky-")
