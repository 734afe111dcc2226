"""The fetching core against a real server on loopback addresses, of which some tests call one public."""

import asyncio
import ipaddress
import re
import socket
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.download import fetching
from artray.download.fetching import Fetched, Fetcher, Gate, Manners, Rules, is_public, opts_out
from tests.download.museum_server import MuseumServer, picture, raw, reply, reset

PICTURE = picture(0)
OPEN = Rules(private=True)


@pytest.fixture(scope="module")
def museum_server() -> Iterator[MuseumServer]:
    with MuseumServer() as server:
        yield server


@pytest.fixture
def museum(museum_server: MuseumServer, monkeypatch: pytest.MonkeyPatch) -> MuseumServer:
    monkeypatch.setattr(fetching, "_FIRST_WAIT", 0.02)
    museum_server.asked.clear()
    museum_server.headers.clear()
    return museum_server


@pytest.fixture
def one_public_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """One loopback address counts as the internet's."""
    monkeypatch.setattr(fetching, "is_public", lambda address: address == MuseumServer.public or is_public(address))


def fetch_all(urls: Sequence[str], rules: Rules = OPEN, **manners: Any) -> list[Fetched]:
    async def run() -> list[Fetched]:
        settings = Manners(**{"rate": 1000, "patience": 2, "attempts": 3, **manners})
        async with Fetcher(Gate(settings.rate, settings.patience), rules, settings) as fetcher:
            return list(await asyncio.gather(*map(fetcher.fetch, urls)))

    return asyncio.run(run())


def fetch(url: str, rules: Rules = OPEN, **manners: Any) -> Fetched:
    return fetch_all([url], rules, **manners)[0]


def test_bytes_and_etag_arrive(museum: MuseumServer) -> None:
    url = museum.add("/ok", reply(PICTURE, ETag='"v1"', Content_Type="text/html"))
    assert fetch(url, user_agent="artray/0 (curator@museum.example)") == Fetched("ok", data=PICTURE, etag='"v1"')
    (head,) = museum.headers
    assert "User-Agent: artray/0 (curator@museum.example)\r\n" in head


def test_an_etag_that_is_not_utf8_can_stand_in_a_table(museum: MuseumServer) -> None:
    head = b'HTTP/1.1 200 OK\r\nETag: "caf\xe9"\r\nContent-Length: %d\r\n\r\n' % len(PICTURE)
    assert fetch(museum.add("/etag", raw(head, PICTURE))) == Fetched("ok", data=PICTURE, etag='"caf?"')


def test_chunked_and_unannounced_lengths_are_fine(museum: MuseumServer) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (PICTURE[:100], PICTURE[100:])) + b"0\r\n\r\n"
    chunked = museum.add("/chunked", raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunks))

    async def until_closed(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PICTURE)
        raise ConnectionError  # the server closes

    assert [item.data for item in fetch_all([chunked, museum.add("/closed", until_closed)])] == [PICTURE, PICTURE]


@pytest.mark.parametrize(
    ("code", "status", "requests"),
    [(404, "missing", 1), (410, "missing", 1), (403, "denied", 1), (451, "denied", 1), (400, "failed", 1),
     (204, "failed", 1), (304, "failed", 1), (500, "failed", 3), (504, "failed", 3), (429, "failed", 3)],
)  # fmt: skip
def test_answers_become_statuses(museum: MuseumServer, code: int, status: str, requests: int) -> None:
    fetched = fetch(museum.add(f"/{code}", reply(status=code)))
    assert fetched.status == status
    assert f"{museum.public} answers {code}" in str(fetched.error)
    assert len(museum.times()) == requests


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_holds_the_whole_host(museum: MuseumServer, code: int) -> None:
    busy = museum.add(f"/busy{code}", reply(status=code, Retry_After="2"), reply(PICTURE))
    others = [museum.add(f"/other{number}", reply(PICTURE)) for number in range(2)]
    fetched = fetch_all([busy, *others], rate=1, patience=9)
    assert {item.status for item in fetched} == {"ok"}
    first, *later = museum.times()
    # One request may be on its way when the pause is asked for; of the others none comes before its end.
    assert sum(when - first < 2 for when in later) <= 1
    assert museum.times(f"/busy{code}")[1] - first >= 2


def test_retry_after_may_be_a_date(museum: MuseumServer) -> None:
    soon = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(seconds=2)
    url = museum.add("/date", reply(status=503, Retry_After=format_datetime(soon, usegmt=True)), reply(PICTURE))
    assert fetch(url, patience=5).status == "ok"
    assert datetime.now(timezone.utc) >= soon


def test_a_host_that_asks_for_a_long_pause_is_left_alone(museum: MuseumServer) -> None:
    url = museum.add("/long", reply(status=429, Retry_After="3600"), reply(PICTURE))
    fetched = fetch_all([url] * 5, rate=1)
    assert {item.status for item in fetched} == {"failed"}
    # What is left of the hour by then.
    assert re.search(r"asks for a pause of (3600|35\d\d) s", str(fetched[0].error))
    assert len(museum.times()) <= 2


