"""The sample collection of the demo: works made by hand, works drawn by code, and two files that can't be read.

The works by hand are `paintings22` (see its PROVENANCE.md). Those by code are drawn here, two of each family of
`artray.sample.algorithmic`, and saved as the paintings were, so that a model can't tell them by the file format.
"""

import csv
import io
import shutil
from itertools import product
from pathlib import Path

from PIL import Image

from artray.errors import InputError
from artray.sample.algorithmic import FAMILIES, draw

COLUMNS = ("object_id", "title", "artist", "date", "classification", "style", "medium", "family", "file")

SEEDS = (2, 5)  # of the two pictures of each family

PAINTINGS = Path(__file__).with_name("paintings22")


def write_sample(folder: Path) -> Path:
    """Write the sample collection: `catalog.csv` and, in `images/`, 48 files named by it.

    The catalogue has `COLUMNS`; `medium` is "hand" (22 works) or "code" (24), and `family` is what a split must keep
    together: the artist of a work by hand, the algorithm of one by code. Two rows have neither: broken-01 is a JPEG
    cut short, broken-02 a text named .jpg.

    Args:
        folder: Is made where missing. Files of the same names are replaced by the same bytes.

    Returns:
        The path of the catalogue; its `file` column is relative to `folder`.

    Raises:
        InputError: The folder can't be written to.
    """
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        rows = [*_by_hand(folder), *_by_code(folder), *_broken(folder)]
        catalog = folder / "catalog.csv"
        with catalog.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise InputError(f"can't write the sample collection to {folder}: {error.strerror}") from error
    return catalog


def _by_hand(folder: Path) -> list[dict[str, str]]:
    with (PAINTINGS / "catalog.csv").open(encoding="utf-8", newline="") as file:
        rows = [{**row, "medium": "hand", "family": row["artist"]} for row in csv.DictReader(file)]
    for row in rows:
        shutil.copyfile(PAINTINGS / row["file"], folder / row["file"])
    return rows


def _by_code(folder: Path) -> list[dict[str, str]]:
    rows = []
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
            "file": f"images/code-{number:02d}.jpg",
        }
        (folder / row["file"]).write_bytes(_jpeg(draw(family, seed)))
        rows.append(row)
    return rows


def _broken(folder: Path) -> list[dict[str, str]]:
    whole = _jpeg(draw("ridges", seed=0))
    contents = {"A Scan Cut Short": whole[: len(whole) * 6 // 10], "A Note, Not a Picture": b"Out on loan until May.\n"}
    rows = []
    for number, (title, content) in enumerate(contents.items(), start=1):
        row = {"object_id": f"broken-{number:02d}", "title": title, "file": f"images/broken-{number:02d}.jpg"}
        (folder / row["file"]).write_bytes(content)
        rows.append(row)
    return rows


def _jpeg(picture: Image.Image) -> bytes:
    """The picture with the quantisation and subsampling of `paintings22`."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90, subsampling="4:2:0")
    return buffer.getvalue()
