import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pytest

from artray.errors import InputError
from artray.models.batches import batch_of
from artray.storage import gpus
from artray.storage.chunks import BATCH, LARGEST


class Doubler(gpus.StagedWorker):
    """Twice a number; in which process it was prepared, and how many rows were finished at once."""

    batch = 64

    def __init__(self, refused: int = -1):
        self.refused = refused
        self.warmed = 0

    def prepare(self, rows: pa.Table) -> Iterator[list[tuple[int, int, str]]]:
        numbers = rows["number"].to_pylist()
        if self.refused in numbers:
            raise InputError(f"no {self.refused}")
        yield [(2 * number, os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES", "all")) for number in numbers]

    def warm(self) -> None:
        self.warmed += 1

    def finish(self, prepared: Sequence[list[tuple[int, int, str]]]) -> pa.Table:
        rows = [row for batch in prepared for row in batch]
        twice, process, devices = zip(*rows, strict=True)
        return pa.table(
            {
                "twice": twice,
                "prepared": process,
                "devices": devices,
                "finished": [os.getpid()] * len(rows),
                "together": [len(rows)] * len(rows),
                "warmed": [self.warmed] * len(rows),
            }
        )


def numbers(count: int) -> pa.Table:
    return pa.table({"number": list(range(count))})


def test_without_a_gpu_both_halves_are_one_after_the_other():
    found = Doubler()(numbers(50))
    assert found["twice"].to_pylist() == list(range(0, 100, 2))
    assert set(found["prepared"].to_pylist()) == {os.getpid()}
    assert set(found["warmed"].to_pylist()) == {0}


def test_beside_a_gpu_processes_prepare_and_the_order_stays(ray_session):
    pipeline = gpus.Pipeline(Doubler, {}, 2)
    found: dict[int, pa.Table] = {}

    def call(count: int) -> None:
        found[count] = pipeline(numbers(count))

    threads = [threading.Thread(target=call, args=(count,)) for count in (1, 100, 256)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {count: table["twice"].to_pylist() for count, table in found.items()} == {
        count: list(range(0, 2 * count, 2)) for count in (1, 100, 256)
    }
    assert set(found[256]["together"].to_pylist()) == {64}
    prepared = {process for table in found.values() for process in table["prepared"].to_pylist()}
    assert len(prepared) == 2
    assert os.getpid() not in prepared
    assert set(found[256]["finished"].to_pylist()) == {os.getpid()}
    assert set(found[256]["devices"].to_pylist()) == {""}
    assert set(found[256]["warmed"].to_pylist()) == {1}
    with pytest.raises(InputError, match=r"^no 40$"):
        gpus.Pipeline(Doubler, {"refused": 40}, 1)(numbers(50))


def test_of_a_small_chunk_each_process_gets_something_and_the_models_batches_are_full(ray_session):
    pipeline = gpus.Pipeline(Doubler, {}, 3)
    small, larger = pipeline(numbers(6)), pipeline(numbers(38))
    assert small["twice"].to_pylist() == list(range(0, 12, 2))
    assert sorted(Counter(small["prepared"].to_pylist()).values()) == [2, 2, 2]
    assert set(larger["together"].to_pylist()) == {38}
    assert pipeline(numbers(70))["together"].to_pylist() == [64] * 64 + [6] * 6


def test_a_process_without_gpu_has_no_gpu_memory(monkeypatch):
    assert not gpus.has_gpu()
    assert gpus.gpu_memory() == 0
    # One that Ray believes in, and CUDA knows nothing of.
    monkeypatch.setattr(gpus, "has_gpu", lambda: True)
    monkeypatch.setattr(gpus.ctypes, "CDLL", _none)
    assert gpus.gpu_memory() == 0
    assert gpus.gpu_capability() == (0, 0)


class Driver:
    """CUDA's, of a machine with one GPU."""

    def __init__(self, refuses: bool):
        self.cuInit = lambda flags: 100 if refuses else 0
        self.cuDeviceGet = lambda number, which: 0

    def cuDeviceTotalMem_v2(self, size, number) -> int:  # noqa: N802 as CUDA calls it
        size._obj.value = 80 << 30
        return 0

    def cuDeviceGetAttribute(self, value, asked, number) -> int:  # noqa: N802
        value._obj.value = {75: 9, 76: 1}[asked]
        return 0


@pytest.mark.parametrize("refuses", [False, True])
def test_the_driver_says_what_a_gpu_can(monkeypatch, refuses):
    monkeypatch.setattr(gpus, "has_gpu", lambda: True)
    monkeypatch.setattr(gpus.ctypes, "CDLL", lambda _: Driver(refuses))
    assert gpus.gpu_memory() == (0 if refuses else 80 << 30)
    assert gpus.gpu_capability() == ((0, 0) if refuses else (9, 1))


def _none(_: str) -> None:
    raise OSError


@pytest.mark.parametrize(
    ("gibibytes", "batch"), [(0, BATCH), (1, BATCH), (4, 64), (8, 128), (15, 128), (16, 256), (80, LARGEST)]
)
def test_the_batch_follows_from_the_gpus_memory(gibibytes, batch):
    assert batch_of(gibibytes * 2**30) == batch


def test_the_more_cpus_a_gpu_has_the_more_chunks_are_worked_on():
    assert [gpus.lanes(cpus) for cpus in (1, 2, 16, 64)] == [2, 2, 4, 10]
