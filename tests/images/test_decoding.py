"""Decoding against full Pillow decodes, plain formulas and hand-made files."""

import io
import pickle
import random
import struct
import subprocess
import sys
import typing
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import skimage.data
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from artray.images.decoding import Decoded, decode
from artray.images.reading import Status
from tests.images import profiles
from tests.images.files import Made, encode, png, tiff
from tests.tools.fuzz_decoding import SIZE, damage, flaw, seed_files

# pytest takes the module's own filter away (see `test_nothing_is_said…`, which runs without pytest).
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")

SEEDS = seed_files()
QUADRANTS = np.kron(
    np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8), np.ones((16, 24, 1), np.uint8)
)


def pixels(data, size=None, **options):
    result = decode(data, size, **options)
    assert result.status == "ok", result
    assert result.error is None
    assert result.image.dtype == np.uint8
    return result.image.astype(int)


def difference(a, b):
    return np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16))


@cache
def photo():
    return Image.fromarray(skimage.data.astronaut()).resize((1201, 903), Image.Resampling.LANCZOS)


FORMATS = Made(
    {
        "jpeg": lambda: encode(photo(), format="JPEG", quality=90),
        "jpeg 4:4:4": lambda: encode(photo(), format="JPEG", quality=90, subsampling=0),
        "jpeg progressive": lambda: encode(photo(), format="JPEG", progressive=True),
        "jpeg gray": lambda: encode(photo().convert("L"), format="JPEG"),
        "jpeg cmyk": lambda: encode(photo().convert("CMYK"), format="JPEG"),
        "png": lambda: encode(photo(), format="PNG", compress_level=1),
        "png palette": lambda: encode(photo().quantize(200), format="PNG", compress_level=1),
        "png gray": lambda: encode(photo().convert("L"), format="PNG", compress_level=1),
        "tiff": lambda: encode(photo(), format="TIFF"),
        "tiff lzw": lambda: encode(photo(), format="TIFF", compression="tiff_lzw"),
        "tiff deflate": lambda: encode(photo(), format="TIFF", compression="tiff_adobe_deflate"),
        "tiff jpeg": lambda: encode(photo(), format="TIFF", compression="jpeg"),
        "tiff cmyk": lambda: encode(photo().convert("CMYK"), format="TIFF", compression="tiff_lzw"),
        "tiff lab": lambda: encode(photo().convert("LAB"), format="TIFF"),
        "tiff big": lambda: encode(photo(), format="TIFF", big_tiff=True),
        "tiff tiled": lambda: tiff(np.asarray(photo()), photometric="rgb", tile=(128, 128), compression="zlib"),
        "tiff planar": lambda: tiff(np.asarray(photo()).transpose(2, 0, 1), photometric="rgb", planarconfig="separate"),
        "webp": lambda: encode(photo(), format="WEBP"),
        "gif": lambda: encode(photo(), format="GIF"),
        "bmp": lambda: encode(photo(), format="BMP"),
        "jpeg 2000": lambda: encode(photo(), format="JPEG2000"),
        "jpeg 2000 lossy": lambda: encode(
            photo(), format="JPEG2000", irreversible=True, quality_layers=[20], no_jp2=True
        ),
        "avif": lambda: encode(photo(), format="AVIF", speed=10),
    }
)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_agrees_with_a_full_decode(name):
    data = FORMATS[name]
    full = Image.open(io.BytesIO(data)).convert("RGB")
    assert difference(pixels(data), full).max() == 0
    for size, bound in ((224, 0.4), (100, 0.6)):
        small = full.resize((size, size), Image.Resampling.BICUBIC)
        assert difference(pixels(data, size), small).mean() < bound


