import pytest

from artray.classifiers.station import TrainOptions
from artray.engine.worker_group import worker_range


@pytest.mark.parametrize(
    ("workers", "message"), [("0", "from 1 on"), ("4-2", "from 1 on"), ("many", "from 1 on"), ("1-", "from 1 on")]
)
def test_numbers_of_workers(workers: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainOptions(config="c", data="d", out="o", workers=workers)
    assert worker_range("2-4") == (2, 4)
    assert worker_range("3") == worker_range(3) == (3, 3)
