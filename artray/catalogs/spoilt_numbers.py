"""Numbers that a spreadsheet has spoilt before it wrote a file: long ones cut to powers of ten, others made dates."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.cells import AddProblem, Lines

_OF_A_NUMBER = re.compile(
    r"(?i)\b(id|no|nr|num|number|inv|inventory|accession|acc|object|identifier|signatur|numéro)\b|nummer|número"
)
_OF_A_TIME = re.compile("(?i)date|datum|fecha|year|jahr|created|changed|modified|updated")

_LOOKED_AT = 20_000  # rows
_POWER = r"^[1-9](?:[.,][0-9]+)?E\+[0-9]{2,3}$"
_MONTH = "(?:jan|feb|mar|mär|mrz|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)"
_DATE = rf"(?i)^(?:[0-9]{{1,2}}[-. ]{_MONTH}\.?|{_MONTH}\.?[-. ][0-9]{{2}})$"
_WHOLE_DATE = r"^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T]00:00(?::00)?)?|[0-9]{1,2}/[0-9]{1,2}/[0-9]{4})$"


def is_of_a_number(name: str) -> bool:
    """Whether a column is called so that it holds works' numbers: `object_id`, `InvNr`, but not `accession_date`."""
    words = re.sub("_|(?<=[a-zä-ü])(?=[A-Z])", " ", name)
    return bool(_OF_A_NUMBER.search(words)) and not _OF_A_TIME.search(name)


def report_spoilt(table: pa.Table, lines: Lines, problem: AddProblem) -> None:
    """Say which columns hold such numbers, and where; what they were nobody can tell from the file."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        head = column.slice(0, _LOOKED_AT)
        patterns = {_POWER: "numbers cut to powers of ten, as a spreadsheet shows long ones: their digits are lost"}
        if is_of_a_number(name):
            if 0 < (pc.mean(pc.match_substring_regex(head, _WHOLE_DATE)).as_py() or 0) < 0.5:
                patterns[_WHOLE_DATE] = "dates, which a spreadsheet may have made of numbers (1912.5.3)"
            patterns[_DATE] = "dates that a spreadsheet may have made of numbers (1-12 becomes 1-Dec)"
        for pattern, what in patterns.items():
            if pc.any(pc.match_substring_regex(head, pattern), min_count=0).as_py():
                where = np.asarray(pc.fill_null(pc.match_substring_regex(column, pattern), False).to_numpy(), bool)
                problem(f"column {name!r} holds {what}; export it as text", lines[where])
