"""Draw the half of the sample collection that is made by code: twelve families of pictures, each from a seed.

    python -m tools.draw_sample [FOLDER]

writes `algorithmic24/` and `broken/` to FOLDER, by default to artray/sample/, where they are committed: the demo and
the tests copy those files. Other pictures of these families:

    >>> from tools.draw_sample import draw
    >>> draw("flow_field", seed=1).save("wind.png")

A family is a function `(rng, width, height, palette) -> Image`. It draws at the size asked for, or at twice that size
where its edges are hard, and `draw` reduces the picture. Colours are a screen's, edges are exact and grounds even, as
in works that were made by code and never were on paper.

Same seed, same picture. Byte for byte that holds for one set of NumPy and Pillow; elsewhere a sine may be rounded
differently in its last bit, and a few pixels differ.
"""

import csv
import io
import sys
import zlib
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from artray.sample.collection import COLUMNS, FOLDER
from tools import drawing
from tools.drawing import Field, Palette, Rng

SEEDS = (2, 5)  # of the two pictures of each family


def _palette(colors: str) -> Palette:
    ground, *inks = ((int(c[:2], 16), int(c[2:4], 16), int(c[4:], 16)) for c in colors.split())
    return Palette(ground, inks)


# Screen colours: saturated inks on a pure or nearly black ground, as programs that draw on a screen use them.
PALETTES = [
    _palette(colors)
    for colors in (
        "ffffff e6194b 3cb44b 4363d8 f58231 911eb4",
        "000000 00ffff ff00ff ffff00 ffffff 00ff66",
        "0b0b1e 00e5ff 7c4dff ff4081 ffd740 f5f5ff",
        "fafafa 111111 ff3d00 2979ff 00bfa5 ffc400",
        "10002b ff9e00 ff0054 9d4edd 00f5d4 fee440",
        "ffffff 000000 d50000 ff1744 9e9e9e 304ffe",
        "001219 0affc6 00b4d8 ffba08 f72585 ffffff",
        "f8f9ff 3a0ca3 f72585 4cc9f0 7209b7 ffb703",
        "000814 ffd60a ffc300 00a8ff ff5d8f ffffff",
        "fffdf5 ff006e 8338ec 3a86ff fb5607 06d6a0",
        "050505 ffffff bdbdbd 00e676 ff1744 2979ff",
        "ffffff 00c2ff 0057ff 00ffa3 ff2e63 121212",
        "1a0033 ff00c8 00f0ff faff00 ff6b00 ffffff",
        "fdfdff 118ab2 ef476f ffd166 06d6a0 073b4c",
        "020024 38b6ff 5ce1e6 ff66c4 ffde59 ffffff",
        "ffffff 1d1d1d 00d26a f9c80e ea3546 662e9b",
    )
]


