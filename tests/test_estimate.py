import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artray.engine.order import WINDOW_BYTES
from artray.errors import InputError
from artray.estimate import EstimateOptions, estimate, read_rates
from artray.features.specs import FEATURES
from artray.job import main
from artray.storage import Location

KINDS = ("m7i.4xlarge", "c7a.4xlarge", "g6.4xlarge")


def of(**options: object) -> dict[str, object]:
    return estimate(EstimateOptions.model_validate({"pictures": 1_000_000, **options}))


def table_of(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_by_hand(tmp_path):
    """A hundred thousand pictures, 20 ms each, on two machines of ten whole cores: 1,000 a second, 100 s."""
    table = table_of(
        tmp_path / "table.yaml",
        """
        milliseconds: {fetch: 1, decode: 3, decode_per_megapixel: 1, embedding: 6}
        machines:
          mine: {cpus: 10, gbit: 100, speed: 1, dollars: 2}
          m7i.xlarge: {cpus: 4, gbit: 1, speed: 1, dollars: 1}
        requests: {get: 1, put: 2, list: 4}
        """,
    )
    found = of(pictures=100_000, megapixels=10, machines={"mine": 2}, spot=0.5, table=table)
    assert found["pictures_per_second"] == 1000
    hours = 100 / 3600 + 0.1
    assert found["hours"] == pytest.approx(hours, abs=1e-3)
    assert found["dollars_machines"] == pytest.approx(hours * (1 + 0.5 * 4), abs=0.01)
    chunks = 391  # of 256
    assert found["requests"] == {"get": 100_000 + 5 * chunks, "put": chunks, "list": 100}
    assert found["dollars_requests"] == pytest.approx((100_000 + 5 * chunks) / 1000 + 2 * chunks / 1000 + 0.4, abs=0.01)


def test_agrees_with_the_benchmark():
    """134 pictures a second, measured once: 7 megapixels, two cores like the table's, local files, decoding alone."""
    ms = read_rates(None).milliseconds
    assert 2 * 1000 / (ms["decode"] + 7 * ms["decode_per_megapixel"]) == pytest.approx(134, rel=0.15)


def test_every_feature_has_a_rate():
    assert FEATURES.keys() - {"objects"} <= read_rates(None).milliseconds.keys()


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    machines=st.dictionaries(st.sampled_from(KINDS), st.integers(1, 50), min_size=1),
    megapixels=st.floats(0.1, 200),
    pictures=st.integers(1, 10**7),
    work=st.sampled_from(["features", "label"]),
)
def test_more_machines_are_faster_and_larger_pictures_slower(machines, megapixels, pictures, work):
    def hours(**changes: object) -> float:
        options = {"pictures": pictures, "machines": machines, "megapixels": megapixels, "work": work, **changes}
        return float(str(of(**options)["hours"]))

    doubled = {name: 2 * count for name, count in machines.items()}
    assert hours(machines=doubled) <= hours() <= hours(megapixels=megapixels * 1.5)
    assert hours() <= hours(pictures=pictures * 2)


def test_the_narrowest_part_counts(capsys):
    by_network = of(machines={"m7i.4xlarge": 1}, megapixels=1, megabytes=100)
    assert by_network["pictures_per_second"] == pytest.approx(6.2e9 / 8 / 100e6, abs=0.1)
    by_gpu = of(machines={"g6.4xlarge": 2}, gpu_rate=10)
    assert by_gpu["pictures_per_second"] == 20


def test_gpus(capsys):
    without = of(machines={"g6.4xlarge": 1})
    assert "the GPUs are not counted" in capsys.readouterr().err
    fast = of(machines={"g6.4xlarge": 1}, gpu_rate=1e6)
    assert fast["pictures_per_second"] > without["pictures_per_second"], "the model is off the CPUs"
    mixed = of(machines={"g6.4xlarge": 1, "m7i.4xlarge": 5}, gpu_rate=1e6)
    assert mixed["pictures_per_second"] == fast["pictures_per_second"], "labelling leaves machines without GPU idle"
    assert mixed["dollars"] > fast["dollars"]
    features = of(machines={"g6.4xlarge": 1}, work="features")
    assert of(machines={"g6.4xlarge": 1}, work="features", gpu_rate=1e6) == features, "features are made on CPUs"


