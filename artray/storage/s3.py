"""s3fs with one set of tries.

s3fs repeats what botocore has already repeated, and its reads repeat that again: with botocore's nine tries, a picture
behind a server that does not answer is asked for up to 225 times, behind a throttled bucket 45 times, and one whose
connection breaks in the middle 5 times, whatever is configured. botocore's own tries don't help there: they end where
the body begins; and in the modes standard and adaptive all requests of a client share a quota (500 tokens, 5 a retry),
so that where many pictures fail at once a first failure may be the last. Here botocore and s3fs try once, and one loop
around both, from the request to the last byte, tries as often as configured.

And with one short way for what is done most. botocore spends 2 ms of CPU on a request beside its transfer, a fifth of
what decoding a large JPEG takes; half of that is left where it only signs the address and its own connection pool
fetches it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import random
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import pyarrow as pa
import s3fs
from aiohttp import ClientConnectorError, ClientPayloadError
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError, FlexibleChecksumError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError, RestXMLParser
from botocore.session import Session
from botocore.utils import parse_timestamp
from fsspec.asyn import sync
from s3fs.errors import translate_boto_error

from artray.errors import InputError

_TRIES = 8
_MODE = "standard"
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 20.0  # seconds, at most

_TRANSIENT_STATUS = {429, 500, 502, 503, 504, 509}
_OTHER_REGION = {
    "PermanentRedirect",
    "TemporaryRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}
_TRANSIENT_CODES = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded"}
_BROKEN_BODY = (ClientPayloadError, IncompleteReadError, FlexibleChecksumError)
_TIMEOUT = (TimeoutError, asyncio.TimeoutError)  # two classes before Python 3.11
_TRANSIENT = (HTTPClientError, BotoConnectionError, ResponseParserError, *_BROKEN_BODY, *_TIMEOUT)

# Together the paths of many millions of objects are longer than the 2 GB that `string` may have.
LISTED = pa.schema({"path": pa.large_string(), "size": pa.int64(), "etag": pa.large_string()})

_PARAMETERS = {
    "ARTRAY_S3_EXPECTED_BUCKET_OWNER": "ExpectedBucketOwner",
    "ARTRAY_S3_SERVER_SIDE_ENCRYPTION": "ServerSideEncryption",
    "ARTRAY_S3_SSE_KMS_KEY_ID": "SSEKMSKeyId",
}
"""Variables, and the parameters of S3's requests that they set, wherever a request has such a parameter."""


_ANONYMOUS = "ARTRAY_S3_ANONYMOUS"


class GaveUpError(OSError):
    """A request failed in each of its tries; the cause is the last failure."""


