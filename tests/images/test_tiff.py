"""TIFF: samples however they lie, the page that is meant, and what is not there."""

import itertools
import struct

import numpy as np
import pytest
from PIL import Image

from artray.images.decoding import decode
from tests.images import profiles
from tests.images.files import encode, error, pixels, tiff_file, tiff_of, tiff_page, tiff_tags

# pytest takes away the filter that `artray.images.decoding` sets for the process.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")

X, Y = np.meshgrid(np.linspace(0, 1, 50), np.linspace(0, 1, 40))
SHARES = np.stack([X, Y, (X + Y) / 2], axis=-1)
PICTURE = (SHARES * 255).astype(np.uint8)
ALPHA = np.linspace(0.2, 1, 50)[np.newaxis, :, np.newaxis].repeat(40, axis=0)
OVER_WHITE = (SHARES * ALPHA + 1 - ALPHA) * 255
INKS = np.concatenate([1 - SHARES, np.zeros((40, 50, 1))], axis=-1)
GREY, GREY_EXPECTED = SHARES[..., :1], (SHARES[..., :1] * 255).repeat(3, axis=-1)
RAW, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773
LAYOUTS = {"one strip": {}, "strips": {"rows": 7}, "tiles": {"tile": (16, 32)}}


def of_type(shares, dtype):
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    return (shares * top).astype(dtype)


@pytest.mark.parametrize("planar", [False, True], ids=["chunky", "planar"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float16, np.float32, np.float64])
def test_channels_together_and_apart(dtype, layout, planar):
    how = {"planar": planar, **LAYOUTS[layout]}
    predictors = (1, 2, 3) if np.dtype(dtype).kind == "f" else (1, 2)
    for order, (compression, predictor) in itertools.product(
        "<>", [(RAW, 1), (PACKBITS, 1), *((c, p) for c in (LZW, DEFLATE) for p in predictors)]
    ):
        if predictor == 2 and dtype == np.float16:
            continue
        how |= {"order": order, "compression": compression, "predictor": predictor}
        assert error(tiff_of(of_type(SHARES, dtype), 2, **how), PICTURE) < 1, how


@pytest.mark.parametrize("planar", [False, True], ids=["chunky", "planar"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("order", "<>")
def test_alpha_inks_and_channels_beside(dtype, order, planar):
    how = {"order": order, "planar": planar, "rows": 9}

    def wrong(shares, photometric, expected, **more):
        return error(tiff_of(of_type(shares, dtype), photometric, **how, **more), expected)

    grey_over_white = OVER_WHITE[..., :1].repeat(3, axis=-1)
    assert wrong(np.concatenate([SHARES, ALPHA], axis=-1), 2, OVER_WHITE, t338=2) < 1
    assert wrong(np.concatenate([SHARES * ALPHA, ALPHA], axis=-1), 2, OVER_WHITE, t338=1) < 1.5
    assert wrong(np.concatenate([SHARES, ALPHA, GREY], axis=-1), 2, PICTURE, t338=[0, 0]) < 1
    assert wrong(np.concatenate([GREY, ALPHA], axis=-1), 1, grey_over_white, t338=2) < 1
    assert wrong(INKS, 5, PICTURE) < 1.5
    assert wrong(np.concatenate([INKS, ALPHA], axis=-1), 5, OVER_WHITE, t338=2) < 1.5


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [RAW, DEFLATE])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float16, np.float32])
def test_grey_of_either_sense(dtype, compression, order):
    how = {"order": order, "compression": compression, "rows": 9}
    assert error(tiff_of(of_type(GREY, dtype), 1, **how), GREY_EXPECTED) < 1
    assert error(tiff_of(of_type(GREY, dtype), 0, **how), 255 - GREY_EXPECTED) < 1


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 10, 12, 14])
def test_odd_depths(bits):
    top = 2**bits - 1
    values = (SHARES * top).round().astype(int)
    spelt = (values.reshape(40, -1, 1) >> np.arange(bits)[::-1] & 1).astype(np.uint8)
    body = np.packbits(spelt.reshape(40, -1), axis=1).tobytes()
    tags = {256: 50, 257: 40, 258: [bits] * 3, 259: 1, 262: 2, 273: 0, 277: 3, 278: 40, 279: len(body)}
    for order in "<>":
        assert error(tiff_file(tags, body, order=order), values / top * 255) < 1
    backwards = bytes(int(f"{byte:08b}"[::-1], 2) for byte in body)
    assert error(tiff_file(tags | {266: 2}, backwards), values / top * 255) < 1