def test_pictures_of_a_manifest(tmp_path):
    sizes = pa.table({"object_id": ["a", "b", "c"], "size": pa.array([1_000_000, 3_000_000, None], pa.int64())})
    manifest = str(tmp_path / "manifest" / "manifest.parquet")
    Location.parse(manifest).write_table(sizes)
    found = of(pictures=None, manifest=manifest, machines={"m7i.4xlarge": 1}, megapixels=0.1)
    assert found["pictures"] == 2
    table = table_of(tmp_path / "t.yaml", "machines: {slow: {cpus: 1000, gbit: 0.016, speed: 1, dollars: 0}}")
    found = of(pictures=None, manifest=manifest, machines={"slow": 1}, megapixels=0.1, table=table)
    assert found["pictures_per_second"] == 1, "two megabytes of 2 megabytes a second"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"machines": {"x1.big": 1}}, r"--machines x1\.big: not in the table \(m7i\.xlarge, .*--table FILE"),
        ({"machines": {"m7i.4xlarge": 0}}, "--machines m7i.4xlarge=0: must be one at least"),
    ],
)
def test_wrong_use(options, message):
    with pytest.raises(InputError, match=message):
        of(**options)


def test_room_to_train(capsys):
    found = of(work="train", pictures=100_000, size=224)
    assert found["disk_gb"] == pytest.approx(100_000 * 224 * 224 * 3 / 1e9, abs=0.01)
    assert found["memory_gb_whole"] == pytest.approx(found["disk_gb"] / 0.09, rel=1e-3)
    more = of(work="train", pictures=100_000, size=224, in_memory=0.6)
    assert more["memory_gb_whole"] == pytest.approx(found["memory_gb_whole"] / 2, rel=1e-3)
    assert of(work="train", pictures=100, size=224, in_memory=0)["memory_gb_whole"] is None
    assert found["memory_gb_streamed"] == of(work="train", pictures=10_000_000, size=224)["memory_gb_streamed"]
    assert found["pictures_per_second"] > of(work="label", pictures=100_000)["pictures_per_second"]
    assert "100,000 × 224² × 3 bytes" in capsys.readouterr().err


def test_memory_by_workers_weights_and_batch(tmp_path):
    table = table_of(tmp_path / "t.yaml", "training: {ray: 1, worker: 2, weight: 10, pixel: 100}")

    def memory(**options):
        return of(**{"work": "train", "pictures": 1, "size": 100, "table": table, **options})["memory_gb_streamed"]

    assert memory(workers=1, weights=0, batch=1) == pytest.approx(3 + 0.001, abs=0.006)
    assert memory(workers=3, weights=100, batch=1000) == pytest.approx(1 + 3 * (2 + 1) + 1, abs=0.006)
    windows = memory(workers=1, weights=0, batch=1, pictures=1_000_000) - memory(workers=1, weights=0, batch=1)
    assert windows == pytest.approx(2 * WINDOW_BYTES / 1e9, abs=0.011)
    few = of(work="train", pictures=1, size=100, table=table, workers=1, weights=0, batch=1)
    assert few["memory_gb_whole"] == pytest.approx(3, abs=0.01), "of few pictures what is beside them counts"


@pytest.mark.parametrize(
    ("pictures", "what", "measured"),
    [(2000, "memory_gb_whole", 1.77), (4000, "memory_gb_streamed", 1.75), (20_000, "memory_gb_streamed", 1.94)],
)
def test_memory_as_it_was_measured(pictures, what, measured):
    """By `benchmarks/training.py --parts memory`."""
    found = of(work="train", pictures=pictures, size=64, weights=0.07, batch=64, in_memory=0.3)
    assert measured < found[what] < 1.06 * measured


def test_a_table_with_a_mistake(tmp_path):
    table = table_of(tmp_path / "table.yaml", "machines: {mine: {cpus: none, gbit: 1, speed: 1, dollars: 1}}")
    with pytest.raises(InputError, match=r"table\.yaml: machines\.mine\.cpus: Input should be a valid integer"):
        of(table=table)


def test_the_command_shows_its_formula(capsys):
    main(EstimateOptions, estimate, ["--pictures", "5000000", "--machines", "m7i.4xlarge=16", "--spot", "0.4"])
    shown = capsys.readouterr()
    assert json.loads(shown.out)["pictures"] == 5_000_000
    assert "decode (4 + 1.4 × 12 MP)" in shown.err
    assert "5,097,660 GET × 0.0004 $/1000" in shown.err
    with pytest.raises(SystemExit) as ended:
        main(EstimateOptions, estimate, [])
    assert ended.value.code == 2
    assert "give --pictures or --manifest" in capsys.readouterr().err
