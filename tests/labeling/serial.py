"""Runs in this process: without Ray, and with models that are loaded and compiled once."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

import keras
import pytest

from artray.bundles import bundle_model
from artray.bundles.classifier import Bundle, load_model
from artray.labeling import station
from artray.models import half_precision
from artray.models.half_precision import in_bfloat16
from artray.storage import Location

CHUNK = 7


def install(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Let label_catalog run here; gives the ids of the pictures that each pass works on."""
    made: list[list[str]] = []

    def run_pass(
        title: str, manifest: str, out: str, worker: Any, arguments: dict[str, Any], **_: Any
    ) -> dict[str, Any]:
        work = worker(**json.loads(json.dumps(arguments)))
        table = Location.parse(manifest).dataset().to_table()
        states: Counter[str] = Counter()
        made.append([])
        for start in range(0, len(table), CHUNK):
            rows = table.slice(start, CHUNK)
            part = Location.parse(out) / f"part-{start // CHUNK:06d}.parquet"
            if not Location.parse(part).exists():
                made[-1] += rows["object_id"].to_pylist()
                Location.parse(part).write_table(work(rows))
            states.update(Location.parse(part).dataset().to_table()["status"].to_pylist())
        return {"statuses": dict(states)}

    monkeypatch.setattr(station, "run_pass", run_pass)
    monkeypatch.setattr(bundle_model, "load_model", _loaded)
    monkeypatch.setattr(half_precision, "in_bfloat16", _copied_in_bfloat16)
    return made


def _loaded(uri: str, bundle: Bundle) -> Any:
    return _once(uri, bundle.model_dump_json())


@cache
def _once(uri: str, bundle: str) -> Any:
    return load_model(Location.parse(uri), Bundle.model_validate_json(bundle))


def _copied_in_bfloat16(model: Any) -> Any:
    """The loaded one stays as it is: later runs are given it too."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return in_bfloat16(copy)
