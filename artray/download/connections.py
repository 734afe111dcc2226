"""So many downloads at once on the whole cluster, however many workers there are."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict

_SILENCE = 60.0  # seconds


class Connections:
    """Lets downloads begin while fewer than `number` are open; one is asked by all workers of a run.

    A worker says every few seconds that it is there (`beat`). What one has open that is silent for a minute is open no
    more: its process has died.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._open: defaultdict[str, int] = defaultdict(int)
        self._heard: dict[str, float] = {}
        self._changed = asyncio.Condition()  # first come, first served

    async def open(self, worker: str) -> None:
        """Wait until one more may be open, and count it for a worker."""
        self._heard[worker] = time.monotonic()
        async with self._changed:
            while sum(self._open.values()) >= self._number:
                await self._changed.wait()
            self._open[worker] += 1

    async def close(self, worker: str) -> None:
        """One of a worker's is done."""
        async with self._changed:
            self._open[worker] = max(0, self._open[worker] - 1)
            self._changed.notify()

    async def beat(self, worker: str) -> None:
        """A worker is there; those that have not been for long are forgotten."""
        now = time.monotonic()
        self._heard[worker] = now
        silent = [name for name in self._open if now - self._heard.get(name, now) > _SILENCE]
        if silent:
            async with self._changed:
                for name in silent:
                    self._open.pop(name, None)
                self._changed.notify_all()
