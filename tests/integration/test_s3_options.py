"""What a museum's bucket may ask for: who pays, whose it is, how it encrypts, and keys that come from a role."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from artray.errors import InputError
from artray.storage import Location, ReadError, location, read_many, s3
from tests.integration import proxy as proxies
from tests.integration.proxy import Proxy
from tests.servers import S3Server

FOLDER = "s3://museum/options"
Sent = list[tuple[str, str, dict[str, str]]]


@pytest.fixture
def sent(s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
    """Method, path and headers of each request that reaches the server."""
    found: Sent = []

    class Recording(proxies._Handler):
        server: Proxy

        def _forward(self, body: bytes, fault: proxies.Fault | None) -> None:
            found.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
            super()._forward(body, fault)

    with proxies.running(s3_server.endpoint) as proxy:
        proxy.RequestHandlerClass = Recording
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield found


def use(name: str) -> None:
    """Every kind of request artray makes."""
    uri = f"{FOLDER}/{name}"
    Location.parse(uri).write_bytes(b"x" * 100)
    assert read_many([uri]) == [b"x" * 100]
    assert Location.parse(uri).read_bytes() == b"x" * 100
    assert [info.uri for info in Location.parse(FOLDER).list_files()] == [uri]
    assert Location.parse(uri).exists()
    fs, path = Location.parse(uri).filesystem()
    with fs.open(path) as file:
        file.seek(90)
        assert len(file.read()) == 10
    Location.parse(uri).remove()
    assert not Location.parse(uri).exists()


def test_nothing_is_sent_unasked(sent):
    use("plain")
    assert sent
    for _, path, headers in sent:
        assert not {name for name in headers if "payer" in name or "owner" in name or "encryption" in name}
        assert "payer" not in path.lower()


def test_who_pays_and_whose_it_is(sent, monkeypatch):
    monkeypatch.setenv("ARTRAY_S3_REQUEST_PAYER", "requester")
    monkeypatch.setenv("ARTRAY_S3_EXPECTED_BUCKET_OWNER", "123456789012")
    use("paid")
    assert {method for method, *_ in sent} >= {"PUT", "GET", "HEAD"}
    for method, path, headers in sent:
        assert headers.get("x-amz-request-payer") == "requester", (method, path)
        assert headers.get("x-amz-expected-bucket-owner") == "123456789012", (method, path)


def test_what_is_written_is_encrypted_and_what_is_read_says_nothing(sent, monkeypatch):
    """S3 refuses a GET with these headers."""
    monkeypatch.setenv("ARTRAY_S3_SERVER_SIDE_ENCRYPTION", "aws:kms")
    monkeypatch.setenv("ARTRAY_S3_SSE_KMS_KEY_ID", "arn:aws:kms:eu-central-1:123456789012:key/museum")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with_key = {"x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"}
    with suppress(InputError):  # the test's server has no store of keys; what counts is what it was asked for
        Location.parse(f"{FOLDER}/secret").write_bytes(b"x")
    puts = [headers for method, _, headers in sent if method == "PUT"]
    assert puts
    for headers in puts:
        assert with_key <= headers.keys()
        assert headers["x-amz-server-side-encryption"] == "aws:kms"
    monkeypatch.delenv("ARTRAY_S3_SERVER_SIDE_ENCRYPTION")
    monkeypatch.delenv("ARTRAY_S3_SSE_KMS_KEY_ID")
    Location.parse(f"{FOLDER}/open").write_bytes(b"y")
    monkeypatch.setenv("ARTRAY_S3_SERVER_SIDE_ENCRYPTION", "aws:kms")
    sent.clear()
    assert read_many([f"{FOLDER}/open"]) == [b"y"]
    assert not with_key & {name for _, _, headers in sent for name in headers}
    monkeypatch.delenv("ARTRAY_S3_SERVER_SIDE_ENCRYPTION")
    Location.parse(FOLDER).remove()


def test_addressing_style_comes_from_the_configuration_file(tmp_path: Path, s3_environment, monkeypatch):
    """`path` for servers without a name for each bucket; a host that is an address gets it anyway."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    hosts = {}
    for style in ("path", "virtual"):
        config = tmp_path / style
        config.write_text(f"[default]\ns3 =\n    addressing_style = {style}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        s3.S3FileSystem.clear_instance_cache()
        monkeypatch.setattr(location, "_reach", lambda endpoint: None)
        fs, path = Location.parse("s3://museum/a.jpg").filesystem()
        hosts[style] = fs.sign(path).split("?")[0]
    s3.S3FileSystem.clear_instance_cache()
    assert hosts == {"path": "http://localhost:1/museum/a.jpg", "virtual": "http://museum.localhost:1/a.jpg"}


def test_a_row_group_is_read_and_nothing_after_it(sent):
    """A pass opens the manifest once a chunk; s3fs's default would fetch up to 50 MB each time."""
    numbers = np.random.default_rng(0)
    table = pa.table({"a": numbers.random(200_000), "b": numbers.random(200_000)})
    Location.parse(f"{FOLDER}/large.parquet").write_table(table, row_group_size=10_000)
    sent.clear()
    fs, path = Location.parse(f"{FOLDER}/large.parquet").arrow_filesystem()
    with fs.open_input_file(path) as source:
        assert pq.ParquetFile(source).read_row_group(3).num_rows == 10_000
    ranges = [headers["range"].removeprefix("bytes=").split("-") for _, _, headers in sent if "range" in headers]
    fetched = sum(int(last) - int(first) + 1 for first, last in ranges)
    assert 160_000 * 0.9 < fetched < 160_000 + 100_000, "16 bytes a row and the footer; the file has 3 MB"
    assert len(sent) <= 5
    Location.parse(FOLDER).remove()


# -- keys from a role -------------------------------------------------------------------------------------------------


@contextmanager
def answering(answers: dict[tuple[str, str], str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server with an answer for each method and beginning of a path; and what it was asked for."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            asked.append((self.command, self.path + body))
            text = answers.get((self.command, self.path))
            self.send_response(404 if text is None else 200)
            data = (text or "").encode()
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = _answer  # noqa: N815 - so named by http.server

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def no_keys(s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on which nobody has put keys."""
    Location.parse(f"{s3_bucket}/role/a.jpg").write_bytes(b"picture")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    s3.S3FileSystem.clear_instance_cache()
    yield
    s3.S3FileSystem.clear_instance_cache()


def test_keys_of_the_instance_profile(no_keys, s3_server, monkeypatch):
    """EC2's metadata service, second version: a token first."""
    keys = {
        "Code": "Success",
        "AccessKeyId": s3_server.key,
        "SecretAccessKey": s3_server.secret,
        "Token": "",
        "Expiration": "2100-01-01T00:00:00Z",
    }
    roles = "/latest/meta-data/iam/security-credentials/"
    answers = {
        ("PUT", "/latest/api/token"): "token",
        ("GET", roles): "artray-worker",
        ("GET", roles + "artray-worker"): json.dumps(keys),
    }
    with answering(answers) as (address, asked):
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", address)
        assert read_many(["s3://museum/role/a.jpg"]) == [b"picture"]
    assert asked[0] == ("PUT", "/latest/api/token")


def test_keys_by_web_identity(no_keys, s3_server, tmp_path, monkeypatch):
    """As EKS sets it up for a service account: a token in a file, which STS takes for keys."""
    answer = f"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
      <AssumeRoleWithWebIdentityResult><Credentials>
        <AccessKeyId>{s3_server.key}</AccessKeyId><SecretAccessKey>{s3_server.secret}</SecretAccessKey>
        <SessionToken></SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration>
      </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
    (tmp_path / "token").write_text("signed-by-the-cluster")
    with answering({("POST", "/"): answer}) as (address, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/artray")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        assert read_many(["s3://museum/role/a.jpg"]) == [b"picture"]
    assert len(asked) == 1
    assert "WebIdentityToken=signed-by-the-cluster" in asked[0][1]


def test_no_keys_at_all(no_keys, monkeypatch):
    (found,) = read_many(["s3://museum/role/a.jpg"])
    assert isinstance(found, ReadError)
    assert found.status == "denied"
    assert found.message.startswith("no AWS credentials found (set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ")


def test_pictures_are_read_in_every_retry_mode(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    for mode in ("legacy", "standard", "adaptive"):
        monkeypatch.setenv("AWS_RETRY_MODE", mode)
        use(f"{mode}.bin")


def test_an_open_bucket_is_asked_without_keys(sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    """This server refuses that; what counts is what it was asked."""
    Location.parse(f"{FOLDER}/open.bin").write_bytes(b"x")
    sent.clear()
    monkeypatch.setenv("ARTRAY_S3_ANONYMOUS", "museum")
    (found,) = read_many([f"{FOLDER}/open.bin"])
    assert isinstance(found, ReadError)
    assert found.status == "denied"
    assert sent
    assert not any("authorization" in headers or "Signature" in path for _, path, headers in sent)


def test_a_proxy_is_asked_for_a_server_that_only_it_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "7")
            self.end_headers()
            self.wfile.write(b"picture")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://s3.nowhere.invalid")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        assert read_many(["s3://museum/a.jpg"]) == [b"picture"]
    finally:
        server.shutdown()
        server.server_close()
    assert len(asked) == 1
    assert asked[0].startswith("http://")
