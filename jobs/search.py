"""Station 4, many times: a table of settings, ranked on the validation part."""

from artray.job import main
from artray.training.search import SearchOptions, search

if __name__ == "__main__":
    main(SearchOptions, search)
