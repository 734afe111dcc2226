from hypothesis import given
from hypothesis import strategies as st

from artray.engine.checkpoints import until_checkpoint


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