@pytest.mark.parametrize("header", ["soon", "", "99999999999999999999", "Mon, 99 Foo 2026 00:00:00 GMT", "-5"])
def test_a_senseless_retry_after_is_no_obstacle(museum: MuseumServer, header: str) -> None:
    url = museum.add(f"/odd{len(header)}", reply(status=503, Retry_After=header), reply(PICTURE))
    assert fetch(url).status == "ok"


def test_the_rate_holds_for_each_host_alone(museum: MuseumServer) -> None:
    urls = [museum.add(f"/rate{number}", reply(PICTURE)) for number in range(6)]
    started = time.monotonic()
    fetch_all(urls, rate=10)
    assert all(when - started >= number / 10 for number, when in enumerate(sorted(museum.times())))
    two_hosts = [museum.url(f"/rate{n}", host) for n in range(3) for host in (museum.public, museum.private)]
    museum.asked.clear()
    started = time.monotonic()
    fetch_all(two_hosts, rate=2)
    asked = sorted(museum.times())
    assert asked[-1] - started >= 1  # two intervals each
    assert min(later - sooner for sooner, later in pairwise(asked)) < 0.4  # if they shared one gate, 0.5


def test_broken_connections_are_tried_again(museum: MuseumServer) -> None:
    assert fetch(museum.add("/reset", reset, reset, reply(PICTURE))).data == PICTURE
    assert fetch(museum.add("/resets", reset)).status in ("failed", "truncated")
    assert len(museum.times("/resets")) == 3
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        fetched = fetch(f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert (fetched.status, "attempts: 3" in str(fetched.error)) == ("failed", True)


@pytest.mark.parametrize(
    ("answer", "limits", "reason"),
    [
        (raw(stall=9), {"read_timeout": 0.3}, "sent nothing for 0.3 s"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx", stall=9), {"read_timeout": 0.3}, "sent nothing"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", *[b"x"] * 90, pause=0.05),
         {"request_timeout": 0.4}, "did not finish within 0.4 s"),
    ],
)  # fmt: skip
def test_no_server_keeps_us_waiting(museum: MuseumServer, answer: Any, limits: dict[str, float], reason: str) -> None:
    fetched = fetch(museum.add("/slow", answer), attempts=2, **limits)
    assert fetched.status == "failed"
    assert reason in str(fetched.error)


def test_a_length_that_lies_is_found(museum: MuseumServer) -> None:
    short = fetch(museum.add("/short", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nshort")), read_timeout=0.3)
    # The server keeps the connection open, so that only the silence tells; then it closes it.
    assert short.status == "failed"

    async def cut(writer: asyncio.StreamWriter) -> None:
        await reply(PICTURE, length=len(PICTURE) + 1)(writer)
        raise ConnectionError

    assert fetch(museum.add("/cut", cut)).status == "truncated"
    assert len(museum.times("/cut")) == 3
    assert fetch(museum.add("/cut-once", cut, reply(PICTURE))).data == PICTURE
    for size, announced in [(3000, 1000), (3_000_000, 2_000_000)]:
        longer = fetch(museum.add(f"/longer{size}", reply(b"x" * size, length=announced)))
        assert longer.status == "failed", longer.error


def test_no_more_than_the_limit_is_read(museum: MuseumServer) -> None:
    rules = Rules(max_bytes=1000, private=True)
    assert fetch(museum.add("/1000", reply(b"x" * 1000)), rules).status == "ok"
    assert fetch(museum.add("/1001", reply(b"x" * 1001)), rules).status == "too_large"
    endless = raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"100\r\n" + b"x" * 256 + b"\r\n"] * 10_000
    )
    assert fetch(museum.add("/endless", endless), rules).status == "too_large"
    assert len(museum.times("/endless")) == 1


def test_redirects_are_followed_but_not_for_ever(museum: MuseumServer) -> None:
    museum.add("/final", reply(PICTURE))
    relative = museum.add("/relative", reply(status=302, Location="final"))
    absolute = museum.add("/absolute", reply(status=308, Location=museum.url("/final", museum.private)))
    assert [item.data for item in fetch_all([relative, absolute])] == [PICTURE, PICTURE]
    loop = museum.add("/loop", reply(status=301, Location="/loop"))
    assert fetch(loop).error == "redirected more than 5 times"
    assert len(museum.times("/loop")) == 6
    assert fetch(museum.add("/nowhere", reply(status=302))).status == "failed"


@pytest.mark.parametrize(
    ("location", "status"),
    [("ftp://museum.example/x", "failed"), ("file:///etc/passwd", "failed"), ("http://[", "failed"),
     ("http://user:hunter2@127.0.0.1/", "denied")],
)  # fmt: skip
def test_redirects_to_odd_places_are_refused(museum: MuseumServer, location: str, status: str) -> None:
    fetched = fetch(museum.add(f"/to{len(location)}", reply(status=302, Location=location)))
    assert fetched.status == status
    assert "hunter2" not in str(fetched.error)
    assert len(museum.times()) == 1


