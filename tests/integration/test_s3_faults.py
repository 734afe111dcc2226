"""Pictures behind an S3 server, or a network, with faults: a real server behind a proxy that makes them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from artray.errors import InputError
from artray.storage import Location, ReadError, read_many, s3
from artray.storage.location import _S3_CONFIG
from tests.integration import proxy as proxies
from tests.integration.proxy import Fault, Proxy
from tests.servers import S3Server

TRIES = 3
FOLDER = "s3://museum/faults"

TRANSIENT: dict[Fault, str] = {
    "503 SlowDown": "the S3 server answers 503 SlowDown",
    "503 ServiceUnavailable": "the S3 server answers 503 ServiceUnavailable",
    "500 InternalError": "the S3 server answers 500 InternalError",
    "429 TooManyRequests": "the S3 server answers 429 TooManyRequests",
    "400 RequestTimeout": "the S3 server answers 400 RequestTimeout",
    "reset": "the connection to the S3 server fails",
    "reset body": "the connection to the S3 server breaks off within the file",
    "cut": "the connection to the S3 server breaks off within the file",
    "corrupt": "the bytes don't match the S3 server's checksum",
    "stall": "the S3 server does not answer in time",
    "stall body": "the S3 server does not answer in time",
}


def uri_of(name: str) -> str:
    return f"{FOLDER}/{name}"


def key_of(name: str) -> str:
    return uri_of(name).removeprefix("s3://")


@pytest.fixture(scope="module")
def pictures(s3_bucket: str) -> dict[str, bytes]:
    """Objects by name, each with bytes of its own."""
    numbers = random.Random(0)
    names = [*TRANSIENT, "403 AccessDenied", "good", *(f"{number:03}.jpg" for number in range(150))]
    found = {name: numbers.randbytes(20_000 + number) for number, name in enumerate(names)}
    for name, data in found.items():
        Location.parse(uri_of(name)).write_bytes(data)
    return found


@pytest.fixture(scope="module")
def running_proxy(s3_server: S3Server, pictures: dict[str, bytes]) -> Iterator[Proxy]:
    with proxies.running(s3_server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def proxy(running_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """All requests go through it: tried `TRIES` times, with short waits."""
    running_proxy.behave()
    monkeypatch.setenv("AWS_ENDPOINT_URL", running_proxy.endpoint)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", str(TRIES))
    monkeypatch.setattr(s3, "_FIRST_WAIT", 0.02)
    return running_proxy


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three seconds of silence are too long: more than a busy machine keeps it, for a few requests."""
    monkeypatch.setitem(_S3_CONFIG, "read_timeout", 3.0)


def gets(proxy: Proxy, name: str) -> int:
    return proxy.requests["GET", key_of(name)]


def test_a_good_picture_is_asked_for_once_and_its_size_never(proxy, pictures):
    assert read_many([uri_of("good"), uri_of("good")]) == [pictures["good"]] * 2
    assert proxy.requests == {("GET", key_of("good")): 1}


@pytest.mark.parametrize("failures", [1, TRIES - 1])
def test_faults_that_pass(proxy, impatient, pictures, failures):
    for fault in TRANSIENT:
        proxy.plan(key_of(fault), *[fault] * failures)
    assert read_many([uri_of(fault) for fault in TRANSIENT]) == [pictures[fault] for fault in TRANSIENT]
    assert {fault: gets(proxy, fault) for fault in TRANSIENT} == dict.fromkeys(TRANSIENT, failures + 1)


def test_faults_of_many_kinds_share_the_tries(proxy, impatient, pictures):
    """A broken body counts like a refused request: the tries of one are not multiplied by those of the other."""
    enough: list[Fault] = ["503 SlowDown", "cut"]
    proxy.plan(key_of("000.jpg"), *enough)
    proxy.plan(key_of("001.jpg"), *enough, "stall body")
    found = read_many([uri_of("000.jpg"), uri_of("001.jpg")])
    assert found == [
        pictures["000.jpg"],
        ReadError("failed", f"the S3 server does not answer in time; given up after {TRIES} tries"),
    ]
    assert [gets(proxy, name) for name in ("000.jpg", "001.jpg")] == [TRIES, TRIES]


def test_faults_that_stay(proxy, impatient, pictures):
    for fault in TRANSIENT:
        proxy.always(key_of(fault), fault)
    others = [f"{number:03}.jpg" for number in range(20)]
    names = [name for pair in zip(TRANSIENT, others, strict=False) for name in pair]
    found = dict(zip(names, read_many([uri_of(name) for name in names]), strict=True))
    for fault, reason in TRANSIENT.items():
        assert found[fault] == ReadError("failed", f"{reason}; given up after {TRIES} tries")
        # A connection closed before it answers is made anew within a try (RFC 9112, 9.3.1).
        assert gets(proxy, fault) == (2 * TRIES if fault == "reset" else TRIES)
    for name in others[: len(TRANSIENT)]:
        assert found[name] == pictures[name]
        assert gets(proxy, name) == 1


