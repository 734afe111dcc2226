"""The pictures below a folder or prefix, told from other files by their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import pyarrow as pa

from artray import console
from artray.catalogs.columns import IMAGE_SUFFIX
from artray.errors import InputError
from artray.storage import Location

_UNREADABLE_SUFFIX = r"\.(heic|heif|jxl|psd|psb|svg|dng|cr2|cr3|nef|arw|raf|exr|djvu|eps)$"
_PICTURE = re.compile(f"{IMAGE_SUFFIX}|{_UNREADABLE_SUFFIX}")
_NOT_UTF8 = re.compile("[\ud800-\udfff]")  # how Python shows bytes of a file's name that are not UTF-8

# Folders in which systems keep thumbnails, what was deleted, or the other half of a file; hidden ones aside.
_SYSTEM_FOLDERS = frozenset(
    (
        "@eadir", "@__thumb", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot", "__macosx",
        "$recycle.bin", "recycler", "recycled", "system volume information", "lost+found",
        "network trash folder", "temporary items", "_vti_cnf", "_thumbs", ".thumbnails", "ipod photo cache",
    )
)  # fmt: skip

_SCHEMA = pa.schema({"path": pa.string(), "size": pa.int64(), "version": pa.string()})
_BATCH = 65_536


def _is_system(folder: str) -> bool:
    return folder.lower() in _SYSTEM_FOLDERS or folder.lower().endswith(".lrdata")  # Lightroom's previews


def _most(counts: Counter[str]) -> str:
    """The five largest counts with their names; of equal ones in the order of their names, however a folder is read."""
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {number:,}" for name, number in order[:5])


def _kept_name(name: str) -> str:
    """A hidden file's name by which it is counted: by itself where all systems call it so."""
    return name if name in (".DS_Store", ".directory", ".nomedia", ".picasa.ini", ".localized") else "others"


def list_pictures(images: Location) -> pa.Table:
    """The pictures of a collection.

    What counts is the name: whether a file is a picture is seen when it is read, and then it is a row with a status.

    Args:
        images: Folder or s3:// prefix.

    Returns:
        A row a picture, in the order of their paths: `path` (below the folder), `size` (bytes) and `version`.

    Raises:
        InputError: There are none.
    """
    if _NOT_UTF8.search(images.uri):  # nor could the table say where its pictures lie
        raise InputError(f"{images.uri!a}: the folder's name is not UTF-8; rename it, or give a link to it")
    console.say(f"listing {images}")
    others: Counter[str] = Counter()
    unwritable: list[str] = []
    system: Counter[str] = Counter()
    hidden: Counter[str] = Counter()

    def hide(path: str) -> None:
        names = path.split("/")
        name = next((name for name in names if name.startswith(".")), "")
        hidden["._*" if names[-1].startswith("._") else name if name != names[-1] else _kept_name(name)] += 1

    def pictures() -> Iterator[tuple[str, int, str]]:
        for info in images.list_files(hide):
            path = images.relative(info.uri)
            folder = next((name for name in path.split("/")[:-1] if _is_system(name)), None)
            if folder is not None:
                system[folder] += 1
            elif _NOT_UTF8.search(path):
                unwritable.append(path)
            elif _PICTURE.search(path):
                yield path, info.size, info.version
            else:
                others["." + path.rsplit(".", 1)[-1] if "." in path.rsplit("/", 1)[-1] else "no suffix"] += 1

    listed = pictures()
    batches = []
    while rows := list(islice(listed, _BATCH)):
        batches.append(
            pa.RecordBatch.from_arrays([pa.array(column) for column in zip(*rows, strict=True)], schema=_SCHEMA)
        )
    if unwritable:  # Parquet's strings are UTF-8: such a name can stand in no table
        console.say(f"left out, names that are not UTF-8: {len(unwritable)} ({unwritable[0]!a}); rename them")
    if system:
        console.say(f"left out, in folders of the system: {system.total():,} ({_most(system)})")
    if hidden:
        console.say(f"left out, hidden files: {hidden.total():,} ({_most(hidden)})")
    shown = _most(others)
    if not batches:
        those = f"; it holds {others.total()} other files ({shown})" if others else ""
        raise InputError(f"{images}: no pictures there{those}")
    if others:
        console.say(f"not pictures, left out: {others.total()} ({shown})")
    return pa.Table.from_batches(batches).sort_by("path")  # whatever the order in which a storage lists
