"""What a collection of millions of pictures costs `ingest`: an S3 server that only lists, and makes up what it lists.

    python benchmarks/listing.py [--objects 5000000] [--labels] [--only listing]

The server answers in pages of 1,000 objects with all that S3 says of each; its names lie in folders of 50,000. It is a
process of its own, and so is what is measured: the listing alone, and the whole of `ingest` (near-duplicates are left
out, since there are no pictures to look at). Says time, CPU time and the highest memory of each.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from rich.console import Console
from rich.table import Table

from artray.console import quiet
from artray.ingest.station import IngestOptions, ingest
from artray.storage import Location

PAGE, FOLDER = 1_000, 50_000
CLASSES = ("Impressionism", "Cubism", "Rococo", "Baroque", "Ukiyo-e")
ENTRY = (
    "<Contents><Key>{key}</Key><LastModified>2026-03-01T10:20:30.000Z</LastModified><ETag>&quot;{etag}&quot;</ETag>"
    "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>{size}</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)


class Lists(BaseHTTPRequestHandler):
    """ListObjectsV2 of s3://museum: scans/00000/ and so on."""

    protocol_version = "HTTP/1.1"
    objects = 0

    def do_GET(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        prefix, start = asked.get("prefix", ""), int(asked.get("continuation-token", "0"))
        folder = prefix.removeprefix("scans/").strip("/")
        if folder:
            first = int(folder) * FOLDER + start
            end = min(first + PAGE, self.objects, (int(folder) + 1) * FOLDER)
            more = end < min(self.objects, (int(folder) + 1) * FOLDER)
            body = "".join(
                ENTRY.format(key=f"scans/{folder}/P{number:07d}.jpg", etag=f"{number:032x}", size=100_000 + number)
                for number in range(first, end)
            )
        else:
            folders = -(-self.objects // FOLDER)
            end = min(start + PAGE, folders)
            more = end < folders
            body = "".join(
                f"<CommonPrefixes><Prefix>scans/{number:05d}/</Prefix></CommonPrefixes>" for number in range(start, end)
            )
        token = f"<NextContinuationToken>{start + PAGE}</NextContinuationToken>" if more else ""
        page = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>museum</Name><Prefix>{prefix}</Prefix><IsTruncated>{str(more).lower()}</IsTruncated>{token}{body}"
            "</ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        pass


def serve(objects: int, port: "multiprocessing.Queue[int]") -> None:
    Lists.objects = objects
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lists)
    port.put(server.server_port)
    server.serve_forever()


def list_only() -> int:
    return sum(1 for _ in Location.parse("s3://museum/scans").list_files())


def ingest_all(folder: str, objects: int, labels: bool) -> int:
    options = {"images": "s3://museum/scans", "out": f"{folder}/manifest", "near_duplicates": False}
    if labels:
        catalog = Path(folder) / "catalog.csv"
        with catalog.open("w") as file:
            file.write("file,title,artist,style\n")
            file.writelines(
                f"{number // FOLDER:05d}/P{number:07d}.jpg,Untitled study for a larger work {number},"
                f"Artist {number % 20_011},{CLASSES[number % 20_011 % len(CLASSES)]}\n"
                for number in range(objects)
            )
        options |= {"catalog": str(catalog), "label": {"style": "style"}}
    return int(ingest(IngestOptions.model_validate(options))["rows"])


def measure(work: Callable[[], int], results: "multiprocessing.Queue[tuple[int, float, float, float]]") -> None:
    quiet(verbose=False)
    begin = time.perf_counter()
    rows = work()
    used = resource.getrusage(resource.RUSAGE_SELF)
    results.put((rows, time.perf_counter() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=5_000_000, help="in the bucket (default: 5,000,000)")
    parser.add_argument("--labels", action="store_true", help="with a catalogue of as many rows, and its labels")
    parser.add_argument("--only", choices=["listing", "ingest"], help="one of the two")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    port: multiprocessing.Queue[int] = context.Queue()
    server = context.Process(target=serve, args=(options.objects, port), daemon=True)
    server.start()
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port.get()}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    lines = Table("", "seconds", "CPU seconds", "GiB at most", title=f"{options.objects:,} objects")
    with tempfile.TemporaryDirectory() as folder:
        cases = {"listing": list_only, "ingest": partial(ingest_all, folder, options.objects, options.labels)}
        for name, work in cases.items():
            if options.only in (None, name):
                results: multiprocessing.Queue[tuple[int, float, float, float]] = context.Queue()
                process = context.Process(target=measure, args=(work, results))
                process.start()
                process.join()
                if process.exitcode:
                    raise SystemExit(process.exitcode)
                rows, seconds, cpu, peak = results.get()
                assert rows == options.objects, f"{rows:,} rows"
                lines.add_row(name, f"{seconds:.0f}", f"{cpu:.0f}", f"{peak:.2f}")
    Console().print(lines)
    server.kill()


if __name__ == "__main__":
    main()