def write_pictures(folder: Path) -> None:
    """Write `algorithmic24/` and `broken/`, each with a `catalog.csv` and the pictures it names.

    Args:
        folder: Is made where missing.
    """
    rows, broken = [], []
    for number, (family, seed) in enumerate(product(FAMILIES, SEEDS), start=1):
        name = family.replace("_", " ")
        row = {
            "object_id": f"code-{number:02d}",
            "title": f"{name.capitalize()}, no. {seed}",
            "artist": f"artray ({name})",
            "date": "2026",
            "classification": "computer art",
            "style": "Generative Art",
            "medium": "code",
            "family": family,
        }
        rows.append((row, _jpeg(draw(family, seed))))
    _write_part(folder / "algorithmic24", rows)
    whole = _jpeg(draw("ridges", seed=0))
    contents = {"A Scan Cut Short": whole[: len(whole) * 6 // 10], "A Note, Not a Picture": b"Out on loan until May.\n"}
    for number, (title, content) in enumerate(contents.items(), start=1):
        broken.append(({"object_id": f"broken-{number:02d}", "title": title}, content))
    _write_part(folder / "broken", broken)


def _write_part(folder: Path, rows: Iterable[tuple[dict[str, str], bytes]]) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for row, content in rows:
            name = f"images/{row['object_id']}.jpg"
            (folder / name).write_bytes(content)
            writer.writerow({**row, "file": name})


def _jpeg(picture: Image.Image) -> bytes:
    """The picture with the quantisation and subsampling of `paintings22`, so that the file format tells nothing."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90, subsampling="4:2:0")
    return buffer.getvalue()


def draw(family: str, seed: int, size: tuple[int, int] | None = None) -> Image.Image:
    """Draw one picture.

    Args:
        family: One of `FAMILIES`.
        seed: Decides everything the picture shows, and with `size=None` its size too.
        size: Width and height in pixels. By default like those of `paintings22`: 300 to 730 wide, 360 to 500 high.

    Returns:
        An RGB picture of that size.

    Raises:
        KeyError: There is no such family.
    """
    paint = FAMILIES[family]
    # The name's checksum and not its place in the list: a family added later leaves the others' pictures as they are.
    rng = np.random.default_rng([zlib.crc32(family.encode()), seed])
    own_height = int(rng.integers(360, 501))
    own_width = int(np.clip(own_height * rng.uniform(0.7, 1.65), 300, 730))
    palette = PALETTES[rng.integers(len(PALETTES))]
    width, height = size or (own_width, own_height)
    picture = paint(rng, width, height, palette)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def flow_field(rng: Rng, width: int, height: int, palette: Palette) -> Image.Image:
    """Streamlines of a smooth random vector field, each a brush stroke of its own width."""
    width, height = 2 * width, 2 * height
    unit = min(width, height)
    canvas = Image.new("RGB", (width, height), palette.ground)
    pen = ImageDraw.Draw(canvas)
    angle = rng.uniform(0, 2 * np.pi) + rng.uniform(1.0, 2.2) * np.pi * drawing.noise(
        rng, width, height, cells=3, octaves=2
    )
    tint = drawing.noise(rng, width, height, cells=2, octaves=2)
    strokes, steps, stride = int(rng.integers(900, 1700)), int(rng.integers(12, 40)), unit / 90
    path = [rng.uniform(-0.05, 1.05, (strokes, 2)) * (width, height)]
    for _ in range(steps):
        theta = drawing.at(angle, path[-1])
        path.append(path[-1] + stride * np.stack([np.cos(theta), np.sin(theta)], axis=1))
    thickness = np.maximum(1, unit * rng.uniform(0.002, 0.005) * rng.lognormal(0, 0.55, strokes)).astype(int).tolist()
    places = drawing.at(tint, path[0]) + rng.normal(0, 0.15, strokes)
    inks = [
        drawing.shade(drawing.ink(palette.inks, place), light)
        for place, light in zip(places, rng.normal(1, 0.08, strokes), strict=True)
    ]
    for points, ink, thick in zip(np.stack(path, axis=1).tolist(), inks, thickness, strict=True):
        pen.line([(x, y) for x, y in points], fill=ink, width=thick)
    return canvas


def julia_set(rng: Rng, width: int, height: int, palette: Palette) -> Image.Image:
    """A Julia set z -> z² + c, coloured by smooth escape time and, inside, by how near the orbit came to the origin."""
    constants = [-0.8 + 0.156j, -0.727 + 0.189j, 0.285 + 0.011j, -0.4 + 0.59j, -0.835 - 0.232j, 0.355 + 0.355j]
    c = constants[rng.integers(len(constants))]
    c_re, c_im = c.real + rng.normal(0, 0.002), c.imag + rng.normal(0, 0.002)
    zoom, turn = rng.uniform(0.55, 1.25), rng.uniform(0, 2 * np.pi)
    x, y = (drawing.grid(width, height) - np.reshape([width / 2, height / 2], (2, 1, 1))) * (
        2 * zoom / min(width, height)
    )
    x, y = x + rng.uniform(-0.4, 0.4), y + rng.uniform(-0.2, 0.2)
    # Real arithmetic: NumPy's complex product may be fused on some processors, and escape times are sensitive to that.
    re = (x * np.cos(turn) - y * np.sin(turn)).ravel()
    im = (x * np.sin(turn) + y * np.cos(turn)).ravel()
    tone = np.zeros(re.size, np.float32)
    nearest = np.full(re.size, np.inf, np.float32)
    alive = np.arange(re.size)
    for step in range(90):
        re, im = re * re - im * im + c_re, 2 * re * im + c_im
        size = re * re + im * im
        nearest[alive] = np.minimum(nearest[alive], size)
        gone = size > 64
        tone[alive[gone]] = step + 1 - np.log2(np.log(size[gone]) / np.log(64))
        keep = ~gone
        alive, re, im = alive[keep], re[keep], im[keep]
    tone = np.log1p(np.maximum(tone, 0)) * rng.uniform(0.5, 0.9)
    tone[alive] = 1.5 * np.sqrt(nearest[alive])
    place = (tone + rng.random()) % 1
    colors = drawing.ramp([palette.ground, *palette.inks, palette.ground], place.reshape(height, width))
    return drawing.picture(colors)


def l_system(rng: Rng, width: int, height: int, palette: Palette) -> Image.Image:
    """A meadow of plants grown by Lindenmayer's rewriting rules (The Algorithmic Beauty of Plants, figure 1.24)."""
    grammars = [
        ("X", {"X": "F[+X]F[-X]+X", "F": "FF"}, 6, 20.0),
        ("X", {"X": "F-[[X]+X]+F[+FX]-X", "F": "FF"}, 5, 22.5),
        ("X", {"X": "F[+X][-X]FX", "F": "FF"}, 6, 25.7),
        ("F", {"F": "F[+F]F[-F]F"}, 4, 25.7),
        ("F", {"F": "FF-[-F+F+F]+[+F-F-F]"}, 3, 22.5),
    ]
    width, height = 2 * width, 2 * height
    horizon = drawing.mix(palette.ground, palette.inks[2], 0.55)
    canvas = drawing.picture(drawing.ramp([palette.ground, horizon], drawing.grid(width, height)[1] / height))
    pen = ImageDraw.Draw(canvas)
    earth = height * rng.uniform(0.86, 0.95)
    crest = earth - 0.03 * height * drawing.noise(rng, width, 2, cells=3)[0]
    soil = [(0.0, float(height)), *enumerate(crest.tolist()), (float(width), float(height))]
    pen.polygon(soil, fill=drawing.mix(palette.inks[0], palette.inks[1], 0.5))
    plants = int(rng.integers(6, 13))
    places = rng.permutation(np.linspace(0.04, 0.96, plants)) * width
    for x0, nearness in zip(places, np.linspace(0.15, 1, plants), strict=True):
        word, rules, depth, degrees = grammars[rng.integers(len(grammars))]
        for _ in range(depth):
            word = "".join(rules.get(letter, letter) for letter in word)
        segments, tips = drawing.turtle(rng, word, np.radians(degrees))
        scale = height * (0.3 + 0.5 * nearness) * rng.uniform(0.75, 1.15) / max(y for *_, y in segments)
        bark = drawing.mix(palette.ground, palette.inks[rng.integers(2)], 0.35 + 0.6 * nearness)
        bloom = drawing.mix(palette.ground, palette.inks[rng.integers(2, 5)], 0.4 + 0.6 * nearness)
        thick = max(1, round(nearness * height / 350))
        for xa, ya, xb, yb in segments:
            pen.line((x0 + xa * scale, earth - ya * scale, x0 + xb * scale, earth - yb * scale), fill=bark, width=thick)
        for (x, y), radius in zip(tips, height * 0.005 * nearness * rng.lognormal(0, 0.4, len(tips)), strict=True):
            pen.circle((x0 + x * scale, earth - y * scale), radius, fill=bloom)
    return canvas


def truchet(rng: Rng, width: int, height: int, palette: Palette) -> Image.Image:
    """Truchet's tiles after Cyril Stanley Smith: quarter arcs, turned at random, that join into long winding bands."""
    width, height = 2 * width, 2 * height
    tile = min(width, height) / rng.uniform(4, 9)
    angle = float(rng.choice([0.0, np.pi / 4, rng.uniform(0, np.pi)]))
    x, y = drawing.turned(drawing.grid(width, height), angle) / np.float32(tile) + 64
    column, row = x.astype(int) % 128, y.astype(int) % 128
    flipped = rng.random((128, 128)) < rng.uniform(0.3, 0.7)
    u, v = x % 1, y % 1
    u = np.where(flipped[row, column], 1 - u, u)
    near, far = np.hypot(u, v), np.hypot(1 - u, 1 - v)
    bands = int(rng.integers(2, 6))
    # How many bands away from the middle of the nearer arc: the same on both sides of a tile's edge.
    ring = np.abs(np.minimum(near, far) - 0.5) * 2 * bands
    inked = (ring < bands * rng.uniform(0.5, 0.8)) & (ring % 1 < rng.uniform(0.45, 0.8))
    grounds = [palette.ground, drawing.mix(palette.ground, palette.inks[3], 0.4)]
    ground = drawing.ramp(grounds, drawing.noise(rng, width, height, cells=2))
    ink = drawing.ramp(
        palette.inks, np.clip(drawing.noise(rng, width, height, cells=2) + 0.12 * (ring.astype(int) % 2), 0, 1)
    )
    return drawing.picture(np.where(inked[..., None], ink, ground))


def cellular_automaton(rng: Rng, width: int, height: int, palette: Palette) -> Image.Image:
    """Griffeath's cyclic cellular automaton: a cell takes the next state as soon as a neighbour has it. Spirals win."""
    cell, states = int(rng.integers(2, 5)), int(rng.integers(11, 16))
    world = rng.integers(0, states, (-(-height // cell), -(-width // cell)), dtype=np.int8)
    neighbours = [(0, 1), (0, -1), (1, 0), (-1, 0)] + [(1, 1), (1, -1), (-1, 1), (-1, -1)] * int(rng.integers(2))
    for _ in range(int(rng.integers(120, 400))):
        successor = (world + 1) % states
        taken = np.zeros(world.shape, bool)
        for shift in neighbours:
            taken |= np.roll(world, shift, axis=(0, 1)) == successor
        world = np.where(taken, successor, world)
    wheel = drawing.ramp([palette.ground, *palette.inks, palette.ground], np.arange(states) / states)
    return drawing.picture(wheel[world].repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width])


def circle_packing(rng: Rng, width: int, height: int, palette: Palette) -> Image.Image:
    """Discs that grow until they touch: plain, ringed, halved or cut into sectors."""
    width, height = 2 * width, 2 * height
    unit = min(width, height)
    canvas = Image.new("RGB", (width, height), palette.ground)
    pen = ImageDraw.Draw(canvas)
    largest, gap = unit * rng.uniform(0.1, 0.22), unit * rng.uniform(0, 0.006)
    tint = drawing.noise(rng, width, height, cells=2, octaves=2)
    discs: NDArray[np.float64] = np.empty((0, 3))
    for x, y in rng.uniform(0, 1, (2500, 2)) * (width, height):
        radius = min(largest, (np.hypot(discs[:, 0] - x, discs[:, 1] - y) - discs[:, 2]).min(initial=largest)) - gap
        if radius < unit * 0.008:
            continue
        discs = np.append(discs, [(x, y, radius)], axis=0)
        place = tint[int(y), int(x)] + rng.normal(0, 0.25)
        ink, other = drawing.ink(palette.inks, place), drawing.ink(palette.inks, 1 - place)
        box, turn = (x - radius, y - radius, x + radius, y + radius), rng.uniform(0, 360)
        pen.ellipse(box, fill=ink)
        match rng.integers(5):
            case 0:
                for part, fill in ((0.72, palette.ground), (0.5, other), (0.2, palette.ground)):
                    pen.circle((x, y), radius * part, fill=fill)
            case 1:
                pen.pieslice(box, turn, turn + 180, fill=other)
            case 2:
                for start in range(0, 360, 60):
                    pen.pieslice(box, turn + start, turn + start + 30, fill=other)
            case 3:
                for part in np.arange(0.85, 0.1, -0.2).tolist():
                    pen.circle((x, y), radius * part, outline=palette.ground, width=max(1, int(radius * 0.05)))
    return canvas


def voronoi(rng: Rng, width: int, height: int, palette: Palette) -> Image.Image:
    """Voronoi cells as stained glass: leaded edges, each pane lit a little differently."""
    x, y = drawing.grid(width, height)
    panes = int(rng.integers(40, 140))
    # The sites crowd around a focus.
    focus, spread = rng.uniform(0.25, 0.75, 2), rng.random((panes, 1)) ** rng.uniform(0.5, 1.25)
    sites = ((focus + spread * (rng.uniform(-0.3, 1.3, (panes, 2)) - focus)) * (width, height)).astype(np.float32)
    first = np.full((height, width), np.inf, np.float32)
    second, owner = first.copy(), np.zeros((height, width), int)
    for site, (sx, sy) in enumerate(sites):
        squared = (x[:1] - sx) ** 2 + (y[:, :1] - sy) ** 2
        owner[squared < first] = site
        second = np.minimum(second, np.maximum(first, squared))
        first = np.minimum(first, squared)
    distance = (np.sqrt(second) - np.sqrt(first)) / 2
    lead = rng.uniform(0.8, 2.5)
    hue = np.clip(drawing.at(drawing.noise(rng, width, height, cells=2), sites) + rng.normal(0, 0.15, panes), 0, 1)
    glass = drawing.ramp(palette.inks, hue)[owner] * rng.uniform(0.8, 1.2, panes)[owner][..., None]
    glass = glass * (0.8 + 0.3 * np.clip(distance / (0.04 * min(width, height)), 0, 1))[..., None]
    edge = np.clip(distance - lead + 0.5, 0, 1)[..., None]
    return drawing.picture(glass * edge + np.array(palette.ground) * (1 - edge))


def subdivision(rng: Rng, width: int, height: int, palette: Palette) -> Image.Image:
    """A rectangle cut in two again and again, after Mondrian: fields of colour, some hatched, between bars."""
    width, height = 2 * width, 2 * height
    unit = min(width, height)
    canvas = Image.new("RGB", (width, height), palette.ground)
    pen = ImageDraw.Draw(canvas)
    bar, smallest, plain = int(unit * rng.uniform(0.004, 0.014)), unit * rng.uniform(0.07, 0.16), rng.uniform(0.15, 0.5)
    dark = min(palette.inks, key=sum)
    open_fields = [(0.0, 0.0, float(width), float(height))]
    while open_fields:
        left, top, right, bottom = open_fields.pop()
        across, down = right - left, bottom - top
        if max(across, down) > 2 * smallest and (max(across, down) > 0.5 * unit or rng.random() < 0.8):
            cut = rng.uniform(0.3, 0.7)
            if across * rng.uniform(0.7, 1.4) > down:
                open_fields += [(left, top, left + cut * across, bottom), (left + cut * across, top, right, bottom)]
            else:
                open_fields += [(left, top, right, top + cut * down), (left, top + cut * down, right, bottom)]
            continue
        ink = drawing.shade(palette.inks[rng.integers(len(palette.inks))], rng.uniform(0.85, 1.15))
        kind = rng.random()
        if kind > plain:
            pen.rectangle((left, top, right, bottom), fill=ink)
        elif kind < plain * 0.4:
            for offset in np.arange(0, across, max(4, smallest * rng.uniform(0.06, 0.15))).tolist():
                pen.line((left + offset, top, left + offset, bottom), fill=ink, width=max(2, bar // 3))
        pen.rectangle((left, top, right, bottom), outline=dark, width=max(2, bar))
    return canvas


def domain_warp(rng: Rng, width: int, height: int, palette: Palette) -> Image.Image:
    """Noise whose coordinates are moved by noise, twice: marbled paper (after Inigo Quilez)."""
    x, y = drawing.grid(width, height)
    cells, reach = rng.uniform(1.2, 2.4), min(width, height) * rng.uniform(0.35, 0.8)
    marble, east, south = (drawing.noise(rng, width, height, cells, octaves=3) for _ in range(3))

    def moved(field: Field, dx: Field, dy: Field) -> Field:
        # Trainer at the border, so that no seam shows.
        column = np.abs(x + reach * (dx - 0.5)).astype(int) % (2 * width - 2)
        row = np.abs(y + reach * (dy - 0.5)).astype(int) % (2 * height - 2)
        sampled: Field = field[np.minimum(row, 2 * height - 2 - row), np.minimum(column, 2 * width - 2 - column)]
        return sampled

    east, south = moved(east, east, south), moved(south, south, east)
    marble = moved(marble, east, south)
    veins = np.abs((marble * rng.uniform(3, 9)) % 1 - 0.5) * 2
    colors = drawing.ramp([palette.ground, *palette.inks], np.clip(marble * 1.3 - 0.15, 0, 1))
    lit = colors * (0.75 + 0.35 * np.sqrt(veins))[..., None] + 25 * (east - 0.5)[..., None]
    return drawing.picture(lit).filter(ImageFilter.SMOOTH)


def harmonograph(rng: Rng, width: int, height: int, palette: Palette) -> Image.Image:
    """The curve of a pen on damped pendulums, drawn several times with slightly shifted phases."""
    width, height = 2 * width, 2 * height
    canvas = Image.new("RGB", (width, height), palette.ground)
    pen = ImageDraw.Draw(canvas)
    time = np.linspace(0, rng.uniform(60, 130), 5000)
    ratio = rng.choice([(2, 3), (3, 4), (3, 5), (1, 2), (4, 5), (2, 5)]) + rng.normal(0, 0.006, 2)
    phase, damping = rng.uniform(0, 2 * np.pi, 4), rng.uniform(0.006, 0.025)
    curves, width_px = int(rng.integers(3, 7)), int(rng.integers(2, 5))
    decay = np.exp(-damping * time)
    for curve in range(curves):
        shift = phase + curve * rng.uniform(0.02, 0.12)
        main = np.sin(np.outer(ratio, time) + shift[:2, None])
        cross = np.sin(np.outer(ratio[::-1], time) * 1.002 + shift[2:, None])
        x, y = 0.5 + (0.31 * main + 0.18 * cross) * decay
        ends = palette.inks[curve % 5], palette.inks[(curve + 2) % 5]
        points = list(zip((x * width).tolist(), (y * height).tolist(), strict=True))
        for part in range(0, 5000, 100):
            pen.line(points[part : part + 101], fill=drawing.mix(*ends, part / 5000), width=width_px)
    return canvas


def phyllotaxis(rng: Rng, width: int, height: int, palette: Palette) -> Image.Image:
    """A flower head by Vogel's rule: floret n stands at n times the golden angle, at a distance of √n."""
    width, height = 2 * width, 2 * height
    unit = min(width, height)
    canvas = Image.new("RGB", (width, height), palette.ground)
    pen = ImageDraw.Draw(canvas)
    centre = rng.uniform(0.3, 0.7, 2) * (width, height)
    golden = np.pi * (3 - np.sqrt(5)) + rng.choice([0, rng.normal(0, 0.003)])
    spacing, slender, barb = unit * rng.uniform(0.015, 0.032), rng.uniform(0.35, 0.8), rng.uniform(0, 0.6)
    growth, radius = rng.uniform(1, 3.5), rng.uniform(0.35, 0.8) * np.hypot(width, height)
    # From the rim inwards, so that each petal lies on the one outside it.
    n = np.arange(min(int((radius / spacing) ** 2), 2000), 0, -1)[:, None]
    distance = spacing * np.sqrt(n)
    long = spacing * (0.7 + growth * distance / unit)
    outwards = np.hstack([np.cos(n * golden), np.sin(n * golden)])
    sideways = outwards[:, ::-1] * (-slender, slender)
    corners = [1.5 * outwards, sideways + barb * outwards, -outwards, -sideways + barb * outwards]
    petals = np.stack([centre + distance * outwards + long * corner for corner in corners], axis=1)
    places = np.clip(distance[:, 0] / (0.8 * unit) + rng.normal(0, 0.08, len(n)), 0, 1)
    inks = np.clip(drawing.ramp(palette.inks, places) * rng.uniform(0.85, 1.15, n.shape), 0, 255).astype(int)
    for petal, (red, green, blue) in zip(petals.tolist(), inks.tolist(), strict=True):
        ink = red, green, blue
        pen.polygon([(x, y) for x, y in petal], fill=ink, outline=drawing.shade(ink, 0.6), width=2)
    return canvas


def ridges(rng: Rng, width: int, height: int, palette: Palette) -> Image.Image:
    """Mountain ranges of one-dimensional noise, each nearer than the last and less veiled by mist, under a low sun."""
    x, y = drawing.grid(width, height)
    near, *_, far = sorted(palette.inks, key=sum)
    sky = [drawing.mix(palette.ground, palette.inks[2], 0.5), palette.ground, drawing.mix(palette.ground, far, 0.6)]
    picture = drawing.ramp(sky, y / height).astype(np.float32)
    sun = np.array([rng.uniform(0.15, 0.85) * width, rng.uniform(0.12, 0.35) * height])
    distance = np.hypot(x - sun[0], y - sun[1])
    disc = np.clip(height * rng.uniform(0.04, 0.1) - distance + 0.5, 0, 1)[..., None]
    picture = picture * (1 - disc) + np.array(palette.inks[rng.integers(3, 5)]) * disc
    for nearness in np.linspace(0.05, 1, int(rng.integers(4, 9))):
        peaks = drawing.noise(rng, width, 2, cells=rng.uniform(2, 5), octaves=6)[0] - 0.4
        depth = y - height * (0.3 + 0.6 * nearness - rng.uniform(0.15, 0.4) * peaks)
        tint = drawing.mix(near, palette.inks[rng.integers(5)], 0.3)
        rock = np.array(drawing.mix(drawing.mix(palette.ground, far, 0.5), tint, nearness))
        rock = rock * (0.75 + 0.5 * drawing.noise(rng, width, height, cells=6, octaves=5)[..., None])
        mist = np.clip(depth / (0.3 * height), 0, 1)[..., None] * (0.7 - 0.4 * nearness)
        cover = np.clip(depth + 0.5, 0, 1)[..., None]
        picture = picture * (1 - cover) + (rock * (1 - mist) + np.array(palette.ground) * mist) * cover
    return drawing.picture(picture)


FAMILIES: dict[str, Callable[[Rng, int, int, Palette], Image.Image]] = {
    painter.__name__: painter
    for painter in (
        flow_field,
        julia_set,
        l_system,
        truchet,
        cellular_automaton,
        circle_packing,
        voronoi,
        subdivision,
        domain_warp,
        harmonograph,
        phyllotaxis,
        ridges,
    )
}


if __name__ == "__main__":
    write_pictures(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
