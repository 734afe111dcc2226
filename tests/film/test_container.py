"""What films say of themselves, and what is said of those that are none."""

import struct
from fractions import Fraction

import numpy as np
import pytest

from artray.errors import InputError
from artray.film import container
from artray.film.container import Film, FilmError, examine, moments
from tests.film.making import flat, make_film, make_sound, place, scenes, without_end


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov", ".avi"])
def test_every_container(tmp_path, suffix):
    film = examine(place(make_film(tmp_path / f"film{suffix}", scenes(["red", "blue"], 1), 2, rate=5, gop=5)))
    assert (film.duration, film.width, film.height, film.rate) == (pytest.approx(2, abs=0.05), 64, 48, 5)
    assert film.keys[0] == 0
    assert {0.0, 1.0} <= {round(key, 1) for key in film.keys}


@pytest.mark.parametrize(
    ("name", "data", "status", "told"),
    [
        ("a.mp4", b"", "empty", "the file has no bytes"),
        ("a.mkv", b"What a day!\n" * 50, "not_a_film", "no MP4, MOV, MKV, WebM or AVI inside"),
        ("a.mp4", b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "not_a_film", "no MP4, MOV"),
        ("a.mp4", b"ffconcat version 1.0\nfile '/etc/passwd'\n", "not_a_film", "no MP4, MOV"),
        ("a.mov", b"\0\0\0\x14ftypqt  \0\0\0\0qt  \0\0\0\x08mdat", "truncated", "the film's file is damaged or lacks"),
    ],
)
def test_files_that_are_no_films(tmp_path, name, data, status, told):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FilmError, match=told) as refused:
        examine(place(tmp_path / name))
    assert refused.value.status == status


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FilmError, match="not found") as refused:
        examine(place(tmp_path / "film.mp4"))
    assert refused.value.status == "missing"


def test_sound_without_a_picture(tmp_path):
    with pytest.raises(FilmError, match="no moving picture") as refused:
        examine(place(make_sound(tmp_path / "sound.mp4")))
    assert refused.value.status == "unsupported"


def test_an_mp4_without_its_end(tmp_path):
    path = make_film(tmp_path / "film.mp4", scenes(["red"], 2), 2)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(FilmError) as refused:
        examine(place(path))
    assert refused.value.status == "truncated"


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".webm"])
def test_a_film_without_its_end_is_as_long_as_it_was(tmp_path, suffix):
    """Else the seconds that are lost would not be missed."""
    path = make_film(tmp_path / f"film{suffix}", scenes(["red", "green", "blue"], 1), 3, rate=5, gop=5)
    film = examine(place(without_end(path, 0.7)))
    assert film.duration == pytest.approx(3, abs=0.05)
    assert film.keys[-1] <= 2


def test_a_fragmented_film_has_its_key_frames(tmp_path):
    import av

    source = make_film(tmp_path / "film.mp4", scenes(["red", "green", "blue"], 2), 6, gop=10)
    fragmented = tmp_path / "fragmented.mp4"
    options = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(str(fragmented), "w", options=options) as target, av.open(str(source)) as film:
        stream = target.add_stream_from_template(film.streams.video[0])
        for packet in film.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert examine(place(fragmented)).keys == examine(place(source)).keys


def turned(data: bytes, matrix: tuple[int, ...]) -> bytes:
    """An MP4 whose track header has another display matrix."""
    at = data.index(b"tkhd") + 4 + 40
    fixed = [value * (1 << (30 if number % 3 == 2 else 16)) for number, value in enumerate(matrix)]
    return data[:at] + struct.pack(">9i", *fixed) + data[at + 36 :]


CLOCKWISE = (0, 1, 0, -1, 0, 0, 0, 0, 1)


def test_a_turned_film_is_seen_upright(tmp_path):
    path = make_film(tmp_path / "film.mp4", scenes(["red"], 1), 1)
    path.write_bytes(turned(path.read_bytes(), CLOCKWISE))
    film = examine(place(path))
    assert (film.width, film.height) == (48, 64)


def test_pixels_that_are_not_square(tmp_path):
    path = make_film(tmp_path / "film.mkv", scenes(["red"], 1), 1, aspect=Fraction(16, 9))
    film = examine(place(path))
    assert (film.width, film.height) == (114, 48)


def test_a_header_that_claims_centuries_is_not_believed(tmp_path):
    path = make_film(tmp_path / "film.mkv", scenes(["red", "blue"], 1), 2)
    data = path.read_bytes()
    assert b"00:00:02.000" in data
    path.write_bytes(data.replace(b"00:00:02.000", b"987654:00:00"))
    assert examine(place(path)).duration == pytest.approx(2)


@pytest.mark.parametrize(("duration", "every", "number"), [(10, 1, 10), (10.04, 1, 11), (0.02, 1, 1), (1, 0.1, 10)])
def test_moments(duration, every, number):
    assert moments(duration, every) == number


def test_the_key_frame_before_a_moment():
    film = Film(duration=9, width=1, height=1, rate=None, codec="", begin=0, keys=(0.0, 2.0, 5.5))
    assert [film.key_before(second) for second in (0, 1.9, 2, 5.49996, 9)] == [0, 0, 2, 5.5, 5.5]


def test_without_pyav_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(InputError, match=r"pip install 'artray\[film\]'"):
        container.library()


def test_made_films_show_what_they_are_made_of():
    assert np.array_equal(scenes(["red", "blue"], 2)(2.0), flat("blue"))
