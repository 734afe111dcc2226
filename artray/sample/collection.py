"""The sample collection of the demo: works made by hand, works drawn by code, and two files that can't be read.

The works by hand are `paintings22` (see its PROVENANCE.md). Those by code are `algorithmic24`, two of each of twelve
families, drawn by `tools/draw_sample.py` and saved as the paintings were, so that a model can't tell them by the file
format. `broken` holds the rest.
"""

import csv
import filecmp
import shutil
from pathlib import Path

from artray.errors import InputError

COLUMNS = ("object_id", "title", "artist", "date", "classification", "style", "medium", "family", "file")
PARTS = ("paintings22", "algorithmic24", "broken")
FOLDER = Path(__file__).parent


def write_sample(folder: Path) -> Path:
    """Write the sample collection: `catalog.csv` and, in `images/`, 48 files named by it.

    The catalogue has `COLUMNS`; `medium` is "hand" (22 works) or "code" (24), and `family` is what a split must keep
    together: the artist of a work by hand, the algorithm of one by code. Two rows have neither: broken-01 is a JPEG
    cut short, broken-02 a text named .jpg.

    Args:
        folder: Is made where missing. What is there already stays as it is, its time too.

    Returns:
        The path of the catalogue; its `file` column is relative to `folder`.

    Raises:
        InputError: The folder can't be written to.
    """
    catalog = folder / "catalog.csv"
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        with catalog.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for part in PARTS:
                for row in _rows(part):
                    source, target = FOLDER / part / row["file"], folder / row["file"]
                    if not (target.is_file() and filecmp.cmp(source, target, shallow=False)):  # it keeps its time
                        shutil.copyfile(source, target)
                    writer.writerow(row)
    except OSError as error:
        raise InputError(f"can't write the sample collection to {folder}: {error.strerror}") from error
    return catalog


def _rows(part: str) -> list[dict[str, str]]:
    with (FOLDER / part / "catalog.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
