"""The Shapley values of one leaf; see `app.model.explanation.additive`."""

from functools import cache
from math import factorial

import numpy as np

from app.model.explanation.intervals import Ranks
from app.model.explanation.paths import Alone
from app.model.explanation.terms import Bits, Floats, Ints, Terms

NUMBERS = 65_536  # looked at together for each background row, 8 bytes each


class Pairs:
    """Leaves that ask too many features for a table: computed for each pair of rows."""

    def __init__(self, alone: Alone, terms: Terms, background: Ranks) -> None:
        """Test the background.

        Args:
            alone: the leaves.
            terms: the model.
            background: the ranks of the background rows.
        """
        passed = alone.tests.passed(background)
        self.target = alone.target
        self._alone = alone
        self._value = terms.leaf[alone.leaf]
        self._fails = ~passed.transpose(1, 0, 2)  # (leaves, width, background rows)
        self.base = float(self._value @ passed.all(axis=0).mean(axis=1))

    def add(self, ranks: Ranks, total: Floats) -> None:
        """Add what each feature adds, and last the score, to `total`, (features + 1, rows)."""
        alone, rows = self._alone, ranks.shape[1]
        width = len(alone.feature)
        step = max(1, NUMBERS // (width * rows))
        for start in range(0, len(alone.leaf), step):
            chunk = slice(start, start + step)
            passed = alone.tests[:, chunk].passed(ranks)
            total[-1] += self._value[chunk] @ passed.all(axis=0)
            values = self._values(passed, chunk).reshape(-1, rows)
            np.add.at(total, alone.feature[:, chunk].ravel(), values)

    def _values(self, passed: Bits, chunk: slice) -> Floats:
        """What each feature on each path adds, shape (width, leaves, rows)."""
        x = passed.transpose(1, 0, 2)
        fails = self._fails[chunk].astype(np.float64)
        needed = fails.sum(axis=1)  # features that must come from the explained row
        possible = fails.transpose(0, 2, 1) @ x.astype(np.float64) == needed[:, :, None]
        out = len(passed) - x.sum(axis=1)  # features that must not
        inside, outside = weights(len(passed))
        which = needed.astype(np.int64)[:, :, None], out[:, None, :]
        gain = fails @ (inside[which] * possible)
        loss = (outside[which] * possible).sum(axis=1)[:, None, :]
        share = self._value[chunk, None, None] / fails.shape[2]
        values: Floats = share * np.where(x, gain, -loss)
        return values.transpose(1, 0, 2)


@cache
def weights(width: int) -> tuple[Floats, Floats]:
    """The closed form for p features in and q out of the coalition, p + q <= width.

    Returns:
        What each of the p gains and what each of the q loses, both of shape (p, q).
    """
    inside = np.zeros((width + 1, width + 1))
    for p in range(1, width + 1):
        for q in range(width + 1 - p):
            inside[p, q] = factorial(p - 1) * factorial(q) / factorial(p + q)
    return inside, np.ascontiguousarray(inside.T)


def kernel(width: int) -> Floats:
    """The closed form for every pair of background and explained bits of one leaf.

    Returns:
        Shape (2**width background states, width * 2**width), features before explained states.
    """
    states = np.arange(2**width)
    bit = (states >> np.arange(width)[:, None] & 1).astype(bool)  # (width, states)
    b, x = bit[:, :, None], bit[:, None, :]
    possible = (b | x).all(axis=0)
    p: Ints = np.where(possible, (x & ~b).sum(axis=0), 0)
    q: Ints = np.where(possible, (b & ~x).sum(axis=0), 0)
    inside, outside = weights(width)
    values = np.where(x & ~b, inside[p, q], 0) - np.where(b & ~x, outside[p, q], 0)
    values[:, ~possible] = 0
    return np.ascontiguousarray(values.transpose(1, 0, 2)).reshape(len(states), -1)
