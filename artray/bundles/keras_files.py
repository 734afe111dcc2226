"""Keras models as files of a bundle.

A bundle may be a stranger's, so a file is looked at before Keras opens it: which parts it has, how large they say they
are, and of which classes the model is made. Keras' safe mode alone has been got around more than once
(CVE-2025-1550, CVE-2025-8747, CVE-2025-9906, CVE-2025-12058).
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import artray
from artray.errors import InputError
from artray.images.decoding import DECODE_VERSION
from artray.storage import Location, digest

_CONFIG, _WEIGHTS, _METADATA = "config.json", "model.weights.h5", "metadata.json"
_PARTS = {_METADATA, _CONFIG, _WEIGHTS}
_NO_DATE = (1980, 1, 1, 0, 0, 0)  # the first that an archive can tell
_MODULES = ("keras", "artray.models", "builtins")
# They run code that a file brings along, or read files that it names.
_REFUSED = {
    "Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "StringLookup", "IntegerLookup",
    "TextVectorization",
}  # fmt: skip
_MOST_GROWTH, _SMALL = 4, 16_000_000  # what is unpacked: so many times the file, and so many bytes more


def keras_file(model: Any) -> bytes:
    """A Keras model as the bytes of a `.keras` file; equal models are equal bytes, whenever they are saved."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        model.save(file)
        return _undated(file.read_bytes())


def _undated(data: bytes) -> bytes:
    """An archive without the times at which its parts were written, in the order of their names."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as given, zipfile.ZipFile(written, "w") as archive:
        for info in sorted(given.infolist(), key=lambda info: info.filename):
            content = given.read(info)
            if info.filename == _METADATA:
                told = json.loads(content)
                told.pop("date_saved", None)
                content = json.dumps(told).encode()
            plain = zipfile.ZipInfo(info.filename, date_time=_NO_DATE)
            plain.compress_type = info.compress_type
            archive.writestr(plain, content)
    return written.getvalue()


def load_keras(uri: Location, name: str, sha: str, told_by: str) -> Any:
    """A bundle's Keras file, in safe mode.

    Args:
        uri: The bundle.
        name: The file's.
        sha: What its digest must be.
        told_by: The file that says so.

    Raises:
        InputError: It is damaged, was replaced, or holds layers that can't be loaded safely.
    """
    import keras

    import artray.models.vision_transformer  # noqa: F401  # its layers by name

    data = (uri / name).read_bytes()
    if digest(data) != sha:
        raise InputError(f"{uri}: {name} is not the one {told_by} was written for")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(data)
        try:
            _check(data)
            return keras.models.load_model(file, compile=False, safe_mode=True)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{uri}: {name} can't be loaded safely: {reason}") from error


def _check(data: bytes) -> None:
    """See that a `.keras` file is what artray writes.

    Raises:
        Exception: It is not; the message says why.
    """
    most = _MOST_GROWTH * len(data) + _SMALL
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        if len(names) > len(set(names)) or not {_CONFIG, _WEIGHTS} <= set(names) <= _PARTS:
            raise ValueError(f"it holds {', '.join(sorted(names))[:100]}, not {', '.join(sorted(_PARTS))} alone")
        if (size := sum(info.file_size for info in infos)) > most:
            raise ValueError(f"unpacked it would have {size:,} bytes, {size // len(data):,} times its own")
        for module, name in _classes(json.loads(archive.read(_CONFIG))):
            if name in _REFUSED or not any(module == known or module.startswith(f"{known}.") for known in _MODULES):
                raise ValueError(f"it is made of {module}.{name}, which artray does not load")
        with archive.open(_WEIGHTS) as weights:
            _check_weights(io.BytesIO(weights.read()), most)


def _classes(config: Any) -> Iterator[tuple[str, str]]:
    """The classes that are named anywhere in a model's configuration; what has no module is Keras' own."""
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                yield str(item.get("module") or "keras"), str(item["class_name"])
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _check_weights(file: io.BytesIO, most: int) -> None:
    """See that weights lie in their own file, and are no larger unpacked than they may be."""
    import h5py

    size = 0
    with h5py.File(file, "r") as store:
        groups = [store]
        while groups:
            group = groups.pop()
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"its weights {name!a} are a link")
                item = group[name]
                if isinstance(item, h5py.Group):
                    groups.append(item)
                    continue
                if item.is_virtual or item.external:
                    raise ValueError(f"its weights {name!a} lie in another file")
                size += item.size * item.dtype.itemsize
                if size > most:
                    raise ValueError("its weights are larger than the file could hold")


def made_now() -> dict[str, Any]:
    """What every bundle says of how it was made: the decoder's version, the packages' versions, and when."""
    packages = {"artray": artray.__version__, **{name: metadata.version(name) for name in ("keras", "tensorflow")}}
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"decode_version": DECODE_VERSION, "versions": packages, "created_at": when}
