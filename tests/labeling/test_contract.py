import json
from datetime import datetime, timezone

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.bundles.classifier import BUNDLE, Bundle, BundleClass
from artray.errors import InputError
from artray.images.decoding import DECODE_VERSION
from artray.labeling.contract import LABELS, METADATA_KEY
from artray.labeling.station import LabelOptions, label_catalog, label_rows

AT = datetime(2026, 5, 4, 3, 2, 1, 654321, tzinfo=timezone.utc)
CLASSES = [
    BundleClass(name="Impressionism", uri="http://vocab.getty.edu/aat/300021503"),
    BundleClass(name="浮世絵"),
    BundleClass(name="Cubism", uri="http://vocab.getty.edu/aat/300021495"),
]
NAMES = [item.name for item in CLASSES]

CONTRACT = {
    "object_id": pa.string(),
    "image_uri": pa.string(),
    "label": pa.string(),
    "labels": pa.list_(pa.string()),
    "label_uri": pa.string(),
    "score": pa.float32(),
    "scores": pa.map_(pa.string(), pa.float32()),
    "model_id": pa.string(),
    "run_id": pa.string(),
    "labeled_at": pa.timestamp("us", tz="UTC"),
    "status": pa.string(),
    "error": pa.string(),
    "novelty": pa.float32(),
    "learned_from": pa.bool_(),
}
"""Written out once more: others have programs that rely on it."""


def bundle(task: str = "style", classes: list[BundleClass] = CLASSES) -> Bundle:
    return Bundle(
        model_id=f"{task}-1",
        task=task,
        target=task,
        classes=classes,
        input={"kind": "pictures", "size": 8},
        decode_version=DECODE_VERSION,
        temperature=1.0,
        model_sha="0",
        data={},
        config={},
        metrics={},
        versions={},
        created_at=AT.isoformat(),
    )


def staged(states: list[str], classes: int = 3, seed: int = 0) -> pa.Table:
    """Rows as a pass writes them; only those with status ok have scores."""
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(classes), len(states)).astype(np.float32)
    return pa.table(
        {
            "object_id": [f"W{number}" for number in range(len(states))],
            "image_uri": [f"s3://scans/{number}.jpg" for number in range(len(states))],
            "status": states,
            "error": pa.array([None if state == "ok" else f"is {state}" for state in states], pa.string()),
            "scores_0": pa.array(
                [row.tolist() if state == "ok" else None for row, state in zip(scores, states, strict=True)],
                pa.list_(pa.float32()),
            ),
        }
    )


def labels(table: pa.Table) -> pa.Table:
    found = label_rows(table, "scores_0", bundle(), "run-1", AT).cast(LABELS)
    found.validate(full=True)
    return found


states = st.lists(st.sampled_from(["ok", "ok", "ok", "truncated", "missing"]), max_size=12)


def test_the_contract():
    assert {field.name: field.type for field in LABELS} == CONTRACT
    assert LABELS.names == list(CONTRACT)


@pytest.mark.slow
@given(states, st.integers(0, 9), st.data())
def test_labels_are_the_best_of_the_scores(given_states, seed, data):
    table = staged(given_states, seed=seed)
    # Batches of a dataset are slices, whose arrays begin in the middle of their buffers.
    start = data.draw(st.integers(0, len(table)))
    table = table.slice(start, data.draw(st.integers(0, len(table) - start)))
    found = labels(table)
    assert found.schema.equals(LABELS)
    rows = found.to_pylist(maps_as_pydicts="strict")
    assert len(rows) == len(table)
    for row, source in zip(rows, table.to_pylist(), strict=True):
        for name in ("object_id", "image_uri", "status", "error"):
            assert row[name] == source[name]
        assert (row["model_id"], row["run_id"], row["labeled_at"]) == ("style-1", "run-1", AT)
        if source["status"] != "ok":
            assert [row[name] for name in ("label", "labels", "label_uri", "score", "scores")] == [None] * 5
            continue
        assert row["scores"] == dict(zip(NAMES, source["scores_0"], strict=True))
        assert sum(row["scores"].values()) == pytest.approx(1, abs=1e-5)
        assert row["label"] == max(row["scores"], key=row["scores"].get)
        assert row["score"] == row["scores"][row["label"]]
        assert row["labels"] == [row["label"]]
        assert row["label_uri"] == CLASSES[NAMES.index(row["label"])].uri