@pytest.mark.usefixtures("one_public_address")
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_private_addresses_are_refused_by_whatever_name(museum: MuseumServer, name: str) -> None:
    museum.add("/secret", reply(PICTURE))
    first = fetch(museum.url("/secret", name), Rules())
    assert (first.status, "private address" in str(first.error)) == ("denied", True)
    redirected = fetch(museum.add(f"/hop{len(name)}", reply(status=302, Location=museum.url("/secret", name))), Rules())
    assert (redirected.status, "private address" in str(redirected.error)) == ("denied", True)
    assert museum.times("/secret") == []
    assert fetch(museum.url("/secret"), Rules()).data == PICTURE


@pytest.mark.usefixtures("one_public_address")
def test_a_name_that_changes_its_address_gets_nowhere(museum: MuseumServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: whatever the name says when, the address that would be connected to is what is checked."""
    answers = [museum.public, museum.private]
    resolved = []

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        address = answers[min(len(resolved), 1)] if host == "museum.example" else host
        resolved.append(address)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    museum.add("/here", reply(PICTURE))
    url = museum.url("/here", "museum.example")
    assert fetch(url, Rules()).status == "ok"
    assert fetch(url, Rules()).status == "denied"
    assert resolved == answers
    assert len(museum.times()) == 1


@pytest.mark.parametrize(
    ("header", "status"),
    [("noai", "denied"), ("noindex, NoImageAI", "denied"), ("artray: noai", "denied"), ("otherbot: noai", "ok"),
     ("noindex", "ok")],
)  # fmt: skip
def test_opt_outs_are_honoured_by_default(museum: MuseumServer, header: str, status: str) -> None:
    url = museum.add("/opted", reply(PICTURE, X_Robots_Tag=header))
    assert fetch(url).status == status
    assert fetch(url, Rules(opt_out=False, private=True)).status == "ok"
    moved = museum.add("/moved", reply(status=302, Location="/ok2", X_Robots_Tag=header))
    museum.add("/ok2", reply(PICTURE))
    assert fetch(moved).status == status


@pytest.mark.parametrize(
    ("headers", "out"),
    [
        ([], False),
        (["noindex", "noai"], True),
        (["otherbot: noindex, noai"], False),  # a robot's name is for the rest of its line
        (["otherbot: noindex, artray: noai"], True),
        (["*: noai"], True),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST, noai"], True),
        (["max-snippet: 9, noimageai"], True),
        (["noaim, xnoai, no ai"], False),
        (["googlebot: noai", " NOIMAGEAI "], True),
        ([":,::, ,noai:"], False),
    ],
)
def test_x_robots_tag(headers: list[str], out: bool) -> None:
    assert opts_out(headers) is out


@given(st.lists(st.text()))
def test_any_x_robots_tag_has_an_answer(headers: list[str]) -> None:
    assert opts_out([*headers, "noai"])
    assert opts_out(headers) in (True, False)


@pytest.mark.parametrize(
    ("address", "status"),
    [("", "failed"), ("museum.example/1.jpg", "failed"), ("ftp://museum.example/1.jpg", "failed"),
     ("file:///etc/passwd", "failed"), ("http://", "failed"), ("http://[::1", "failed"), ("http://a:b:c/", "failed"),
     ("http://x:99999999/", "failed"), (f"http://{'a' * 70}.example/", "failed"), ("http://..", "failed"),
     ("http://2130706433/", "failed"), ("http://127.1/", "failed"), ("http://127.0.0.1\\@museum.example/", "failed"),
     ("https://user:hunter2@museum.example/1.jpg", "denied"), ("https://hunter2@museum.example/", "denied"),
     ("https://user:***@museum.example/1.jpg", "denied"), ("https://museum.example/1.jpg?sig=***", "denied")],
)  # fmt: skip
def test_bad_addresses_are_rows_without_secrets(address: str, status: str, caplog: pytest.LogCaptureFixture) -> None:
    fetched = fetch(address)
    assert fetched.status == status
    assert fetched.error
    assert "hunter2" not in f"{fetched.error}{caplog.text}"


def test_a_name_that_is_nobodys_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def getaddrinfo(*args: Any, **kwargs: Any) -> list[Any]:
        asked.append(args)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert fetch("http://nobody.example/").error == "there is no host nobody.example"
    assert len(asked) == 1


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1",
     "fd12::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1",
     "64:ff9b::a9fe:a9fe", "2001:0:4136:e378:8000:63bf:f5ff:fffe", "2001:db8::1"],
)  # fmt: skip
def test_private_addresses(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "193.0.6.139", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_what_it_embeds(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for inner in (f"::ffff:{address}", str(ipaddress.IPv6Address((0x2002 << 112) | number << 80))):
        assert is_public(inner) == is_public(str(address))
    assert is_public(str(ipaddress.IPv6Address((0x64FF9B << 96) | number))) == is_public(str(address))
