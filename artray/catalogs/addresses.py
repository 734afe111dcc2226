"""Addresses of pictures: which are not followed, and what in them is a picture's name."""

import re

import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.catalog import SECRET
from artray.catalogs.columns import IMAGE_SUFFIX
from artray.catalogs.name_keys import normal, without_suffix

UNUSABLE_URL = {
    "control characters": r"[\x00-\x1f\x7f]",
    "not http or https": r"^(?i:[^h]|h[^t]|ht[^t]|htt[^p]|http[^s:]|https[^:]|https?:[^/]|https?:/[^/])",
    "a password in the address": r"^[^/?#]*//[^/?#]*@",
    "a signature in the address": re.escape(f"={SECRET}"),
}
"""What is refused: why, and the pattern that says so. The first that fits is said."""

IIIF_REQUEST = r"/(full|square|[0-9,:pct.]+)/[^/]+/!?[0-9.]+/[a-z]+\.[a-z0-9]+$"
"""The end of IIIF addresses: region/size/rotation/quality.format."""

_LOOK_AT = 1000  # addresses, for the names of their parameters …
_PARAMETERS = 20  # … of which so many are tried
_OF_PICTURES = re.compile("(?i)image|img|picture|photo|foto|bild|scan|media|iiif")
_LOOKED_AT = 20_000  # rows, for columns of addresses
_PARAMETER = re.compile(r"[?&;]([A-Za-z][\w.-]*)=[^&;#]")


def telling_parameter(urls: pa.Array, stems: pa.Array) -> tuple[str, pa.Array] | None:
    """The parameter of the addresses that names the pictures: `irn` of `?irn=4900&size=Medium`.

    Args:
        urls: Addresses, null where there is none.
        stems: The pictures' names without suffix, as they are compared.

    Returns:
        The parameter and its value in each address; None where no parameter has different values that are names of
        pictures, or where two have.
    """
    queries = pc.drop_null(pc.if_else(pc.match_substring(urls, "?"), urls, pa.scalar(None, urls.type)))
    seen = {name for url in queries.slice(0, _LOOK_AT).to_pylist() for name in _PARAMETER.findall(url)}
    candidates: list[tuple[int, str, pa.Array]] = []
    for name in sorted(seen)[:_PARAMETERS]:
        values = pc.struct_field(pc.extract_regex(urls, rf"[?&;]{re.escape(name)}=(?P<value>[^&;#]+)"), "value")
        values = without_suffix(normal(values))
        distinct = pc.count_distinct(values).as_py()
        if 10 * distinct >= 9 * (len(values) - values.null_count):
            hits = pc.sum(pc.is_in(stems, value_set=pc.drop_null(values))).as_py() or 0
            candidates.append((hits, name, values))
    candidates.sort(key=lambda item: item[:2], reverse=True)
    if not candidates or candidates[0][0] <= 2 * max((hits for hits, _, _ in candidates[1:]), default=0):
        return None
    return candidates[0][1:]


def picture_columns(table: pa.Table) -> list[str]:
    """The columns that hold addresses of pictures, and not of pages: by their names, or by the addresses' ends."""
    return [
        name
        for name, column in zip(table.column_names, table.slice(0, _LOOKED_AT).columns, strict=True)
        if _most(column, r"(?i)^https?://") and (_OF_PICTURES.search(name) or _most(column, IMAGE_SUFFIX))
    ]


def _most(column: pa.ChunkedArray, pattern: str) -> bool:
    """Whether nearly all filled cells fit a pattern."""
    return (pc.mean(pc.match_substring_regex(column, pattern)).as_py() or 0.0) > 0.9
