"""Before station 1: fetch the pictures that a catalogue names by address."""

from artray.download.station import DownloadOptions, download
from artray.job import main

if __name__ == "__main__":
    main(DownloadOptions, download)
