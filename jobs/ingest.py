"""Station 1: list the pictures, join the catalogue, write the manifest."""

from artray.ingest.station import IngestOptions, ingest
from artray.job import main

if __name__ == "__main__":
    main(IngestOptions, ingest)
