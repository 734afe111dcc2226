"""Passes in this process: without Ray."""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pytest

from artray.storage import passes


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `run_pass` do its chunks here, one by one; all else of a pass is as ever."""

    def run(
        chunks: list[dict[str, Any]], errand: Any, worker: Any, arguments: Mapping[str, Any], *, gpus: bool
    ) -> Iterator[dict[str, Any]]:
        actor = passes._ChunkActor(errand, worker, arguments)
        for chunk in chunks:
            yield from actor(pa.Table.from_pylist([chunk])).to_pylist()

    monkeypatch.setattr(passes, "_run", run)
    monkeypatch.setattr(passes, "check_nodes", lambda *_: None)
    monkeypatch.setattr(passes.cluster, "connect", lambda: None)
    monkeypatch.setattr(passes, "_actors", lambda gpus: (1, {"num_cpus": 1}))
    monkeypatch.setattr(passes.cluster, "quicken_keras", lambda: None)
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(name, "2")
