import asyncio

import pytest

from artray.download import connections
from artray.download.connections import Connections


@pytest.mark.parametrize(("number", "workers"), [(1, 8), (5, 3), (32, 2)])
def test_no_more_are_open_than_are_allowed_however_many_workers_ask(number, workers):
    most = now = done = 0

    async def download(gate, worker):
        nonlocal most, now, done
        await gate.open(worker)
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        done += 1
        await gate.close(worker)

    async def run():
        gate = Connections(number)
        await asyncio.gather(*(download(gate, f"worker {worker}") for worker in range(workers) for _ in range(20)))

    asyncio.run(run())
    assert (most, done) == (min(number, workers * 20), workers * 20)


def test_those_of_a_worker_that_has_died_are_given_to_others(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(connections.time, "monotonic", lambda: clock[0])

    async def run():
        gate = Connections(2)
        await gate.open("dead")
        await gate.open("dead")
        waiting = asyncio.create_task(gate.open("alive"))
        for clock[0] in (10.0, 50.0):
            await gate.beat("alive")
            await asyncio.sleep(0)
            assert not waiting.done()
        clock[0] = 61.0
        await gate.beat("alive")
        await asyncio.wait_for(waiting, 1)
        await gate.close("dead")  # it was not dead after all
        await gate.open("alive")

    asyncio.run(run())
