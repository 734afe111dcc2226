"""A museum's web server that does what it is told: each path is a way to answer, well or badly."""

import asyncio
import io
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from types import TracebackType

import numpy as np
from PIL import Image

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def picture(seed: int, form: str = "JPEG", side: int = 24) -> bytes:
    """A small picture, another one for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, form)
    return sink.getvalue()


def reply(body: bytes = b"", status: int = 200, length: int | None = None, **headers: str) -> Answer:
    """An ordinary answer; `length` is what it says of its length. `Retry_After` is the header `Retry-After`."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return send


def raw(*parts: bytes, pause: float = 0.0, stall: float = 0.0) -> Answer:
    """Bytes as they are, with pauses between them and one at the end."""

    async def send(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        await asyncio.sleep(stall)

    return send


async def reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection in the middle of the body."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n\xff\xd8\xff")
    await writer.drain()
    writer.transport.abort()


class MuseumServer(AbstractContextManager["MuseumServer"]):
    """Listens on two loopback addresses, of which tests may call one public.

    Attributes:
        answers: By path, the answers to its first request, its second, …; the last one stays.
        asked: Path and time of each request, in their order.
    """

    public, private = "127.0.0.2", "127.0.0.1"

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, float]] = []
        self.headers: list[str] = []
        self._count: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "MuseumServer":
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> int:
        first = await asyncio.start_server(self._serve, self.public, 0)
        port = int(first.sockets[0].getsockname()[1])
        self._servers = [first, await asyncio.start_server(self._serve, self.private, port)]
        return port

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def url(self, path: str, host: str | None = None) -> str:
        return f"http://{host or self.public}:{self.port}{path}"

    def add(self, path: str, *answers: Answer, host: str | None = None) -> str:
        """Answer a path; gives its address."""
        self.answers[path] = list(answers)
        return self.url(path, host)

    def times(self, path: str = "") -> list[float]:
        """When a path was asked for; without one, when anything was."""
        return [when for asked, when in self.asked if path in ("", asked)]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split(" ", 2)[1]
                self.headers.append(head)
                self.asked.append((path, time.monotonic()))
                answers = self.answers.get(path, [reply(status=404)])
                answer = answers[min(self._count[path], len(answers) - 1)]
                self._count[path] += 1
                await answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
