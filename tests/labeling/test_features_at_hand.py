"""Features that a table has are not computed again."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from artray.errors import InputError
from artray.labeling import models
from tests.labeling.bundles import (
    write_manifest,
)
from tests.labeling.labelled import ROWS, of, rows

pytestmark = pytest.mark.slow  # whole stations


def _run(labels: Path) -> dict[str, Any]:
    return json.loads((labels / "_run.json").read_text())


def test_features_that_are_there_are_not_computed_again(label, bundles, table, decoded, tmp_path):
    label(bundles["features"])
    expected = rows(tmp_path / "out")
    decoded.clear()
    label(bundles["features"], features=table, out=f"{tmp_path}/other")
    assert set(decoded) == {"W38", "W39"}  # which could not be read
    names = ("object_id", "label", "scores", "status", "error")
    assert of(rows(tmp_path / "other"), *names) == of(expected, *names)
    assert _run(tmp_path / "other")["precision"] == {}  # no network has seen a picture
    decoded.clear()
    counts = label(
        bundles["features"], bundles["pictures"], features=table, out=f"{tmp_path}/third", precision="bfloat16"
    )
    assert _run(tmp_path / "third")["precision"] == {"bfloat16": counts["ok"]}
    assert len(decoded) == ROWS  # the other model looks at them
    found = rows(tmp_path / "third")
    assert of([row for row in found if row["task"] == "features"], *names) == of(expected, *names)


def test_what_is_prepared_elsewhere_and_finished_together_is_the_same(label, bundles, table, tmp_path, monkeypatch):
    """As beside a GPU."""
    models_of_all = [bundles[kind] for kind in ("features", "patches", "pictures")]
    label(*models_of_all, features=table)
    expected = rows(tmp_path / "out")

    def staged(self: models.LabelWorker, work: pa.Table) -> pa.Table:
        parts = [part for start in range(0, len(work), 3) for part in self.prepare(work.slice(start, 3))]
        self.warm()
        return self.finish(pickle.loads(pickle.dumps(parts)))

    monkeypatch.setattr(models.LabelWorker, "__call__", staged)
    label(*models_of_all, features=table, out=f"{tmp_path}/other")
    found = rows(tmp_path / "other")
    assert of(found, "task", "object_id", "label", "status", "error") == of(
        expected, "task", "object_id", "label", "status", "error"
    )
    for one, other in zip(found, expected, strict=True):
        assert dict(one["scores"] or []) == pytest.approx(dict(other["scores"] or []), abs=1e-6)


def test_stale_features_are_not_used(label, bundles, table, collection, manifest, decoded, tmp_path):
    write_manifest(manifest, collection, {"W7": "2", "W8": "2"})
    label(bundles["features"], features=table)
    assert set(decoded) == {"W7", "W8", "W38", "W39"}


def test_features_with_other_options_are_not_used(label, bundles, table, decoded, tmp_path, capsys):
    run = json.loads((Path(table) / "_run.json").read_text())
    run["arguments"]["features"] = [{"name": "brightness", "size": 64}]
    (Path(table) / "_run.json").write_text(json.dumps(run))
    label(bundles["features"], features=table)
    assert len(decoded) == ROWS
    assert "not used" in capsys.readouterr().err


def test_a_feature_table_that_is_replaced_meanwhile(label, bundles, table, tmp_path):
    work = models.LabelWorker.__call__

    def replaced(self: Any, given: pa.Table) -> pa.Table:
        part = Path(table) / "part-000001.parquet"
        content = pq.read_table(part)
        pq.write_table(content.slice(1), part)
        return work(self, given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models.LabelWorker, "__call__", replaced)
        with pytest.raises(InputError, match="was replaced"):
            label(bundles["features"], features=table)


def test_a_feature_table_of_another_decode_version(label, bundles, table):
    run = json.loads((Path(table) / "_run.json").read_text())
    run["arguments"]["decode_version"] += 1
    (Path(table) / "_run.json").write_text(json.dumps(run))
    with pytest.raises(InputError, match="decode version"):
        label(bundles["features"], features=table)
