"""Pictures from museums' web servers: one address in, bytes or a status out, never an exception.

What is promised about a server that is slow, broken or hostile:

- Pace. Every request, a redirect's too, first passes the `Gate`: each host gets so many requests a second, and none at
  all while it asks for a pause (429 or 503, with or without `Retry-After`).
- Time. Connecting, each silence between two reads, and a request as a whole have a limit each.
- Size. A body is read no further than the limit, whatever its `Content-Length`; one that is shorter than announced is
  `truncated`, one that is found to be longer `failed`. (More bytes that come only after the announced ones were read
  can't be seen: such a picture is `truncated` once it is decoded.)
- Place. A connection is opened to a public address only. What is checked is the address of the socket itself, after
  the name was resolved, so that neither a redirect nor a name that changes its address gets around it. Proxies named
  in the environment are not used: behind one, the address could not be checked.
- Consent. Pictures whose server says `noai` or `noimageai` (header `X-Robots-Tag`) are left alone.
- Secrets. An address with a user name or password is refused; errors name hosts, never addresses. No cookies are kept.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import count
from types import TracebackType
from typing import Protocol

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

import artray
from artray.catalogs.catalog import SECRET
from artray.catalogs.unicode import as_utf8
from artray.download.addresses import is_public
from artray.images.reading import Status

USER_AGENT = f"artray/{artray.__version__}"

_ROBOT = "artray"  # the name under which a server may address its X-Robots-Tag to us alone
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_STATUS_OF_ANSWER: dict[int, Status] = {
    **dict.fromkeys((404, 410), "missing"),
    **dict.fromkeys((401, 403, 407, 451), "denied"),
}
_BUSY = frozenset({429, 503})
_PASSING = _BUSY | {408, 500, 502, 504}
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds between attempts, doubled each time


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be fetched.

    Attributes:
        max_bytes: The largest file.
        opt_out: Whether `noai` and `noimageai` are honoured.
        private: Whether private, loopback and link-local addresses may be connected to.
    """

    max_bytes: int = 100_000_000
    opt_out: bool = True
    private: bool = False


@dataclass(frozen=True, slots=True)
class Manners:
    """How servers are treated.

    Attributes:
        rate: Requests a second to one host.
        attempts: How often one picture is asked for.
        patience: Seconds; a host that asks for a longer pause is left alone.
        connect_timeout: Seconds for name, connection and TLS.
        read_timeout: Seconds without a byte.
        request_timeout: Seconds for a whole request.
        user_agent: How we introduce ourselves.
    """

    rate: float = 5.0
    attempts: int = 4
    patience: float = 120.0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    request_timeout: float = 600.0
    user_agent: str = USER_AGENT


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of an address: `data` and, where the server names one, `etag`; or a status and why (one line)."""

    status: Status
    error: str | None = None
    data: bytes = b""
    etag: str | None = None


class Doorkeeper(Protocol):
    """A `Gate`, here or in another process."""

    async def enter(self, host: str) -> float:
        """See `Gate.enter`."""

    async def hold(self, host: str, seconds: float) -> None:
        """See `Gate.hold`."""


class Gate:
    """Lets requests through, each host's in their order, at its pace; one gate serves all workers of a run."""

    def __init__(self, rate: float, patience: float) -> None:
        self._interval = 1 / rate
        self._patience = patience
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # first come, first served
        self._next: defaultdict[str, float] = defaultdict(float)
        self._closed: defaultdict[str, float] = defaultdict(float)

    async def enter(self, host: str) -> float:
        """Wait for a request's turn.

        Returns:
            0 when the request may go; for a host closed for longer than the patience, at once the seconds left.
        """
        async with self._turns[host]:
            while (wait := max(self._next[host], self._closed[host]) - time.monotonic()) > 0:
                closed = self._closed[host] - time.monotonic()
                if closed > self._patience:
                    return closed
                await asyncio.sleep(wait)  # and look again: it may have been closed in the meantime
            self._next[host] = time.monotonic() + self._interval
            return 0.0

    async def hold(self, host: str, seconds: float) -> None:
        """Let no request to a host go for some time; longer pauses asked for before stay."""
        self._closed[host] = max(self._closed[host], time.monotonic() + seconds)