@pytest.mark.parametrize("planar", [False, True], ids=["chunky", "planar"])
def test_12_bits_in_samples_of_16(planar):
    """Some cameras and scanners say nothing of it; as 16 bits such a picture would be all but black."""
    twelve, opaque = (SHARES * 4095).astype(np.uint16), np.full((40, 50, 1), 65535, np.uint16)
    for order, compression in itertools.product("<>", [RAW, LZW]):
        how = {"order": order, "compression": compression, "planar": planar}
        assert error(tiff_of(twelve, 2, **how), PICTURE) < 1, how
        assert error(tiff_of(np.concatenate([twelve, opaque], axis=-1), 2, t338=2, **how), PICTURE) < 1, how
        assert error(tiff_of(twelve[..., :1], 1, **how), GREY_EXPECTED) < 1, how
    light = tiff_of(twelve[..., :1], 0, planar=planar)
    assert pixels(light).min() >= 239, "white is zero: a sheet that is all but empty"
    for top, highest in ((300, 18), (4096, 16)):
        samples = (SHARES * top).astype(np.uint16)
        assert pixels(tiff_of(samples, 2, planar=planar)).max() == highest, "black, or 16 bits"
        assert pixels(tiff_of(samples[..., :1], 1, planar=planar)).max() == highest


def test_lab_apart():
    small = Image.fromarray(PICTURE).convert("LAB")
    samples = np.asarray(small)
    for planar in (False, True):
        assert error(tiff_of(samples, 8, planar=planar), PICTURE) < 1.5
        assert error(tiff_of(samples.astype(np.uint16) << 8, 8, planar=planar), PICTURE) < 1.5


@pytest.mark.parametrize("compression", [RAW, DEFLATE])
def test_ycbcr_apart(compression):
    ycc = np.asarray(Image.fromarray(PICTURE).convert("YCbCr"))
    assert error(tiff_of(ycc, 6, planar=True, compression=compression, t530=[1, 1]), PICTURE) < 1.5
    assert error(tiff_of(ycc.astype(np.uint16) << 8, 6, compression=compression, t530=[1, 1]), PICTURE) < 1.5