@pytest.mark.parametrize("name", ["jpeg", "png", "jpeg 2000"])
def test_the_scale_decoded_at_does_not_move_the_picture(name):
    """Shifting the reference by half a pixel either way must fit worse."""
    data = FORMATS[name]
    full = Image.open(io.BytesIO(data)).convert("RGB")
    got, step = pixels(data, 100), full.width / 100 / 2
    frame = ImageOps.expand(full, 20)

    def at(dx, dy):
        box = (20 + dx, 20 + dy, 20 + dx + full.width, 20 + dy + full.height)
        return difference(got, frame.resize((100, 100), Image.Resampling.BICUBIC, box))[2:-2, 2:-2].mean()

    assert at(0, 0) < min(at(step, 0), at(-step, 0), at(0, step), at(0, -step)) / 2


def test_the_result_says_what_the_file_is():
    result = decode(FORMATS["tiff"], 50)
    assert (result.status, result.width, result.height, result.format) == ("ok", 1201, 903, "TIFF")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 200), st.sampled_from(["JPEG", "PNG", "JPEG2000"]))
@example(1, 1, 1, "JPEG")
@example(1, 1, 224, "PNG")
def test_sizes(width, height, size, kind):
    data = encode(Image.new("RGB", (width, height), (200, 100, 50)), format=kind)
    assert decode(data, size).image.shape == (size, size, 3)
    inside = decode(data, size, fit="inside").image
    assert max(inside.shape[:2]) == min(size, max(width, height))
    scale = min(1, size / max(width, height))
    assert np.allclose(inside.shape[:2], (height * scale, width * scale), atol=1)
    assert difference(inside, (200, 100, 50)).max() < 6


