"""Station 1: list the pictures, join the catalogue, write the manifest."""

from artray.stations import run

if __name__ == "__main__":
    run("ingest")
