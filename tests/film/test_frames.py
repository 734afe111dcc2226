"""What is seen at a moment, and how little is decoded for it."""

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from artray.film import frames
from artray.film.container import examine
from artray.film.frames import frames_at
from tests.film.making import CODECS, colour_of, flat, make_film, place, scenes, without_end
from tests.film.test_container import CLOCKWISE, turned

NAMES = ["red", "green", "blue", "grey"]


def seen(path, every=1.0, size=640):
    film = examine(place(path))
    seconds = [round(number * every, 6) for number in range(round(film.duration / every + 0.49))]
    return list(frames_at(place(path), film, seconds, every=every, size=size))


def colours(found):
    return [frame.status if frame.picture is None else colour_of(frame.picture) for frame in found]


def expected(names, each, every, seconds):
    return [names[int(number * every / each + 1e-6)] for number in range(round(seconds / every))]


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("every", [0.4, 1])
def test_several_moments_between_key_frames_are_seen_exactly(tmp_path, suffix, every):
    path = make_film(tmp_path / f"film{suffix}", scenes(NAMES, 1), 4, rate=5, gop=10)
    found = seen(path, every)
    assert colours(found) == expected(NAMES, 1, every, 4)
    assert all(0 <= frame.second - frame.at < 0.21 for frame in found)


def test_b_frames_are_left_out_only_where_they_are_not_wanted(tmp_path):
    """Every frame has its number in its brightness, and the last one before a moment is the one that is seen."""
    path = make_film(
        tmp_path / "film.mp4",
        lambda second: np.full((48, 64, 3), 20 + round(second * 25) * 2, np.uint8),
        4, rate=25, gop=100, preset="veryfast", bf="3", qp="8",
    )  # fmt: skip
    with av.open(str(path)) as film:
        assert any(frame.pict_type == PictureType.B for frame in film.decode(video=0))
    found = seen(path, 0.3)
    numbers = [*(int(number * 0.3 * 25 + 1e-6) for number in range(13)), 97]
    assert [round(frame.at * 25) for frame in found] == numbers
    assert np.allclose([frame.picture.mean() for frame in found], [20 + 2 * number for number in numbers], atol=1.9)


def test_a_moment_alone_between_key_frames_is_seen_by_its_key_frame(tmp_path, monkeypatch):
    decoded = []
    path = make_film(tmp_path / "film.mp4", scenes(NAMES, 2), 8, gop=5)
    picture = frames._Reader._decoded
    monkeypatch.setattr(
        frames._Reader, "_decoded", lambda self, *told: (decoded.append(1) or frame for frame in picture(self, *told))
    )
    found = seen(path, 1)
    assert colours(found) == expected(NAMES, 2, 1, 8)
    assert len(decoded) == len(found) == 8
    assert all(0 <= frame.second - frame.at < 0.51 for frame in found)


def test_a_film_without_key_frames_in_its_middle(tmp_path):
    path = make_film(tmp_path / "film.mp4", scenes(NAMES, 2), 8, gop=9999)
    assert examine(place(path)).keys == (0.0,)
    assert colours(seen(path)) == expected(NAMES, 2, 1, 8)
    film = examine(place(path))
    assert colours(frames_at(place(path), film, [5, 6, 7], every=1, size=64)) == ["blue", "grey", "grey"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_that_are_not_evenly_spaced(tmp_path, suffix):
    """A slide show: each frame is seen until the next one comes."""
    at = [0, 0.04, 3, 3.5, 7.1]
    names = ["red", "green", "blue", "red", "grey"]
    picture = dict(zip(at, map(flat, names), strict=True))
    path = make_film(tmp_path / f"film{suffix}", picture.__getitem__, 0, at=at, rate=25)
    film = examine(place(path))
    found = list(frames_at(place(path), film, [0, 1, 2, 3, 4, 5, 6, 7], every=1, size=64))
    assert colours(found) == ["red", "green", "green", "blue", "red", "red", "red", "red"]


def test_a_long_still(tmp_path):
    path = make_film(tmp_path / "film.mp4", scenes(["red", "blue"], 1), 0, at=[0, 1, 60], rate=25)
    found = seen(path, 10)
    assert colours(found) == ["red", *["blue"] * (len(found) - 1)]
    assert len(found) >= 6


def test_a_damaged_second_is_a_status_and_the_others_are_seen(tmp_path):
    path = make_film(tmp_path / "film.mp4", scenes(NAMES, 2), 8, gop=10, crf="10")
    with av.open(str(path)) as film:
        (packet,) = [
            item for item in film.demux(video=0) if item.pts is not None and abs(item.pts * item.time_base - 4) < 0.01
        ]
        at, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
    found = seen(path, 0.5)
    assert colours(found)[:8] == expected(NAMES, 2, 0.5, 8)[:8]
    assert colours(found)[10:] == expected(NAMES, 2, 0.5, 8)[10:]
    assert colours(found)[8:10] == ["truncated", "truncated"]
    assert found[8].error == "the film is damaged here"


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_after_the_end_of_a_truncated_film_nothing_is_seen(tmp_path, suffix):
    path = make_film(tmp_path / f"film{suffix}", scenes(NAMES, 2), 8, gop=10)
    found = colours(seen(without_end(path, 0.6)))
    assert found[:2] == ["red", "red"]
    assert found[-2:] == ["truncated", "truncated"]


def test_a_film_that_goes_while_it_is_read(tmp_path):
    path = make_film(tmp_path / "film.mp4", scenes(["red"], 2), 2)
    film = examine(place(path))
    path.unlink()
    assert [frame.status for frame in frames_at(place(path), film, [0, 1], every=1, size=64)] == ["missing", "missing"]


def test_pictures_are_upright_and_no_larger_than_asked(tmp_path):
    picture = np.concatenate([flat("red"), flat("blue")], axis=1)  # the left half becomes the upper one
    path = make_film(tmp_path / "film.mp4", lambda second: picture, 1)
    path.write_bytes(turned(path.read_bytes(), CLOCKWISE))
    (frame,) = seen(path, size=64)
    assert frame.picture.shape == (64, 24, 3)
    assert (colour_of(frame.picture[:30]), colour_of(frame.picture[-30:])) == ("red", "blue")


@pytest.mark.parametrize(("height", "matrix"), [(48, 6), (720, 1)])
def test_colours_are_what_they_were(tmp_path, height, matrix):
    """Where a film doesn't say by which matrix its colours are YCbCr, small ones are BT.601 and large ones BT.709."""
    from av.video.reformatter import VideoReformatter

    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt, stream.options = 64, height, "yuv420p", {"preset": "ultrafast"}
        frame = av.VideoFrame.from_ndarray(np.full((height, 64, 3), (200, 40, 20), np.uint8), format="rgb24")
        kind = "ITU709" if matrix == 1 else "ITU601"
        frame = VideoReformatter().reformat(frame, format="yuv420p", dst_colorspace=kind)
        frame.colorspace = 2  # the film doesn't say
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (found,) = seen(path)
    assert np.abs(found.picture.reshape(-1, 3).mean(axis=0) - (200, 40, 20)).max() < 6
