"""Catalogues read from what stands in the test."""

import io

from artray.catalogs.catalog import Catalog, read_catalog


def read(data: bytes | str, name: str = "works.csv", **options) -> Catalog:
    return read_catalog(io.BytesIO(data.encode() if isinstance(data, str) else data), name, **options)


def problems(catalog: Catalog) -> dict[str, tuple[int, ...]]:
    return {problem.what: problem.lines for problem in catalog.problems}
