"""Short names for contents: equal for equal bytes, everywhere."""

from __future__ import annotations

import hashlib
import json

import pyarrow.dataset as pads


def digest(*parts: bytes) -> str:
    """A short name for some content: the same for the same bytes, everywhere (24 hexadecimal digits of BLAKE2b)."""
    state = hashlib.blake2b(digest_size=12)
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.hexdigest()


def dataset_digest(dataset: pads.Dataset) -> str:
    """Changes whenever a file of a dataset does: from the files' names, sizes and times."""
    files = [
        (info.path, info.size, str(info.mtime)) for info in dataset.filesystem.get_file_info(sorted(dataset.files))
    ]
    return digest(json.dumps(files).encode())
