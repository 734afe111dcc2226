"""Films on S3, labelled by whole jobs."""

import json

import pytest

from artray.film.station import FilmOptions, label_film
from artray.storage import Location
from tests.film.making import make_film, scenes, write_colour_bundle


def test_films_on_s3(ray_session, s3_bucket, tmp_path):
    films, out = Location.parse(f"{s3_bucket}/films"), Location.parse(f"{s3_bucket}/film-curves")
    path = make_film(tmp_path / "one.mp4", scenes(["red", "green", "blue"], 3), 9)
    (films / "one.mp4").write_bytes(path.read_bytes())
    (films / "two.mkv").write_bytes(make_film(tmp_path / "two.mkv", scenes(["blue", "red"], 2), 4).read_bytes())
    (films / "text.mp4").write_bytes(b"no film")
    bundle = write_colour_bundle(tmp_path / "bundle")
    counts = label_film(FilmOptions(films=films, model=[bundle], out=out, smooth=0))
    assert (counts["rows"], counts["ok"], counts["statuses"]["not_a_film"]) == (3, 2, 1)
    rows = (out / "seconds.parquet").dataset().to_table().to_pylist()
    assert [row["label"] for row in rows if row["film"] == "one.mp4"] == ["red"] * 3 + ["green"] * 3 + ["blue"] * 3
    assert [row["second"] for row in rows if row["cut"]] == [3, 6, 2]
    assert b"data:image/jpeg" in (out / "films" / next(n for n in (out / "films").names() if "svg" in n)).read_bytes()
    assert json.loads((out / "_run.json").read_bytes())["counts"]["cuts"] == 3
    again = label_film(FilmOptions(films=films, model=[bundle], out=out, smooth=0))
    assert again["sampled"] == 0
    assert (out / "seconds.parquet").dataset().to_table().to_pylist() == rows
    with pytest.raises(Exception, match="made with another --every or --size"):
        label_film(FilmOptions(films=films, model=[bundle], out=out, every=2))
