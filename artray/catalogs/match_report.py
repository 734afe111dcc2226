"""What matched and what did not, both ways, as counts and as lines for a terminal."""

import re
from dataclasses import dataclass

NAME_MAX = 255
"""Bytes of a file name on the usual file systems."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How many, and the first few of them as text that is safe to show."""

    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(self.examples) + (", …" if self.count > len(self.examples) else "")
        return f"{self.count:,}" + (f" ({shown})" if self.examples else "")


@dataclass(frozen=True, slots=True)
class Report:
    """What matched and what did not, both ways.

    Attributes:
        pictures, rows: How many there were.
        pictures_matched: Pictures with a row.
        rows_matched: Rows with a picture, duplicates of such rows included.
        methods: Pictures by how they found their row, strictest way first.
        refused: Names in the catalogue that were not followed, by reason.
        rows_missing: Rows that name a picture which isn't there.
        names_missing: Names of pictures that aren't there, in rows with others that are.
        rows_disputed: Rows of a picture that other rows name too, with other labels; none of them has it.
        rows_unnamed: Rows without a picture that name none (or an unusable one).
        ids_repeated: Ids that stand in more than one row.
        rows_without_id: Rows whose cell in the id column is empty.
        pictures_unmatched: Pictures without a row.
        pictures_shared: Pictures that several rows name and agree on; the first row is taken.
        pictures_disputed: Pictures that several rows name and disagree on.
        rows_shared: Rows with several pictures.
        names_crowded: Names that fit several pictures, in the rows' files and addresses.
        names_too_long: Rows whose base64 name no file system holds.
        columns: For each catalogue column (filled cells, different values, filled cells of rows with a picture).
    """

    pictures: int
    rows: int
    pictures_matched: int
    rows_matched: int
    methods: dict[str, int]
    refused: dict[str, Sample]
    rows_missing: Sample
    names_missing: Sample
    rows_disputed: int
    rows_unnamed: int
    ids_repeated: Sample
    rows_without_id: int
    pictures_unmatched: Sample
    pictures_shared: Sample
    pictures_disputed: Sample
    rows_shared: Sample
    names_crowded: Sample
    names_too_long: int
    columns: dict[str, tuple[int, int, int]]

    def lines(self) -> list[str]:
        """The report as lines for a terminal; what did not happen has no line."""
        ways = ", ".join(f"{count:,} by {method}" for method, count in self.methods.items())
        found = [
            f"pictures with a row: {self.pictures_matched:,} of {self.pictures:,}" + (f" ({ways})" if ways else ""),
            f"rows with a picture: {self.rows_matched:,} of {self.rows:,}",
        ]
        if self.rows and self.pictures and not self.pictures_matched:
            found.append(
                "no row has found its picture, so the catalogue says nothing of any: --id-column, --file-column or "
                "--url-column says which column holds what the pictures are called"
            )
        samples = {
            "rows that name a picture which isn't there": self.rows_missing,
            "names that fit several pictures, which get no row by them": self.names_crowded,
            "names of pictures that aren't there, beside others of their rows": self.names_missing,
            "pictures that no row names": self.pictures_unmatched,
            "pictures named by several rows that agree": self.pictures_shared,
            "pictures named by several rows that disagree": self.pictures_disputed,
            "ids that stand twice or more": self.ids_repeated,
            "rows with several pictures": self.rows_shared,
            **{f"names refused, {reason}": sample for reason, sample in self.refused.items()},
        }
        found += [f"{what}: {sample}" for what, sample in samples.items() if sample.count]
        if self.rows_without_id:
            found.append(f"rows without an id: {self.rows_without_id:,}")
        if self.names_too_long:
            found.append(f"rows whose base64 name is longer than {NAME_MAX} bytes: {self.names_too_long:,}")
        return found


def printable(text: str) -> str:
    """Text for a terminal or log: control characters escaped, at most 100 characters."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: f"\\x{ord(match[0]):02x}", text)
    return text if len(text) <= 100 else text[:99] + "…"