@pytest.mark.parametrize("given_states", [[], ["missing"], ["ok"], ["missing", "truncated"]])
def test_few_rows(given_states):
    found = labels(staged(given_states))
    assert found["status"].to_pylist() == given_states
    assert found["label"].null_count == len([state for state in given_states if state != "ok"])


def test_one_class():
    table = staged(["ok", "missing"], classes=1)
    found = label_rows(table, "scores_0", bundle(classes=CLASSES[:1]), "run-1", AT).cast(LABELS)
    assert found["label"].to_pylist() == ["Impressionism", None]
    assert found["scores"].to_pylist() == [[("Impressionism", 1.0)], None]


def test_chunks_and_lists_of_any_size_give_the_same_rows():
    table = staged(["ok", "missing", "ok", "ok", "truncated", "ok"])
    column = table["scores_0"].combine_chunks().cast(pa.list_(pa.float32(), 3))  # as earlier releases staged them
    other = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    assert labels(other).to_pylist() == labels(table).to_pylist()
    other = table.set_column(4, "scores_0", column)
    assert labels(other).to_pylist() == labels(table).to_pylist()


@pytest.fixture
def written(tmp_path):
    """A label dataset with two tasks on disk, and the table behind each."""
    table = labels(staged(["ok", "truncated", "ok", "missing", "ok"]))
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps({"schema_version": 1})})
    for task in ("style", "medium"):
        folder = tmp_path / f"task={task}"
        folder.mkdir()
        pq.write_table(table, folder / "labels.parquet", compression="zstd")
    return tmp_path, table


def test_round_trip_through_parquet(written):
    folder, table = written
    again = pq.read_table(folder / "task=style" / "labels.parquet", partitioning=None)
    assert again.schema.equals(LABELS)
    assert again.equals(table)
    assert json.loads(again.schema.metadata[METADATA_KEY.encode()]) == {"schema_version": 1}


def test_pandas_reads_it(written):
    folder, table = written
    frame = pd.read_parquet(folder)
    assert list(frame.columns) == [*CONTRACT, "task"]
    assert sorted(frame["task"].unique()) == ["medium", "style"]
    style = frame[frame["task"] == "style"].reset_index(drop=True)
    assert style["label"].isna().tolist() == [False, True, False, True, False]
    assert style["label"].dropna().tolist() == [label for label in table["label"].to_pylist() if label]
    assert style["score"].dtype == np.float32
    assert str(style["labeled_at"].dtype) in ("datetime64[us, UTC]", "datetime64[ns, UTC]")
    assert dict(style["scores"][0]) == dict(table["scores"][0].as_py())


def test_duckdb_reads_it(written):
    folder, table = written
    source = f"read_parquet('{folder}/*/*.parquet', hive_partitioning = true)"
    connection = duckdb.connect()
    types = {name: kind for name, kind, *_ in connection.sql(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    texts = ("object_id", "image_uri", "label", "label_uri", "model_id", "run_id", "status", "error", "task")
    assert types == {
        **dict.fromkeys(texts, "VARCHAR"),
        "score": "FLOAT",
        "novelty": "FLOAT",
        "learned_from": "BOOLEAN",
        "scores": "MAP(VARCHAR, FLOAT)",
        "labels": "VARCHAR[]",
        "labeled_at": "TIMESTAMP WITH TIME ZONE",
    }
    failures = f"SELECT object_id, label, scores FROM {source} WHERE task = 'style' AND status <> 'ok' ORDER BY ALL"
    assert connection.sql(failures).fetchall() == [("W1", None, None), ("W3", None, None)]
    cubism = f"SELECT object_id, scores['Cubism'] FROM {source} WHERE task = 'style' AND status = 'ok' ORDER BY 1"
    expected = [
        (row["object_id"], row["scores"]["Cubism"])
        for row in table.to_pylist(maps_as_pydicts="strict")
        if row["scores"]
    ]
    assert connection.sql(cubism).fetchall() == expected


def test_two_bundles_of_one_task_are_refused(tmp_path):
    for name, task in (("a", "style"), ("b", "medium"), ("c", "style")):
        (tmp_path / name).mkdir()
        (tmp_path / name / BUNDLE).write_text(bundle(task).model_dump_json())
    uris = [str(tmp_path / name) for name in "abc"]
    with pytest.raises(InputError) as raised:
        label_catalog(LabelOptions(manifest=str(tmp_path / "manifest"), model=uris, out=str(tmp_path / "out")))
    assert str(raised.value) == f"--model: {uris[0]} and {uris[2]} both label the task 'style'"
    assert not (tmp_path / "out").exists()
