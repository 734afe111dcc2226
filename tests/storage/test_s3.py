import pytest
from botocore.utils import parse_timestamp

from artray.storage import s3


@pytest.mark.parametrize(
    "value",
    ["2026-03-01T10:20:30.000Z", "2026-03-01T10:20:30Z", "Sun, 01 Mar 2026 10:20:30 GMT", "1772360430", 1772360430],
)
def test_dates_are_read_as_by_botocore(value: str | int) -> None:
    assert s3._timestamp(value) == parse_timestamp(value)
