"""Enlarge the pictures of a manifest with an upscaler."""

from artray.stations import run

if __name__ == "__main__":
    run("upscale")