def test_tags_that_are_left_out_or_say_nothing():
    deep = of_type(SHARES, np.uint16)
    assert error(tiff_of(deep, 2, order=">", t339=[4, 4, 4]), PICTURE) < 1
    for samples in (PICTURE, deep):
        tags, body = tiff_tags(samples, 2)
        del tags[277], tags[278], tags[279], tags[284], tags[317], tags[339]
        assert error(tiff_file(tags, body), PICTURE) < 1


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("compression", [RAW, DEFLATE])
@pytest.mark.parametrize("order", "<>")
def test_colour_maps_of_8_bits(bits, compression, order):
    """Their values are below 256, where 16 bits are meant."""
    number = 2**bits
    index = np.tile(np.arange(64) * number // 64, (8, 1)).astype(np.uint8)
    map8 = np.stack([np.linspace(0, 255, number), np.linspace(255, 0, number), np.full(number, 128)]).astype(int)
    spelt = (index[..., np.newaxis] >> np.arange(bits)[::-1] & 1).astype(np.uint8)
    rows = np.packbits(spelt.reshape(8, -1), axis=1)
    tags, body = tiff_tags(rows[..., np.newaxis], 3, compression=compression)
    tags |= {256: 64, 258: bits}
    for colors in (map8, map8 * 257):
        assert error(tiff_file(tags | {320: colors.ravel().tolist()}, body, order=order), map8.T[index]) == 0


def test_a_colour_map_that_is_short_or_missing():
    index = np.zeros((4, 4, 1), np.uint8)
    for more in ({}, {"t320": [1, 2, 3]}):
        assert decode(tiff_of(index, 3, **more), None).status in ("failed", "unsupported")


def big_tiff(order, compression):
    tags, body = tiff_tags(PICTURE, 2, order=order, rows=9, compression=compression)
    start = 16 + 8 + 20 * len(tags) + 8
    table, beyond = b"", b""
    for tag, value in sorted(tags.items()):
        values = [value] if isinstance(value, int) else value
        values = values[1:] if values[:1] == ["I"] else values
        values = [start + item for item in values] if tag == 273 else values
        content = struct.pack(f"{order}{len(values)}Q", *values)
        place = struct.pack(order + "Q", start + len(body) + len(beyond)) if len(values) > 1 else content
        beyond += content if len(values) > 1 else b""
        table += struct.pack(order + "HHQ", tag, 16, len(values)) + place
    head = (b"II+\0" if order == "<" else b"MM\0+") + struct.pack(order + "HHQQ", 8, 0, 16, len(tags))
    return head + table + bytes(8) + body + beyond


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [RAW, LZW, DEFLATE])
def test_big_tiff_of_either_byte_order(order, compression):
    data = big_tiff(order, compression)
    assert error(data, PICTURE) == 0
    assert decode(data[: len(data) // 2], None).status == "truncated"


@pytest.mark.parametrize("steps", [(1, 1), (2, 1), (2, 2), (4, 1)])
@pytest.mark.parametrize("order", "<>")
def test_uncompressed_ycbcr(steps, order):
    """Blocks of brightness, each followed by its two colours."""
    across, down = steps
    small = Image.fromarray(PICTURE).resize((48, 40)).convert("YCbCr")
    ycc = np.asarray(small).astype(int)
    blocks = ycc.reshape(40 // down, down, 48 // across, across, 3).swapaxes(1, 2)
    colors = blocks[..., 1:].mean(axis=(2, 3)).round()
    packed = np.concatenate([blocks[..., 0].reshape(*blocks.shape[:2], -1), colors], axis=-1).astype(np.uint8)
    tags = {
        256: 48,
        257: 40,
        258: [8, 8, 8],
        259: 1,
        262: 6,
        273: 0,
        277: 3,
        278: 40,
        279: packed.size,
        530: list(steps),
    }
    data = tiff_file(tags, packed.tobytes(), order=order)
    assert error(data, np.asarray(small.convert("RGB"))) < 3
    assert decode(data[:-200], None).status == "truncated"


PREVIEW = np.full((10, 12, 1), 128, np.uint8)


def pages(*contents, child=None):
    """Pages one after another; `child` is below the first."""
    data = b"II*\0\x08\0\0\0"
    made = [dict(tags) for tags, _ in contents]
    if child:
        made[0][330] = 1 << 20
    lengths = [len(tiff_page(tags, body)) for tags, (_, body) in zip(made, contents, strict=True)]
    starts = np.cumsum([8, *(length + length % 2 for length in lengths)]).tolist()
    if child:
        made[0][330] = ["I", starts[-1]]
    for number, (tags, (_, body)) in enumerate(zip(made, contents, strict=True)):
        following = starts[number + 1] if number + 1 < len(contents) else 0
        page = tiff_page(tags, body, at=starts[number], following=following)
        data += page + bytes(len(page) % 2)
    return data + (tiff_page(*child, at=starts[-1]) if child else b"")


def page(samples, photometric, **more):
    tags, body = tiff_tags(samples, photometric)
    return tags | {int(tag.removeprefix("t")): value for tag, value in more.items()}, body


@pytest.mark.parametrize("mark", [{"t254": 1}, {"t254": 4}, {"t255": 2}])
def test_a_preview_or_a_mask_first(mark):
    preview, full = page(PREVIEW, 1, **mark), page(PICTURE, 2, t254=0)
    assert error(pages(preview, full), PICTURE) == 0
    assert error(pages(preview, preview, full, page(PREVIEW, 1)), PICTURE) == 0
    assert error(pages(preview, child=full), PICTURE) == 0
    deep = page((PICTURE.astype(np.uint16) * 257), 2)
    assert error(pages(preview, deep), PICTURE) < 1


def test_previews_elsewhere_and_alone():
    full = page(PICTURE, 2)
    assert error(pages(full, page(PREVIEW, 1, t254=1)), PICTURE) == 0
    assert error(pages(full, child=page(PREVIEW, 1, t254=1)), PICTURE) == 0
    assert error(pages(full, page(PREVIEW, 1)), PICTURE) == 0
    assert pixels(pages(page(PREVIEW, 1, t254=1))).shape == (10, 12, 3)


def test_pages_in_a_circle():
    tags, body = page(PREVIEW, 1, t254=1)
    data = b"II*\0\x08\0\0\0" + tiff_page(tags, body, following=8)
    assert pixels(data).shape == (10, 12, 3)


def test_upright_and_in_srgb():
    """Also where the samples are read here, and not by Pillow."""
    deep = of_type(SHARES, np.uint16)
    assert error(tiff_of(deep, 2, planar=True, t274=6), np.rot90(PICTURE, -1)) < 1
    result = decode(tiff_of(deep, 2, planar=True, t274=6), 20)
    assert (result.width, result.height) == (40, 50)
    profile = profiles.rgb_profile("Adobe RGB")
    data = tiff_of(deep, 2, planar=True, t34675=profile)
    assert error(data, profiles.srgb_of("Adobe RGB", PICTURE)) < 1.5


def test_orientation_in_xmp_alone_is_ignored():
    xmp = b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    for compression in (RAW, LZW):
        assert error(tiff_of(PICTURE, 2, compression=compression, t700=xmp), PICTURE) == 0
    assert error(tiff_of(PICTURE, 2, t700=xmp, t274=6), np.rot90(PICTURE, -1)) == 0


ODD_TAGS = {
    "text after the end": struct.pack("<HHII", 270, 2, 1000, 10**7),
    "an unknown type": struct.pack("<HHII", 270, 99, 1, 5),
    "a huge count": struct.pack("<HHII", 270, 2, 2**31, 8),
    "EXIF after the end": struct.pack("<HHII", 34665, 4, 1, 10**7),
    "EXIF in the pixels": struct.pack("<HHII", 34665, 4, 1, 500),
    "a profile after the end": struct.pack("<HHII", 34675, 7, 5000, 10**7),
    "a short profile": struct.pack("<HHI4s", 34675, 7, 4, b"icc "),
    "an orientation that is none": struct.pack("<HHII", 274, 3, 1, 99),
}


@pytest.mark.parametrize("name", ODD_TAGS)
def test_sound_pixels_behind_odd_tags(name):
    tags, body = tiff_tags(PICTURE, 2)
    data = tiff_file(tags | {270: b"four"}, body)
    at = data.index(struct.pack("<HHI", 270, 1, 4))
    assert error(data[:at] + ODD_TAGS[name] + data[at + 12 :], PICTURE) == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            tiff_of(PICTURE, 2, t259=34712),
            ["RGB (photometric 2)", "3 channels of 8 bits", "compression 34712 (JPEG 2000)"],
        ),
        (tiff_of(PICTURE[..., :1], 32803), ["colour filter array (photometric 32803)", "1 channel of 8 bits"]),
        (tiff_of(PICTURE, 2, t258=[5, 6, 5]), ["5/6/5 bits"]),
        (tiff_of(PICTURE, 10, planar=True), ["ITULab (photometric 10)", "planar"]),
        (tiff_of(PICTURE, 6, planar=True, t530=[2, 2]), ["YCbCr (photometric 6)", "planar"]),
        (tiff_of(PICTURE.astype(np.int16), 2, t339=[6, 6, 6]), ["16 bits format 6"]),
    ],
    ids=["compression", "raw camera", "mixed depths", "ITULab", "YCbCr", "complex"],
)
def test_the_reason_names_the_layout(data, words):
    result = decode(data, None)
    assert result.status == "unsupported", result
    for word in words:
        assert word in result.error


