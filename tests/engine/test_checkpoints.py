from pathlib import Path

import numpy as np
import pyarrow.fs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.engine import checkpoints
from artray.engine.checkpoints import Checkpoints, until_checkpoint
from artray.errors import ArtrayError


@given(st.integers(1, 50), st.none() | st.integers(1, 60), st.integers(0, 49))
def test_the_steps_between_checkpoints_are_an_epoch(steps, every, begin):
    """Whatever step a run goes on from, each step is made once, and checkpoints are where they would have been."""
    made, ends = [], []
    step = begin
    while step < steps:
        some = until_checkpoint(step, steps, every)
        made += range(steps)[some]
        step = some.stop
        ends.append(step)
    assert made == list(range(begin, steps))
    expected = {steps} if every is None else {*range(every, steps, every), steps}
    assert ends == sorted(end for end in expected if end > begin)


def test_a_full_disk_is_one_line_that_says_where(monkeypatch):
    """As Ray Train copies a checkpoint: by Arrow, to a device that is always full."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")

    def report(metrics, checkpoint):
        with pyarrow.fs.LocalFileSystem().open_output_stream("/dev/full") as sink:
            sink.write(Path(checkpoint.path, "state.npz").read_bytes())

    monkeypatch.setattr(checkpoints.train, "report", report)
    kept = Checkpoints("a", "/models/m/_training")
    with pytest.raises(ArtrayError) as raised:
        kept.save({"weights": np.zeros(9)}, {"epoch": 1, "step": 0})
    told = "/models/m/_training: no space left on the disk; with more room the same command goes on"
    assert str(raised.value) == told