class S3FileSystem(s3fs.S3FileSystem):  # type: ignore[misc]
    """An S3 file system whose requests are tried `tries` times, reading the answer's body included.

    Throttling, server errors, timeouts, broken connections, bodies shorter than their Content-Length and bodies that
    don't match their checksum are tried again, after a random wait of up to 1/2, 1, 2, 4, ... 20 s ("full jitter",
    Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015). Missing files and refused keys are not.

    A connection that is closed before it carries an answer is made anew once within a try, by HTTP's rule for
    connections that were kept open (RFC 9112, 9.3.1; aiohttp does it).

    Args:
        tries: Requests made before one is given up, the first included.
        **options: s3fs's.
    """

    retries = 1  # s3fs's own loops

    def __init__(self, tries: int, **options: Any) -> None:
        super().__init__(**options)
        self.tries = tries
        # botocore's rate limiter holds back only what goes through all of botocore, and without keys nothing is signed.
        mode = self.config_kwargs.get("retries", {}).get("mode")
        self._short_way = mode != "adaptive" and not self.anon

    async def _call_s3(self, method: str, *options: dict[str, Any], **parameters: Any) -> Any:
        failures = 0
        while True:
            try:
                if (
                    self._short_way
                    and method == "get_object"
                    and not options
                    and parameters.keys() == {"Bucket", "Key"}
                ):
                    data = await self._get(**parameters)
                    if data is not None:
                        return {"Body": _Body(data)}
                answer = await super()._call_s3(method, *options, **parameters)
                if method == "get_object":
                    answer["Body"] = _Body(await _whole(answer["Body"]))
                return answer
            except Exception as error:
                failures += 1
                if not _is_transient(error):
                    raise
                if failures == self.tries:
                    raise GaveUpError(f"{_reason(error)}; given up after {_count(failures)}") from error
            await asyncio.sleep(random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (failures - 1))))

    def list_objects(self, folder: str) -> tuple[pa.Table, list[str]]:
        """The objects right below a folder, and the folders there; see `walk_objects`.

        Between the slashes of a key there may be nothing: `b/` is the folder without a name in the bucket b.
        """
        listed: tuple[pa.Table, list[str]] = sync(self.loop, self._list, folder, "/")
        return listed

    def walk_objects(self, folder: str) -> pa.Table:
        """All objects below a folder: `path`, `size` (bytes) and `etag`.

        Of five million objects s3fs's own listing keeps 5.8 GB: all that each page says of each of them. A page (1,000
        objects) that fails is asked for again, not the whole list.
        """
        return sync(self.loop, self._list, folder, "")[0]

    async def _list(self, folder: str, delimiter: str) -> tuple[pa.Table, list[str]]:
        bucket, slash, key = folder.partition("/")
        prefix = key + slash
        pages: list[pa.RecordBatch] = []
        folders: list[str] = []
        more: dict[str, str] = {}
        await self.set_session()
        # A page's thousand dates, which nobody asks for, would take two thirds of the time it takes to read it.
        self.session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
        while True:
            page = await self._call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, Delimiter=delimiter, **more)
            # A folder made in a web console is an object whose name ends with a slash.
            items = [item for item in page.get("Contents", ()) if not item["Key"].endswith("/")]
            columns = {
                "path": [f"{bucket}/{item['Key']}" for item in items],
                "size": [item["Size"] for item in items],
                "etag": [item["ETag"].strip('"') for item in items],
            }
            pages.append(pa.RecordBatch.from_pydict(columns, LISTED))
            folders += [f"{bucket}/{item['Prefix']}".removesuffix("/") for item in page.get("CommonPrefixes", ())]
            if not page.get("IsTruncated"):
                return pa.Table.from_batches(pages), folders
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def _get(self, **parameters: str) -> bytes | None:
        """An object, or None where botocore should ask for it: it knows how to go after redirects to other regions."""
        await self.set_session()
        client = await self.get_s3(parameters["Bucket"])
        parameters = self._get_s3_method_kwargs(client.get_object, **parameters, ChecksumMode="ENABLED")
        if parameters.keys() != {"Bucket", "Key", "ChecksumMode"}:
            return None  # the file system was made with options that become headers
        url = await client.generate_presigned_url("get_object", Params=parameters)
        request = AWSRequest("GET", url, {"x-amz-checksum-mode": "ENABLED"}, stream_output=True)
        answer = await client._endpoint.http_session.send(request.prepare())
        if 300 <= answer.status_code < 400:
            answer.raw.close()
            return None
        data: bytes = await _whole(answer.raw)
        if answer.status_code != 200:
            response = {"headers": answer.headers, "status_code": answer.status_code, "body": data}
            fault = RestXMLParser().parse(response, None)
            if fault["Error"]["Code"] in _OTHER_REGION:
                return None
            raise translate_boto_error(ClientError(fault, "GetObject"))
        _check(data, answer.headers)
        return data


class _Body:
    """A body that has been read already, with the methods s3fs needs."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    async def read(self, size: int | None = -1) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        self._file.close()


async def _whole(body: Any) -> bytes:
    try:
        data: bytes = await body.read()
        return data
    finally:
        body.close()  # of a broken body: the connection, which must not be used again


def _crt(name: str, size: int) -> Callable[[bytes], bytes] | None:
    """A checksum of the AWS common runtime, where that is installed (`pip install artray[checksums]`)."""
    try:
        from awscrt import checksums
    except ImportError:
        return None
    return lambda data: getattr(checksums, name)(data).to_bytes(size, "big")


_CHECKSUMS: dict[str, Callable[[bytes], bytes] | None] = {
    "crc64nvme": _crt("crc64nvme", 8),  # S3's own default
    "crc32c": _crt("crc32c", 4),
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
}


def _check(data: bytes, headers: Mapping[str, str]) -> None:
    """Compare a body with the checksum it was stored with; one of a multipart upload's parts says nothing of it.

    CRC64NVME and CRC32C are compared where the common runtime is installed, as botocore does it.
    """
    for name, digest in _CHECKSUMS.items():
        if digest is None:
            continue
        expected = headers.get(f"x-amz-checksum-{name}", "-")
        if "-" not in expected and base64.b64encode(digest(data)).decode() != expected:
            raise FlexibleChecksumError(error_msg=f"the body's {name} is not {expected}")


def _timestamp(value: Any) -> datetime:
    """A date of an answer: botocore's parser takes 50 µs for what S3 always writes in the same way."""
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        parsed: datetime = parse_timestamp(value)
        return parsed