class _Refused(Exception):  # noqa: N818
    """There is no picture, and asking again would not help."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status: Status = status


class _Again(_Refused):
    """The same, but it may be there next time; `busy` is the host that asks for a pause, of so many seconds if any."""

    def __init__(self, status: Status, reason: str, busy: tuple[str, float | None] | None = None) -> None:
        super().__init__(status, reason)
        self.busy = busy


class _PrivateAddressError(OSError):
    pass


class Fetcher:
    """Fetches pictures by their addresses; an asynchronous context that holds the open connections.

    Example::

        async with Fetcher(Gate(rate=5, patience=120), Rules(), Manners()) as fetcher:
            fetched = await fetcher.fetch("https://museum.example/images/1.jpg")
    """

    def __init__(self, gate: Doorkeeper, rules: Rules, manners: Manners) -> None:
        self._gate = gate
        self._rules = rules
        self._manners = manners

    async def __aenter__(self) -> Fetcher:
        manners = self._manners
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=None if self._rules.private else _public_socket),
            timeout=aiohttp.ClientTimeout(
                connect=manners.connect_timeout, sock_read=manners.read_timeout, total=manners.request_timeout
            ),
            headers={"User-Agent": manners.user_agent, "Accept": "image/*,*/*;q=0.1", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def fetch(self, address: str) -> Fetched:
        """The bytes behind an address, or why there are none.

        The status is `ok`, `missing` (404, 410), `denied` (401, 403, 407, 451; opted out; a private address; a secret
        in the address), `too_large`, `truncated` or `failed`. What the bytes are is not looked at.
        """
        try:
            url = _checked(address, URL())
            for attempt in count(1):
                try:
                    return await self._follow(url)
                except _Again as reason:
                    wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (attempt - 1)) * random.uniform(0.5, 1)
                    if reason.busy:
                        host, asked = reason.busy
                        await self._gate.hold(host, wait if asked is None else asked)
                    if attempt == self._manners.attempts:
                        raise _Refused(reason.status, f"{reason} (attempts: {attempt})") from None
                    if not reason.busy:
                        await asyncio.sleep(wait)
            raise AssertionError("count() has no end")
        except _Refused as reason:
            return Fetched(reason.status, str(reason))

    async def _follow(self, url: URL) -> Fetched:
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._get(url)
            if isinstance(answer, Fetched):
                return answer
            url = answer
        raise _Refused("failed", f"redirected more than {_MOST_REDIRECTS} times")

    async def _get(self, url: URL) -> Fetched | URL:
        """One request: what it brought, or where it was redirected to."""
        host = url.host or ""
        if closed := await self._gate.enter(host):
            raise _Refused("failed", f"{host} asks for a pause of {closed:.0f} s")
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                location = response.headers.get("Location")
                redirected = response.status in _REDIRECTS and location is not None
                if not redirected and response.status != 200:
                    raise _refusal(response, host)
                if self._rules.opt_out and opts_out(response.headers.getall("X-Robots-Tag", [])):
                    raise _Refused("denied", f"{host} asks that AI leaves it alone (X-Robots-Tag: noai)")
                if redirected:
                    return _checked(location or "", url)
                return Fetched("ok", data=await self._body(response, host), etag=as_utf8(response.headers.get("ETag")))
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, UnicodeError) as error:
            raise self._explained(error, host) from None

    async def _body(self, response: aiohttp.ClientResponse, host: str) -> bytes:
        limit = self._rules.max_bytes
        too_large = _Refused("too_large", f"over the limit of {limit:,} bytes")
        if (response.content_length or 0) > limit:
            raise too_large
        connection = response.connection  # None where the whole body is there already
        protocol = connection.protocol if connection is not None else None
        data = bytearray()
        async for chunk in response.content.iter_any():
            data += chunk
            if len(data) > limit:
                raise too_large
        # What follows a body that is longer than it says is taken for the next answer, which it then is not.
        if protocol is not None and isinstance(protocol.exception(), HttpProcessingError):
            raise _Again("failed", f"{host} sent more than it announced")
        return bytes(data)

    def _explained(self, error: Exception, host: str) -> _Refused:
        manners = self._manners
        if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, _PrivateAddressError):
            return _Refused("denied", f"{host} has a private address")
        if isinstance(error, aiohttp.ClientConnectorDNSError) and _is_final(error.os_error):
            return _Refused("failed", f"there is no host {host}")
        if isinstance(error, aiohttp.ClientSSLError):
            return _Refused("failed", f"{host} can't prove that it is {host} (TLS)")
        if isinstance(error, (aiohttp.InvalidURL, UnicodeError)):
            return _Refused("failed", "not an address")
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return _Again("failed", f"no connection to {host} within {manners.connect_timeout:g} s")
        if isinstance(error, aiohttp.SocketTimeoutError):
            return _Again("failed", f"{host} sent nothing for {manners.read_timeout:g} s")
        if isinstance(error, asyncio.TimeoutError):
            return _Again("failed", f"{host} did not finish within {manners.request_timeout:g} s")
        if isinstance(error, aiohttp.ClientPayloadError):
            return _Again("truncated", f"{host} sent less than it announced")
        if isinstance(error, aiohttp.ClientResponseError):
            return _Again("failed", f"{host} does not answer in sound HTTP")
        return _Again("failed", f"no connection to {host}, or it broke ({type(error).__name__})")


def opts_out(headers: Sequence[str]) -> bool:
    """Whether `X-Robots-Tag` headers say `noai` or `noimageai`, to everybody or to artray.

    Example:
        >>> opts_out(["noindex, noai"]), opts_out(["otherbot: noai"])
        (True, False)
    """
    for header in headers:
        robot = "*"
        for item in header.lower().split(","):
            name, colon, rest = item.rpartition(":")
            # `unavailable_after: DATE` and `max-snippet: 9` look like a robot's name, and then apply to nobody else.
            if colon and re.fullmatch(r"[\w*./-]+", name.strip()) and not re.match(r"\s*(unavailable|max-)", name):
                robot = name.strip()
            if rest.strip() in ("noai", "noimageai") and robot in ("*", _ROBOT):
                return True
    return False


def _checked(address: str, base: URL) -> URL:
    """An address, which may be relative to `base`, if it is one that we would ask for."""
    try:
        url = URL(address)
        url = base.join(url) if base else url
        authority, host = url.raw_authority, url.host
    except ValueError:
        raise _Refused("failed", "not an address") from None
    if url.scheme not in ("http", "https"):
        raise _Refused("failed", "not http or https")
    if not host:
        raise _Refused("failed", "the address names no host")
    if "@" in authority:
        raise _Refused("denied", "a user name or password in the address")
    if f"={SECRET}" in address:
        raise _Refused("denied", "a signature in the address")
    return url.with_fragment(None)


def _refusal(response: aiohttp.ClientResponse, host: str) -> _Refused:
    code = response.status
    reason = f"{host} answers {code}"
    if code in _BUSY:
        return _Again("failed", reason, busy=(host, _retry_after(response.headers.get("Retry-After"))))
    if code in _PASSING:
        return _Again("failed", reason)
    return _Refused(_STATUS_OF_ANSWER.get(code, "failed"), reason)


def _retry_after(text: str | None) -> float | None:
    """Seconds of a `Retry-After` header: a number, or a date."""
    if text is None:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _public_socket(info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """A socket for an address that a name was resolved to, unless it is not a public one."""
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise _PrivateAddressError
    return socket.socket(family, kind, protocol)


def _is_final(error: OSError) -> bool:
    """Whether a name that can't be resolved does not exist, instead of nobody knowing right now."""
    return error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
