"""After station 4: pictures of a generator, as a collection that the other jobs read."""

from artray.stations import run

if __name__ == "__main__":
    run("sample-gan")
