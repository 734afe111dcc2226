"""Whether the machines of a cluster can do a job: the same software, and the data within reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from artray import cluster
from artray.errors import ArtrayError, InputError
from artray.storage.faults import read_error
from artray.storage.location import Location
from artray.storage.scratch import scratch_name


def check_nodes(reads: Sequence[Location] = (), writes: Sequence[Location] = ()) -> None:
    """Ask every other machine of the cluster whether it can do this job: the same software, the data within reach.

    On one machine nothing is asked. Those that an autoscaler starts later are not asked either: what such a one lacks
    ends the job with the line that `artray.cluster.unwrapped_errors` makes of it.

    Args:
        reads: Folders and s3:// prefixes that every machine must be able to read.
        writes: Those it must be able to write to.

    Raises:
        InputError: A machine that can't, named, and why.
    """
    nodes = cluster.other_nodes()
    if not nodes:
        return
    look = _software()
    ours = look()
    for node, theirs in cluster.ask(nodes, look):
        if theirs != ours:
            raise InputError(f"node {nodes[node]}: {_difference(ours, theirs)}; all machines need the same")

    marks = [uri / scratch_name() for uri in writes]
    try:
        for mark in marks:
            mark.write_bytes(b"")
        for node, fault in cluster.ask(nodes, _first_fault, list(reads), marks):
            if fault:
                raise InputError(f"node {nodes[node]}: {fault}")
    finally:
        for mark in marks:
            mark.remove()


def _software() -> Callable[[], dict[str, str]]:
    """A function that tells versions.

    It is sent as code, being a function within another: a machine without artray has no module to take it from.
    """

    def look() -> dict[str, str]:
        import hashlib
        import platform
        from importlib import metadata, util
        from pathlib import Path

        versions = {"Python": ".".join(platform.python_version_tuple()[:2])}
        spec = util.find_spec("artray")
        if spec is None or spec.origin is None:
            return versions
        folder = Path(spec.origin).parent
        code = hashlib.sha256()
        for file in sorted(folder.rglob("*.py")):
            code.update(str(file.relative_to(folder)).encode() + file.read_bytes())
        versions["artray"] = code.hexdigest()[:12]
        for package in ("keras", "numpy", "pillow", "pyarrow", "ray", "s3fs", "tensorflow"):
            try:
                versions[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                return versions
        return versions

    return look


def _difference(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """The first thing in which two machines' software differs."""
    for name, version in ours.items():
        if name not in theirs:
            return f"has no {name}"
        if theirs[name] != version:
            if name == "artray":
                return "has another artray than the job (`--working-dir .` sends the job's along)"
            return f"has {name} {theirs[name]}, the job {version}"
    (more, *_) = theirs.keys() - ours.keys()
    return f"has {more}, which the job's machine has not"


def _first_fault(reads: Sequence[Location], marks: Sequence[Location]) -> str | None:
    """What this machine can't read or write; `marks` are files that are there already, beside which it writes one."""
    for uri in [*reads, *marks]:
        folder = uri if uri in reads else uri.parent
        shared = "" if uri.is_s3 else "; a folder must be on a disk that all machines share"
        try:
            if not uri.exists():
                return f"{folder}: not found{shared}"
            if uri in marks:
                folder.ensure_writable()
        except ArtrayError as error:
            return str(error)
        except Exception as error:
            return f"{folder}: {read_error(error).message}"
    return None
