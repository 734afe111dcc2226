"""A collection in the style of other works, judged, with a page."""

from artray.stations import run

if __name__ == "__main__":
    run("transfer-style")