def _is_transient(error: BaseException) -> bool:
    if isinstance(error.__cause__, ClientError):
        status, code = _answered(error.__cause__)
        return status in _TRANSIENT_STATUS or code in _TRANSIENT_CODES
    return isinstance(error, _TRANSIENT)


def _answered(error: ClientError) -> tuple[int, str]:
    response = error.response
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0), response.get("Error", {}).get("Code", "")


def _reason(error: BaseException) -> str:
    if isinstance(error.__cause__, ClientError):
        status, code = _answered(error.__cause__)
        return f"the S3 server answers {status}" + (f" {code}" if code != str(status) else "")
    if isinstance(error, FlexibleChecksumError):
        return "the bytes don't match the S3 server's checksum"
    if isinstance(error, _BROKEN_BODY):
        return "the connection to the S3 server breaks off within the file"
    if isinstance(error, _TIMEOUT) or "Timeout" in type(error).__name__:
        return "the S3 server does not answer in time"
    if isinstance(error, BotoConnectionError) and isinstance(error.kwargs.get("error"), ClientConnectorError):
        return "the S3 server can't be reached (is AWS_ENDPOINT_URL right?)"
    if isinstance(error, (HTTPClientError, BotoConnectionError)):
        return "the connection to the S3 server fails"
    return f"the S3 server's answer can't be understood ({type(error).__name__})"


def _count(tries: int) -> str:
    return "1 try" if tries == 1 else f"{tries} tries"


def connect(config: dict[str, Any], bucket: str) -> S3FileSystem:
    """The S3 file system of the environment: one for each server and set of options, kept for the process.

    Who we are, the region and the address are botocore's matter: keys, profiles, the machine's or the pod's role
    (instance profile, web identity), AWS_DEFAULT_REGION, AWS_ENDPOINT_URL, and of the configuration file also `s3 =
    addressing_style`. For what AWS has no variable there are ours: who pays (ARTRAY_S3_REQUEST_PAYER=requester), and
    those of `_PARAMETERS`: whose the bucket must be, and how what is written is encrypted (aws:kms). Buckets that are
    named in ARTRAY_S3_ANONYMOUS (with commas between them; `*`: all) are asked without keys.

    Tries and mode come from AWS_MAX_ATTEMPTS and AWS_RETRY_MODE, else from `max_attempts` and `retry_mode` of the AWS
    configuration file's profile, else they are 8 and "standard". The loop of tries is the same in all modes;
    "adaptive" makes botocore's client-wide rate limiter hold requests back as well.

    Args:
        config: More of botocore's client options.
        bucket: Which is asked.

    Raises:
        InputError: Tries or mode make no sense.
    """
    named = ((name, value) for name, value in os.environ.items() if name.startswith(("AWS_", "ARTRAY_S3_")))
    return S3FileSystem(**_options(tuple(sorted(named)), tuple(config.items())), anon=_is_open(bucket))


def _is_open(bucket: str) -> bool:
    """Whether a bucket is to be asked without keys."""
    named = {name.strip().removeprefix("s3://").rstrip("/") for name in os.environ.get(_ANONYMOUS, "").split(",")}
    return bucket in named or "*" in named


@lru_cache(maxsize=8)
def _options(environment: tuple[tuple[str, str], ...], config: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    """What `connect` makes of the environment and the configuration file, which takes 20 ms to read: once for each."""
    profile: dict[str, Any] = Session().get_scoped_config()
    tries = os.environ.get("AWS_MAX_ATTEMPTS") or profile.get("max_attempts") or str(_TRIES)
    mode = os.environ.get("AWS_RETRY_MODE") or profile.get("retry_mode") or _MODE
    if not tries.isdecimal() or int(tries) < 1:
        raise InputError(f"AWS_MAX_ATTEMPTS (max_attempts): must be a number from 1, not {tries!r}")
    if mode not in ("legacy", "standard", "adaptive"):
        raise InputError(f"AWS_RETRY_MODE (retry_mode): must be legacy, standard or adaptive, not {mode!r}")
    # What fsspec tells its instances apart by is their arguments: so the endpoint is one, though botocore knows it.
    return {
        "tries": int(tries),
        "endpoint_url": os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
        "config_kwargs": {
            "signature_version": "s3v4",
            **dict(config),
            "retries": {"mode": mode, "total_max_attempts": 1},
        },
        "requester_pays": os.environ.get("ARTRAY_S3_REQUEST_PAYER") == "requester",
        "s3_additional_kwargs": {
            parameter: os.environ[name] for name, parameter in _PARAMETERS.items() if os.environ.get(name)
        },
        # Else opening a Parquet file for one row group fetches the 50 MB that follow it.
        "default_cache_type": "none",
        "use_listings_cache": False,
    }
