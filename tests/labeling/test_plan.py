"""What is to be done, against the same said with dictionaries."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artray.errors import InputError
from artray.images.decoding import DECODE_VERSION, USABLE_VERSIONS
from artray.labeling.plan import FeatureTable, make_plan, read_features, read_manifest
from artray.labeling.published import Published, TaskLabels
from artray.storage import Location

PICTURE = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["1", "2", None]))
STATUS = st.sampled_from(["ok", "ok", "ok", "truncated", "missing", "denied", "failed", "empty"])
IDS = st.sampled_from("ABCDEFGHIJ")
SPEC = {"name": "brightness", "size": 32}

Places = dict[str, tuple[str, str | None]]


def table(places: Places) -> pa.Table:
    return pa.table(
        {
            "object_id": pa.array(places.keys(), pa.string()),
            "image_uri": pa.array([uri for uri, _ in places.values()], pa.string()),
            "version": pa.array([version for _, version in places.values()], pa.string()),
        }
    )


def publish(out: str, tasks: dict[str, tuple[str, Places, dict[str, str]]]) -> Published:
    """Labels of some tasks: what they depend on, the pictures they were computed from, and their states."""
    entries = {}
    for name, (source, places, states) in tasks.items():
        labels, pictures = f"_runs/r/{name}.parquet", f"_runs/r/{name}-pictures.parquet"
        rows = {"object_id": pa.array(states.keys(), pa.string()), "status": pa.array(states.values(), pa.string())}
        Location.parse(f"{out}/{labels}").write_table(pa.table(rows))
        Location.parse(f"{out}/{pictures}").write_table(table(places))
        entries[name] = TaskLabels(
            run_id="r", model_id=name, source=source, rows=len(states), labels=labels, pictures=pictures
        )
    return Published(run_id="r", tasks=entries)


@pytest.mark.parametrize("version", [*sorted(USABLE_VERSIONS), DECODE_VERSION + 1])
def test_feature_tables_of_other_versions(tmp_path, version):
    arguments = {"features": [SPEC], "decode_version": version}
    (tmp_path / "_run.json").write_text(json.dumps({"arguments": arguments, "fingerprint": "f", "finished_at": "x"}))
    if version in USABLE_VERSIONS:
        assert FeatureTable(Location.parse(tmp_path)).specs == [SPEC]
    else:
        with pytest.raises(InputError, match="extract the features again"):
            FeatureTable(Location.parse(tmp_path))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.dictionaries(IDS, PICTURE, min_size=1), st.data())
def test_what_has_to_be_computed(manifest, data):
    sources = {"style": "s1", "medium": "m1"}
    tasks = {}
    for name in data.draw(st.sets(st.sampled_from(list(sources)))):
        then = data.draw(st.dictionaries(IDS, PICTURE, min_size=1))
        states = {key: data.draw(STATUS) for key in data.draw(st.permutations(list(then)))}
        tasks[name] = (data.draw(st.sampled_from([sources[name], "another"])), then, states)
    with tempfile.TemporaryDirectory() as out:
        published = publish(out, tasks) if tasks else None
        plan = make_plan(table(manifest), sources, Location.parse(out), published, None)
        needed = {}
        for key, place in manifest.items():
            for bit, name in enumerate(sources):
                source, then, states = tasks.get(name, ("", {}, {}))
                stays = (
                    source == sources[name]
                    and then.get(key) == place
                    and place[1] is not None
                    and states[key] in ("ok", "truncated", "empty")
                )
                needed[key] = needed.get(key, 0) | (0 if stays else 1 << bit)
        found = {row["object_id"]: row for row in plan.rows.to_pylist()}
        assert len(found) == len(plan.rows)
        assert {key: row["models"] for key, row in found.items()} == {key: bits for key, bits in needed.items() if bits}
        assert all((row["image_uri"], row["version"]) == manifest[key] for key, row in found.items())
        for bit, name in enumerate(sources):
            if name in tasks:
                kept = [key for key, flag in zip(tasks[name][2], plan.kept[name].tolist(), strict=True) if flag]
                assert sorted(kept) == sorted(key for key, bits in needed.items() if not bits >> bit & 1)
        assert sum(plan.counts.values()) == len(manifest)
        assert plan.counts["same"] == sum(not bits for bits in needed.values())
        assert plan.gone == max((len(task[2].keys() - manifest.keys()) for task in tasks.values()), default=0)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(IDS, PICTURE, min_size=1), st.dictionaries(IDS, st.tuples(PICTURE, STATUS), min_size=1), st.data()
)
def test_which_features_are_at_hand(manifest, known, data):
    keys = data.draw(st.permutations(list(known)))
    with tempfile.TemporaryDirectory() as folder:
        uri = Path(folder)
        cut = data.draw(st.integers(0, len(keys)))
        for number, part in enumerate([keys[:cut], keys[cut:]]):
            content = table({key: known[key][0] for key in part})
            content = content.append_column("status", pa.array([known[key][1] for key in part], pa.string()))
            content = content.append_column("error", pa.nulls(len(part), pa.string()))
            content = content.append_column("brightness", pa.array([float(ord(key)) for key in part], pa.float64()))
            Location.parse(str(uri / f"part-{number:06d}.parquet")).write_table(content)
        arguments = {"features": [SPEC], "decode_version": DECODE_VERSION}
        (uri / "_run.json").write_text(json.dumps({"arguments": arguments, "fingerprint": "", "finished_at": ""}))
        plan = make_plan(
            table(manifest), {"style": "s"}, Location.parse(folder), None, FeatureTable(Location.parse(folder))
        )
        assert sorted(plan.rows["object_id"].to_pylist()) == sorted(manifest)
        for row in plan.rows.to_pylist():
            key = row["object_id"]
            place, status = known.get(key, (None, ""))
            assert (row["part"] is not None) == (place == manifest[key] and place[1] is not None and status == "ok")
            if row["part"]:
                (found,) = read_features(
                    Location.parse(folder), row["part"], [row["row"]], [key], ["brightness"]
                ).to_pylist()
                assert found["brightness"] == ord(key)


def test_numbers_are_ids_too(tmp_path):
    Location.parse(f"{tmp_path}/m.parquet").write_table(pa.table({"object_id": [1, 2], "image_uri": ["a", "b"]}))
    assert read_manifest(Location.parse(tmp_path))["object_id"].to_pylist() == ["1", "2"]