@pytest.mark.parametrize("shape", [(30_000, 1), (1, 30_000), (16_000, 3), (2, 9_000)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_extreme_aspect_ratios(shape, kind):
    data = encode(Image.new("RGB", shape, (10, 200, 30)), format=kind)
    assert difference(pixels(data, 224), (10, 200, 30)).max() < 4
    assert sorted(pixels(data, 224, fit="inside").shape) == [1, 3, 224]


# The eight flags as operations on arrays, after the EXIF specification. It says where row 0 and column 0 of the stored
# picture are seen: 1 top left, 2 top right, 3 bottom right, 4 bottom left, 5 left top, 6 right top, 7 right bottom,
# 8 left bottom.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("flag", UPRIGHT)
@pytest.mark.parametrize(
    "options",
    [
        {"format": "JPEG", "quality": 95, "subsampling": 0},
        {"format": "PNG"},
        {"format": "TIFF"},
        {"format": "TIFF", "compression": "tiff_lzw"},
        {"format": "WEBP", "lossless": True},
        {"format": "AVIF", "quality": 100},
    ],
    ids=lambda o: " ".join(map(str, o.values())),
)
def test_orientation(flag, options):
    exif = Image.Exif()
    exif[0x0112] = flag
    data = encode(Image.fromarray(QUADRANTS), exif=exif, **options)
    expected = UPRIGHT[flag](QUADRANTS)
    result = decode(data, None)
    assert (result.height, result.width) == expected.shape[:2]
    assert result.image.shape == expected.shape
    assert difference(result.image, expected).mean() < 4
    assert difference(result.image, ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")).max() == 0
    inside = decode(data, 24, fit="inside").image
    assert inside.shape[:2] == (expected.shape[0] // 2, expected.shape[1] // 2)
    assert difference(inside[::9, ::9], expected[::18, ::18]).mean() < 8


@pytest.mark.parametrize("flag", [0, 9, 65535])
def test_an_orientation_that_is_none_is_ignored(flag):
    exif = Image.Exif()
    exif[0x0112] = flag
    assert difference(pixels(encode(Image.fromarray(QUADRANTS), format="PNG", exif=exif)), QUADRANTS).max() == 0


# Colour

COLORS = np.stack(np.meshgrid(*[np.linspace(40, 215, 6)] * 3), axis=-1).reshape(12, 18, 3).round().astype(np.uint8)


@pytest.mark.parametrize("space", profiles.RGB_SPACES)
@pytest.mark.parametrize("options", [{"format": "PNG"}, {"format": "TIFF"}, {"format": "WEBP", "lossless": True}])
def test_rgb_profiles(space, options):
    data = encode(Image.fromarray(COLORS), icc_profile=profiles.rgb_profile(space), **options)
    expected = profiles.srgb_of(space, COLORS)
    assert np.abs(pixels(data) - expected).max() < 2.1
    if space == "sRGB":
        assert difference(pixels(data), COLORS).max() == 0


def test_a_profile_is_applied_to_scaled_jpegs_and_behind_alpha():
    green = Image.new("RGB", (1000, 800), (60, 200, 90))
    expected = profiles.srgb_of("Adobe RGB", np.array([60, 200, 90]))
    profile = profiles.rgb_profile("Adobe RGB")
    jpeg = encode(green, format="JPEG", quality=95, icc_profile=profile)
    assert np.abs(pixels(jpeg, 64) - expected).max() < 4
    green.putalpha(255)
    assert np.abs(pixels(encode(green, format="PNG", icc_profile=profile), 64) - expected).max() < 2.1


def test_gray_profile():
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    data = encode(Image.fromarray(ramp), format="PNG", icc_profile=profiles.gray_profile(1.8))
    expected = profiles.linear_to_srgb((ramp / 255) ** 1.8) * 255
    assert np.abs(pixels(data) - expected[..., np.newaxis]).max() < 2.1


@pytest.mark.parametrize("options", [{"format": "TIFF"}, {"format": "JPEG", "quality": 100}])
def test_cmyk_profile(options):
    inks = np.stack(np.meshgrid(*[np.linspace(0, 0.8, 5)] * 4), axis=-1).reshape(25, 25, 4)
    stored = np.kron((inks * 255).round().astype(np.uint8), np.ones((8, 8, 1), np.uint8))
    data = encode(Image.frombytes("CMYK", (200, 200), stored.tobytes()), icc_profile=profiles.cmyk_profile(), **options)
    expected = profiles.cmyk_to_rgb(stored / 255) * 255
    assert np.abs(pixels(data) - expected).mean() < 2.5  # the profile's Lab has 8 bits
    assert np.abs(pixels(encode(Image.open(io.BytesIO(data)), format="TIFF", icc_profile=b"")) - expected).mean() > 20


def test_unusable_profiles_are_ignored():
    good = profiles.rgb_profile("Adobe RGB")
    spoiled = (b"not a profile", good[:200], good.replace(b"rXYZ", b"none"), bytes(200), profiles.cmyk_profile())
    for profile in spoiled:
        data = encode(Image.fromarray(COLORS), format="PNG", icc_profile=profile)
        assert difference(pixels(data), COLORS).max() == 0


def test_ycck_with_adobe_marker():
    """Made from a CMYK file: its planes are set to Y, Cb, Cr and K, and its Adobe marker to say so."""
    small = photo().resize((96, 64))
    light = 255 - np.tile(np.linspace(0, 120, 96).astype(np.uint8), (64, 1))
    # Adobe stores inks inverted, and YCC is computed from the inverse of what is stored: twice inverted.
    planes = np.dstack([np.asarray(ImageOps.invert(small).convert("YCbCr")), light])
    # Pillow's encoder inverts CMYK, so the planes go in inverted.
    cmyk = Image.frombytes("CMYK", small.size, (255 - planes).tobytes())
    data = encode(cmyk, format="JPEG", quality=100, subsampling=0)
    transform = data.index(b"Adobe") + 11
    data = data[:transform] + b"\2" + data[transform + 1 :]
    expected = np.asarray(small, float) * light[..., np.newaxis] / 255
    assert np.abs(pixels(data) - expected).mean() < 1


def test_alpha_is_laid_over_white():
    alpha = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    rgba = np.dstack([np.full_like(alpha, 200), np.full_like(alpha, 100), np.zeros_like(alpha), alpha])
    share = alpha[..., np.newaxis] / 255
    expected = share * rgba[..., :3] + (1 - share) * 255
    for options in ({"format": "PNG"}, {"format": "TIFF"}, {"format": "WEBP", "lossless": True, "exact": True}):
        assert np.abs(pixels(encode(Image.fromarray(rgba), **options)) - expected).max() <= 1
    gray = encode(Image.merge("LA", [Image.new("L", (256, 4), 30), Image.fromarray(alpha)]), format="PNG")
    assert np.abs(pixels(gray) - (share * 30 + (1 - share) * 255)).max() <= 1
    # What transparent pixels hide must not shine through where they are averaged with others.
    hidden = np.zeros((64, 64, 4), np.uint8)
    hidden[:, ::2] = 255
    assert pixels(encode(Image.fromarray(hidden), format="PNG"), 8).min() == 255


def test_transparent_colors():
    palette = (b"PLTE", bytes((255, 0, 0, 0, 255, 0, 0, 0, 255)))
    row = bytes((0, 1, 2))
    over_white = pixels(png([row], 3, 8, 3, palette, (b"tRNS", bytes((255, 0, 51)))))
    assert over_white.tolist() == [[[255, 0, 0], [255, 255, 255], [204, 204, 255]]]
    # The transparent colour is given in the file's bit depth: 1 of 0..3, 4 of 0..15, and 16-bit values.
    assert pixels(png([b"\x1b"], 4, 2, 0, (b"tRNS", b"\0\1")))[0, :, 0].tolist() == [0, 255, 170, 255]
    assert pixels(png([b"\x04\x8f"], 4, 4, 0, (b"tRNS", b"\0\4")))[0, :, 0].tolist() == [0, 255, 136, 255]
    assert pixels(png([b"\x40\0\x80\0"], 2, 16, 0, (b"tRNS", b"\x40\0")))[0, :, 0].tolist() == [255, 128]
    rgb16 = png([b"\x10\0\x20\0\x30\0\x40\0\x50\0\x60\0"], 2, 16, 2, (b"tRNS", b"\x10\0\x20\0\x30\0"))
    assert pixels(rgb16).tolist() == [[[255, 255, 255], [64, 80, 96]]]


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_png_gray_of_every_bit_depth(bits):
    values = np.arange(16) % 2**bits if bits < 16 else np.linspace(0, 65535, 16).astype(int)
    packed = int("".join(f"{v:0{bits}b}" for v in values), 2).to_bytes(2 * bits, "big")
    expected = values * 255 // (2**bits - 1) if bits < 16 else values >> 8
    assert pixels(png([packed], 16, bits, 0))[0, :, 1].tolist() == expected.tolist()


def test_16_bits_keep_their_high_byte():
    ramp = np.arange(65536).reshape(256, 256)
    expected = np.repeat((ramp >> 8)[..., np.newaxis], 3, axis=-1)
    gray = ramp.astype(np.uint16)
    color = np.dstack([gray, gray, gray])
    for data in (
        encode(Image.fromarray(gray), format="PNG"),
        encode(Image.fromarray(gray), format="TIFF", compression="tiff_lzw"),
        encode(Image.fromarray(gray), format="JPEG2000"),
        tiff(gray, byteorder=">"),
        tiff(65535 - gray, photometric="miniswhite"),
        tiff(color, photometric="rgb"),
        tiff(color, photometric="rgb", byteorder=">", compression="zlib"),
        png([row.astype(">u2").tobytes() for row in color.reshape(256, -1)], 256, 16, 2),
    ):
        assert difference(pixels(data), expected).max() <= 1


@pytest.mark.parametrize(
    ("top", "dtype"),
    [
        (1, np.float32),
        (255, np.float32),
        (65535, np.float32),
        (255, np.uint32),
        (65535, np.int32),
        (2**32 - 1, np.uint32),
    ],
)
def test_floats_and_32_bit_integers_reach_from_black_to_white(top, dtype):
    ramp = np.linspace(0, top, 256, dtype=np.float64).astype(dtype)[np.newaxis].repeat(4, axis=0)
    got = pixels(tiff(ramp))
    assert np.abs(got[0, :, 0] - np.arange(256)).max() <= 1


def test_floats_outside_every_range():
    values = np.array([[-2.0, 0.0, 2.0, np.nan], [-2.0, -1.0, 1.0, 2.0]], np.float32)
    assert pixels(tiff(values))[..., 0].tolist() == [[0, 128, 255, 128], [0, 64, 191, 255]]
    for odd in (np.full((2, 2), -5.0), np.full((2, 2), np.inf), np.array([[-3e38, 3e38]]), np.full((2, 2), np.nan)):
        pixels(tiff(odd.astype(np.float32)))


def test_only_the_first_page_or_frame():
    red, blue = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (60, 50), "blue")
    data = encode(red, format="TIFF", save_all=True, append_images=[blue])
    assert pixels(data).tolist() == np.asarray(red).tolist()
    for options in ({"format": "GIF"}, {"format": "WEBP", "lossless": True}, {"format": "PNG"}):
        frames = encode(red, save_all=True, append_images=[blue.resize((40, 30))], **options)
        assert difference(pixels(frames), red).max() <= 1


# Refusals


@pytest.mark.parametrize("name", SEEDS)
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_truncated(name, share):
    data = SEEDS[name]
    if name in ("TIFF/pages", "WebP/animated", "GIF/animated"):
        share *= 0.4  # within the first of the two pictures
    result = decode(data[: int(len(data) * share)], 64)
    assert result.status == "truncated", result
    assert result.image is None


def test_what_is_no_picture():
    assert decode(b"", 10).status == "empty"
    for data in (
        b"hello",
        b"<!DOCTYPE html><html>",
        b"\0" * 100,
        bytes(range(256)),
        b"RIFF\0\0\0\0WAVE",
        b"\0\0\0\x18ftypmp42",
    ):
        result = decode(data, 10)
        assert (result.status, result.format) == ("not_an_image", None)


def test_what_is_unsupported_is_named():
    twelve = bytearray(SEEDS["JPEG/gray"])
    twelve[twelve.index(b"\xff\xc0") + 4] = 12
    lzma = SEEDS["TIFF/lzw"].replace(struct.pack("<HHIH", 259, 3, 1, 5), struct.pack("<HHIH", 259, 3, 1, 34712))
    for data, words in (
        (bytes(twelve), "12-bit"),
        (lzma, "compression 34712"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"8BPS\0\1" + bytes(30), "Photoshop"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"%PDF-1.7", "PDF"),
    ):
        result = decode(data, 10)
        assert result.status == "unsupported", result
        assert words in result.error


# Behaviour in a process


@pytest.mark.slow
def test_nothing_is_said_on_standard_error_nor_raised_as_a_warning():
    """Broken EXIF, a corrupt TIFF directory, cut strips: Pillow warns of some of these and libtiff prints."""
    seeds = [data for name, data in SEEDS.items() if name.startswith(("TIFF", "JPEG"))]
    broken = [damage(data, seeds, random.Random(seed)) for data in seeds for seed in range(12)]
    code = (
        "import pickle, sys; from artray.images.decoding import decode;"
        "print([decode(data, 64).status for data in pickle.load(sys.stdin.buffer)])"
    )
    command = [sys.executable, "-W", "error::UserWarning", "-c", code]
    run = subprocess.run(command, input=pickle.dumps(broken), capture_output=True, check=True)
    assert run.stderr == b""
    assert b"truncated" in run.stdout


@pytest.mark.slow
def test_threads_get_what_one_thread_gets():
    jobs = list(SEEDS.values()) * 4
    alone = [decode(data, 64) for data in jobs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: decode(data, 64), jobs))
    for a, b in zip(alone, together, strict=True):
        assert a.status == b.status == "ok"
        assert np.array_equal(a.image, b.image)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SEEDS)), st.integers(0, 2**32))
def test_damaged_files_get_a_status(name, seed):
    result = decode(damage(SEEDS[name], list(SEEDS.values()), random.Random(seed)), SIZE, time_limit=5)
    assert result.status in typing.get_args(Status)
    assert flaw(result) is None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(sorted(SEEDS)), st.integers(4, 40))
def test_any_bytes_get_a_status(tail, name, kept):
    result = decode(SEEDS[name][:kept] + tail, SIZE, time_limit=5)
    assert isinstance(result, Decoded)
    assert flaw(result) is None
