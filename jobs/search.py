"""Station 4, many times: a table of settings, ranked on the validation part."""

from artray.classifiers.search import SearchOptions, search
from artray.job import main

if __name__ == "__main__":
    main(SearchOptions, search)
