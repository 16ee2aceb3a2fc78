"""Explains any model by asking it about mixtures of the explained and the background rows."""

from collections.abc import Callable
from math import factorial
from typing import Any

import numpy as np

from app.model.explanation.result import KINDS, Answer, Explanation
from app.model.explanation.terms import Bits, Floats
from app.model.runtime import Packed

# What each of the rows is worth, shape (rows,).
Worth = Callable[[Packed], Floats]

# With more features, each of which doubles the coalitions, orders are drawn instead.
MAX_COALITION_FEATURES = 12
CELLS = 2_000_000  # of mixed rows that lie in memory at a time, 8 bytes each


class Calls:
    """Knows nothing of the model but its answers.

    Attributes:
        rows: how many one thread explains at a time.
        calls: how many rows the model answers to explain one, beside that row.
    """

    rows = 1

    def __init__(
        self, background: Packed, features: tuple[str, ...], place: list[int], answer: Answer
    ) -> None:
        """Choose between all coalitions and drawn orders.

        Args:
            background: the background rows.
            features: the features' names.
            place: of each feature, its column in (numeric, categorical) side by side.
            answer: the model.
        """
        self._background = background
        self._place = place
        self._answer = answer
        self._features = features
        self._by_coalitions = len(features) <= MAX_COALITION_FEATURES
        mixtures = 2 ** len(features) if self._by_coalitions else 2 * (len(features) + 1)
        self.calls = mixtures * len(background)

    def explain(self, row: Packed) -> Explanation:
        """Explain the answer to one row."""
        worth, kind = self._worth(row)
        background = self._background
        base = worth(background).mean(keepdims=True)
        error = None
        if self._by_coalitions:
            contributions = coalitions(worth, row, background, self._place)[None]
            how = f"exact Shapley values of {KINDS[kind]}, all coalitions"
        else:
            estimate, spread = drawn_orders(worth, row, background, self._place)
            contributions, error = estimate[None], spread[None]
            how = f"Shapley values of {KINDS[kind]}, estimated from pairs of opposite orders"
        return Explanation(
            base,
            contributions,
            self._features,
            f"{how}, {len(background)} background rows",
            float(np.abs(base + contributions.sum() - worth(row)).max()),
            error,
        )

    def _worth(self, row: Packed) -> tuple[Worth, str]:
        """Return what is explained for a row, and its kind."""
        values, probabilities = self._answer(row)
        if values.dtype.kind == "f":
            return lambda rows: self._answer(rows)[0], "prediction"
        label = int(values[0])
        if probabilities is None:
            return lambda rows: (self._answer(rows)[0] == label).astype(np.float64), "choice"

        def probability(rows: Packed) -> Floats:
            chances: Any = self._answer(rows)[1]
            return np.asarray(chances[:, label])

        return probability, "probability"


def coalitions(worth: Worth, row: Packed, background: Packed, place: list[int]) -> Floats:
    """Compute exact interventional Shapley values from the worth of every coalition.

    Args:
        worth: the model.
        row: the explained row.
        background: the rows that stand for "not known".
        place: of each feature, its column in (numeric, categorical) side by side.

    Returns:
        What each feature adds, shape (features,).
    """
    values = np.zeros(len(place))
    differing = np.flatnonzero(_differs(row, background)[:, place].any(axis=0))
    if not len(differing):
        return values
    count = len(differing)
    members = (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(bool)
    chosen = np.zeros((len(members), len(place)), dtype=bool)
    chosen[:, [place[feature] for feature in differing]] = members
    step = max(1, CELLS // (len(background) * len(place)))
    means = [
        _answers(worth, row, background, chosen[start : start + step, None, :]).mean(axis=1)
        for start in range(0, len(chosen), step)
    ]
    size = members.sum(axis=1)[:, None]
    weight = np.array([factorial(k) * factorial(count - 1 - k) for k in range(count)])
    weight = np.append(weight / factorial(count), 0.0)  # no feature is left out of all of them
    shares = np.where(members, weight[size - 1], -weight[size])
    values[differing] = np.concatenate(means) @ shares
    return values


def drawn_orders(
    worth: Worth, row: Packed, background: Packed, place: list[int]
) -> tuple[Floats, Floats]:
    """Estimate interventional Shapley values from drawn orders of the features.

    For each background row one order is drawn. Along it and along its reverse, features turn one
    after the other from the background row's value to the explained row's; what the worth
    gains at a feature's turn is its share. The two directions together make one sample. So the
    values sum exactly to the worth of the row less the mean worth of the background.

    Args:
        worth: the model.
        row: the explained row.
        background: the rows that stand for "not known".
        place: of each feature, its column in (numeric, categorical) side by side.

    Returns:
        What each feature adds, shape (features,), and the standard error of each.
    """
    count, features = len(background), len(place)
    draw = np.random.default_rng(0)  # the same row gets the same explanation
    orders = draw.permuted(np.tile(np.arange(features), (count, 1)), axis=1)
    samples = np.zeros((count, features))
    step = max(1, CELLS // ((features + 1) * features))
    for start in range(0, count, step):
        some = slice(start, start + step)
        behind = Packed(background.numeric[some], background.categorical[some])
        for one in (orders[some], orders[some, ::-1]):
            turn = np.argsort(one, axis=1)  # of each feature, when it turns
            chosen = np.empty((features + 1, *turn.shape), dtype=bool)
            chosen[:, :, place] = turn < np.arange(features + 1)[:, None, None]
            gains = np.diff(_answers(worth, row, behind, chosen), axis=0)  # (turns, rows)
            samples[some] += np.take_along_axis(gains.T, turn, axis=1) / 2
    return samples.mean(axis=0), samples.std(axis=0, ddof=1) / np.sqrt(count)


def _differs(row: Packed, background: Packed) -> Bits:
    """Where background rows differ from the row; two missing values are equal."""
    both_missing = np.isnan(row.numeric) & np.isnan(background.numeric)
    numeric = (row.numeric != background.numeric) & ~both_missing
    return np.concatenate([numeric, row.categorical != background.categorical], axis=1)


def _answers(worth: Worth, row: Packed, background: Packed, chosen: Bits) -> Floats:
    """Ask about mixtures, each cell from the row where it is chosen, else from the background.

    Args:
        worth: the model.
        row: the explained row.
        background: the rows behind it.
        chosen: shape (mixtures, background rows or 1, columns), numeric columns first.

    Returns:
        Shape (mixtures, background rows).
    """
    numeric = row.numeric.shape[1]
    count = len(chosen) * len(background)
    numbers = np.where(chosen[:, :, :numeric], row.numeric, background.numeric)
    codes = np.where(chosen[:, :, numeric:], row.categorical, background.categorical)
    mixed = Packed(numbers.reshape(count, numeric), codes.reshape(count, codes.shape[2]))
    return worth(mixed).reshape(len(chosen), len(background))