@pytest.mark.parametrize("planar", [False, True], ids=["chunky", "planar"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("compression", [RAW, LZW, DEFLATE])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_header_that_claims_more(dtype, compression, layout, planar):
    how = {"planar": planar, "compression": compression, **LAYOUTS[layout]}
    samples = of_type(SHARES, dtype)
    for height in (49, 80, 4000):
        result = decode(tiff_of(samples, 2, **how, t257=height), None)
        assert result.status != "ok", result
    # One row more, in a strip that may have it.
    if compression == RAW and layout == "one strip":
        assert decode(tiff_of(samples, 2, **how, t257=41, t278=41), None).status == "truncated"


def test_wrong_byte_counts_are_no_fault():
    """Of uncompressed strips; nobody heeds them."""
    for count in (0, 1, 10**9):
        assert error(tiff_of(PICTURE, 2, t279=["I", count]), PICTURE) == 0


def test_a_directory_after_the_file():
    for offset in (10**6, 2**63, 2**64 - 1):
        assert decode(b"MM\0+" + struct.pack(">HHQ", 8, 0, offset) + bytes(50), None).status == "truncated"


def test_cut_short():
    for planar, compression in itertools.product((False, True), (RAW, DEFLATE)):
        data = tiff_of(of_type(SHARES, np.uint16), 2, planar=planar, rows=7, compression=compression)
        assert decode(data[: len(data) * 2 // 3], None).status == "truncated"
        assert decode(data[:20], None).status == "truncated"


def test_tiles_larger_than_any_picture():
    for planar in (False, True):
        data = tiff_of(PICTURE, 2, planar=planar, tile=(48, 64), compression=DEFLATE, t323=2**24)
        assert decode(data, None).status == "too_large"


def test_samples_have_a_limit_of_their_own():
    data = tiff_of(of_type(SHARES, np.float64), 2)  # 24 bytes a pixel
    assert decode(data, None, max_full_pixels=2000 * 4).status == "ok"
    result = decode(data, None, max_full_pixels=2000 * 4 - 1)
    assert result.status == "too_large"
    assert "samples" in result.error


def test_pillows_own_planar_file_is_the_same_picture():
    assert np.array_equal(
        pixels(tiff_of(PICTURE, 2, planar=True)), pixels(encode(Image.fromarray(PICTURE), format="TIFF"))
    )
