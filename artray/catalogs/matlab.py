"""Pandora-18K's list of pictures, a MATLAB file."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np

from artray.catalogs.cells import AddProblem, Raw, reason
from artray.errors import InputError


def read_mat(data: bytes, problem: AddProblem) -> Raw:
    """Read `pandora18kMain_v2.mat`: `imageListFile`, a cell array of (path, class index, artist index).

    Raises:
        InputError: It is none, or SciPy is missing.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise InputError("to read .mat the package scipy is needed: pip install scipy") from None
    try:
        entries = loadmat(BytesIO(data), variable_names=["imageListFile"], simplify_cells=True)["imageListFile"]
        rows = [tuple(_leaves(entry)) for entry in entries]
    except KeyError:
        raise InputError("holds no imageListFile") from None
    except Exception as error:  # scipy meets damaged files with any of ValueError, TypeError, OverflowError, …
        raise InputError(f"is not a MATLAB file that can be read ({reason(error)})") from None
    lines = np.arange(1, len(rows) + 1)
    whole = np.array([len(row) == 3 and isinstance(row[0], str) for row in rows], bool)
    problem("entries that are not (path, class, artist), left out", lines[~whole])
    kept = [row for row, ok in zip(rows, whole, strict=True) if ok]
    columns = list(zip(*kept, strict=True)) or [(), (), ()]
    return Raw(["imageListFile", "class", "artist"], columns, lines[whole], "MATLAB, imageListFile")


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist()
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
