"""A film's scores over its seconds, smoothed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]


def smoothed(seconds: npt.NDArray[np.float64], scores: Scores, window: float) -> Scores:
    """A centred moving average: at each moment the mean of all known scores at most half a window away.

    Moments need not be evenly spaced. At a film's ends, and beside moments without scores, fewer count.

    Args:
        seconds: The moments, ascending, (n,).
        scores: (n, classes); a row of NaN: not known.
        window: In seconds; 0: nothing is smoothed.

    Returns:
        (n, classes); NaN where there is no known score so near.

    Example:
        >>> smoothed(np.arange(4.0), np.array([[0.0], [0.0], [1.0], [1.0]]), 2)[:, 0].round(2).tolist()
        [0.0, 0.33, 0.67, 1.0]
    """
    known: npt.NDArray[np.bool_] = np.asarray(~np.isnan(scores).any(axis=1))
    sums = np.concatenate([np.zeros((1, scores.shape[1])), np.cumsum(np.where(known[:, None], scores, 0), axis=0)])
    counts = np.concatenate([[0], np.cumsum(known)])
    reach = window / 2 + 1e-6
    first = np.searchsorted(seconds, seconds - reach, side="left")
    last = np.searchsorted(seconds, seconds + reach, side="right")
    number = (counts[last] - counts[first])[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Scores = np.where(number > 0, (sums[last] - sums[first]) / number, np.nan)
    return np.clip(means, 0, 1)


def chosen_of_shots(shots: npt.NDArray[np.int64], readable: npt.NDArray[np.bool_], most: int) -> npt.NDArray[np.bool_]:
    """Some frames of each shot, evenly over those of it that could be seen; a shot's only one is its middle.

    Args:
        shots: Each frame's shot, ascending, (n,).
        readable: Which frames could be seen, (n,).
        most: How many of a shot.

    Returns:
        Which are chosen, (n,).
    """
    chosen = np.zeros(len(shots), bool)
    known = np.flatnonzero(readable)
    begins = np.flatnonzero(np.diff(shots[known], prepend=-1))
    for moments in np.split(known, begins[1:]):
        number = min(most, len(moments))
        # The middles of as many equal stretches.
        chosen[moments[((np.arange(number) + 0.5) * len(moments) / max(number, 1)).astype(int)]] = True
    return chosen
