"""Pictures that are no works of any style, to see what a classifier's novelty says of them.

    python benchmarks/strange_pictures.py OUT

writes three folders: `photographs` (pieces of scikit-image's, which has to be installed), `paper` (empty pages, of one
colour or shaded, as scanners leave them) and `text` (pages of made-up print). Then `ingest --images OUT --mapping
class-folders --label kind=folder` and `extract-features` make a table for `benchmarks/decisions.py --strange`.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 320
PHOTOGRAPHS = (
    "astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "moon", "motorcycle_left",
    "rocket", "hubble_deep_field",
)  # fmt: skip
PIECES, BLANK, TEXT = 4, 30, 30


def photographs(chance: np.random.Generator) -> list[Image.Image]:
    import skimage.data

    found = []
    for name in PHOTOGRAPHS:
        (file,) = Path(skimage.data.__file__).parent.glob(f"{name}.*")
        picture = Image.open(file).convert("RGB")
        side = int(min(picture.size) * 0.7)
        for _ in range(PIECES):
            left, top = (int(chance.integers(0, length - side + 1)) for length in picture.size)
            found.append(picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE)))
    return found


def blank(chance: np.random.Generator) -> Image.Image:
    paper = chance.uniform(170, 255) - np.array([0, chance.uniform(0, 12), chance.uniform(0, 30)])
    slope = np.linspace(0, chance.uniform(0, 30), SIDE)[:, None, None]
    noise = chance.normal(size=(SIDE, SIDE, 1)) * chance.uniform(0, 3)
    return Image.fromarray(np.clip(paper - slope + noise, 0, 255).astype(np.uint8))


def text(chance: np.random.Generator) -> Image.Image:
    picture = blank(chance)
    draw = ImageDraw.Draw(picture)
    size = int(chance.integers(9, 16))
    font = ImageFont.load_default(size)
    letters = np.array(list("etaoinshrdlucmfwypvbgk      "))
    for top in range(20, SIDE - 20, int(size * 1.3)):
        line = "".join(chance.choice(letters, int((SIDE - 50) / (size * 0.5))).tolist())
        draw.text((22, top), line, fill=(25, 22, 20), font=font)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    chance = np.random.default_rng(0)
    made = {
        "photographs": photographs(chance),
        "paper": [blank(chance) for _ in range(BLANK)],
        "text": [text(chance) for _ in range(TEXT)],
    }
    for kind, pictures in made.items():
        (out / kind).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(pictures):
            picture.save(out / kind / f"{kind}-{number:03}.png")


if __name__ == "__main__":
    main()
