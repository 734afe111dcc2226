"""Before a large job: how long it takes on which machines, and what it costs."""

from artray.stations import run

if __name__ == "__main__":
    run("estimate")
