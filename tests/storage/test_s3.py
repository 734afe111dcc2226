import asyncio
import base64

import pytest
import s3fs
from botocore.exceptions import FlexibleChecksumError
from botocore.utils import parse_timestamp

from artray.errors import InputError
from artray.storage import Location, location, s3


@pytest.mark.parametrize(
    "value",
    ["2026-03-01T10:20:30.000Z", "2026-03-01T10:20:30Z", "Sun, 01 Mar 2026 10:20:30 GMT", "1772360430", 1772360430],
)
def test_dates_are_read_as_by_botocore(value: str | int) -> None:
    assert s3._timestamp(value) == parse_timestamp(value)


def crc64nvme(data: bytes) -> int:
    """Bit by bit, as in the catalogue of CRCs (CRC-64/NVME)."""
    state = 2**64 - 1
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x9A6C9329AC4BC9B5 if state & 1 else 0)
    return state ^ (2**64 - 1)


def test_s3s_default_checksum_is_verified_where_the_runtime_is_there(monkeypatch):
    assert crc64nvme(b"123456789") == 0xAE8B14860A799888
    monkeypatch.setitem(s3._CHECKSUMS, "crc64nvme", lambda data: crc64nvme(data).to_bytes(8, "big"))
    right = {"x-amz-checksum-crc64nvme": base64.b64encode(crc64nvme(b"picture").to_bytes(8, "big")).decode()}
    s3._check(b"picture", right)
    with pytest.raises(FlexibleChecksumError, match="crc64nvme"):
        s3._check(b"pictore", right)
    monkeypatch.setitem(s3._CHECKSUMS, "crc64nvme", None)
    s3._check(b"pictore", right)


def test_the_runtimes_checksums_are_the_catalogues():
    pytest.importorskip("awscrt")
    check = s3._CHECKSUMS["crc64nvme"]
    assert check is not None
    assert int.from_bytes(check(b"123456789"), "big") == 0xAE8B14860A799888


@pytest.fixture
def asked(monkeypatch):
    """The ways on which pictures are asked for."""
    ways = []

    async def short(self, **parameters):
        ways.append("short")
        return b"picture"

    async def whole(self, method, *options, **parameters):
        ways.append("botocore")
        return {"Body": s3._Body(b"picture")}

    monkeypatch.setattr(s3.S3FileSystem, "_get", short)
    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", whole)
    monkeypatch.setattr(location, "_reach", lambda endpoint: None)
    return ways


@pytest.mark.parametrize(("mode", "way"), [("standard", "short"), ("legacy", "short"), ("adaptive", "botocore")])
def test_the_rate_limiter_sees_each_picture(monkeypatch, asked, mode, way):
    """The short way goes past it."""
    monkeypatch.setenv("AWS_RETRY_MODE", mode)
    fs, _ = Location("s3://museum").filesystem()
    asyncio.run(fs._call_s3("get_object", Bucket="museum", Key="a.jpg"))
    assert asked == [way]


def test_open_buckets_are_asked_without_keys_and_others_with_them(monkeypatch, asked):
    monkeypatch.setenv("ARTRAY_S3_ANONYMOUS", "open-access, s3://other/")
    found = {bucket: Location(f"s3://{bucket}/a").filesystem()[0] for bucket in ("open-access", "other", "museum")}
    assert {bucket: fs.anon for bucket, fs in found.items()} == {"open-access": True, "other": True, "museum": False}
    asyncio.run(found["open-access"]._call_s3("get_object", Bucket="open-access", Key="a.jpg"))
    assert asked == ["botocore"]
    monkeypatch.setenv("ARTRAY_S3_ANONYMOUS", "*")
    assert Location("s3://museum/a").filesystem()[0].anon


def test_behind_a_proxy_a_server_need_not_be_reached_directly(monkeypatch):
    location._reach.cache_clear()
    tried = []

    def connect(place, timeout):
        tried.append(place)
        raise OSError("unreachable")

    monkeypatch.setattr(location.socket, "create_connection", connect)
    monkeypatch.setattr(location.time, "sleep", lambda _: None)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.museum:3128")
    monkeypatch.setenv("NO_PROXY", "inside.museum")
    location._reach("https://s3.museum:9000")
    assert tried == []
    with pytest.raises(InputError, match=r"inside\.museum:9000 can't be reached"):
        location._reach("https://inside.museum:9000")
    location._reach.cache_clear()