def test_what_trying_again_can_not_help(proxy, pictures):
    proxy.always(key_of("403 AccessDenied"), "403 AccessDenied")
    names = ["403 AccessDenied", "gone.jpg", "good"]
    assert read_many([uri_of(name) for name in names]) == [
        ReadError("denied", "permission denied"),
        ReadError("missing", "not found"),
        pictures["good"],
    ]
    assert [gets(proxy, name) for name in names] == [1, 1, 1]


def test_a_throttled_bucket_loses_no_picture(proxy, pictures, monkeypatch):
    """150 pictures at once, a third of the answers are SlowDown: botocore's own quota of retries would run out."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "12")
    proxy.rate(1 / 3, "503 SlowDown")
    names = [f"{number:03}.jpg" for number in range(150)]
    assert read_many([uri_of(name) for name in names]) == [pictures[name] for name in names]
    assert sum(gets(proxy, name) for name in names) > 1.2 * len(names)


def test_tries_are_awss_settings(proxy, tmp_path: Path, monkeypatch):
    proxy.always(key_of("000.jpg"), "500 InternalError")

    def tries() -> int:
        before = gets(proxy, "000.jpg")
        (found,) = read_many([uri_of("000.jpg")])
        made = gets(proxy, "000.jpg") - before
        assert isinstance(found, ReadError)
        assert found.message.endswith(f"given up after {made} {'try' if made == 1 else 'tries'}")
        return made

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert tries() == 1
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    for mode in ("legacy", "standard", "adaptive"):
        monkeypatch.setenv("AWS_RETRY_MODE", mode)
        assert tries() == 3
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    (tmp_path / "config").write_text("[default]\nmax_attempts = 2\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert tries() == 2
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert Location.parse(FOLDER).filesystem()[0].tries == 8


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_MAX_ATTEMPTS", "0"), ("AWS_MAX_ATTEMPTS", "many"), ("AWS_RETRY_MODE", "hard")]
)
def test_settings_that_make_no_sense(s3_environment, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"{name}.*{value}"):
        read_many([uri_of("good")])


def test_other_requests_are_tried_again_too(proxy, impatient, pictures):
    """Listing, writing, reading a part of a file (Parquet) and a whole one."""
    proxy.plan("museum", "503 SlowDown", "reset")
    assert {info.uri for info in Location.parse(FOLDER).list_files()} >= {uri_of(name) for name in pictures}
    proxy.plan(key_of("new"), "500 InternalError", "stall")
    Location.parse(uri_of("new")).write_bytes(b"0123456789")
    proxy.plan(key_of("new"), "cut", "429 TooManyRequests")
    assert Location.parse(uri_of("new")).read_bytes() == b"0123456789"
    fs, path = Location.parse(uri_of("new")).filesystem()
    proxy.plan(key_of("new"), "cut", "stall body")
    assert fs.cat_file(path, start=2, end=5) == b"234"
    proxy.always(key_of("new"), "503 SlowDown")
    with pytest.raises(InputError, match=f"{uri_of('new')}: the S3 server answers 503.*given up after {TRIES} tries"):
        Location.parse(uri_of("new")).read_bytes()
    proxy.behave()
    Location.parse(uri_of("new")).remove()


def test_names_are_no_patterns(proxy, pictures):
    names = ["a[1].jpg", "a*.jpg", "a?.jpg", "a1.jpg", "ü b%20+.jpg"]
    for name in names:
        Location.parse(uri_of(name)).write_bytes(name.encode())
        Location.parse(uri_of(f"below/{name}/part")).write_bytes(b"")
    assert read_many([uri_of(name) for name in names]) == [name.encode() for name in names]
    for number, name in enumerate(names):
        Location.parse(uri_of(name)).remove()
        Location.parse(uri_of(f"below/{name}")).remove()
        left = {info.uri for info in Location.parse(FOLDER).list_files()} - {uri_of(picture) for picture in pictures}
        assert left == {uri_of(form) for other in names[number + 1 :] for form in (other, f"below/{other}/part")}


def test_waits_grow_and_differ(proxy, monkeypatch):
    """Full jitter: each wait is random, below a bound that doubles up to 20 s."""
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return 0.0

    monkeypatch.setattr(s3, "_FIRST_WAIT", 0.5)
    monkeypatch.setattr(s3.random, "uniform", uniform)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "9")
    proxy.always(key_of("000.jpg"), "503 SlowDown")
    read_many([uri_of("000.jpg")])
    assert bounds == [(0, bound) for bound in (0.5, 1, 2, 4, 8, 16, 20, 20)]
