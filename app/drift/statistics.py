"""How far counts are from those of training, and whether that can be chance.

Chi-square of homogeneity judges the values, Fisher's exact test the shares; what is told besides is
the population stability index, the Jensen-Shannon distance and Wasserstein's over the bins.
"""

import math
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from app.drift.reference import Column, Counts
from app.model.runtime import Floats

MINIMUM_ROWS = 200
# How often a window of rows like those of training may have something named in it.
FALSE_ALARM_RATE = 0.01
TESTS = 3  # of a column: its values, the missing, the unseen
# What is named is not only beyond chance, but large enough to matter.
PSI = 0.1
SHARE = 0.02
EXPECTED = 5.0  # rows that chi-square needs in a cell; fewer are put together
HALF = 0.5  # a row that every cell gets, so that a logarithm exists


@dataclass(frozen=True, slots=True)
class Comparison:
    """One column in one window.

    Attributes:
        rows: how many there were.
        psi: population stability index of the values.
        jensen_shannon: their Jensen-Shannon distance, 0 to 1.
        wasserstein: how far values moved on the mean, in the column's unit; None for a category.
        missing: the share of missing values.
        unseen: the share of values that training did not see.
        reasons: what is beyond chance and large: `values`, `missing`, `unseen`.
    """

    rows: int
    psi: float | None = None
    jensen_shannon: float | None = None
    wasserstein: float | None = None
    missing: float | None = None
    unseen: float | None = None
    reasons: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """What a person should know."""
        if self.rows < MINIMUM_ROWS:
            return "too few rows"
        return "drifted" if self.reasons else "steady"


def compare(column: Column, counts: Counts, columns: int) -> Comparison:
    """Compare a window's counts with those of training.

    Args:
        column: the column.
        counts: by cell, shape (cells,).
        columns: how many are compared in the window, which share the rate of false alarms.
    """
    rows, training = int(counts.sum()), np.array(column.counts)
    # The rows of training that were not drawn anew: the unseen are an estimate.
    training_rows = int(training.sum() - training[-2])
    if rows == 0 or training_rows == 0:
        return Comparison(rows)
    values, reference = counts[:-2], training[:-2]
    missing, unseen = float(counts[-1] / rows), float(counts[-2] / rows)
    psi, distance = _divergence(reference, values)
    reasons = []
    if rows >= MINIMUM_ROWS:
        level = FALSE_ALARM_RATE / (TESTS * columns)
        if psi >= PSI and is_other(reference, values, level):
            reasons.append("values")
        for name, place in (("missing", -1), ("unseen", -2)):
            more = counts[place] / rows - training[place] / training_rows
            such = int(counts[place]), rows, int(training[place]), training_rows
            if more >= SHARE and tail(*such) < level:
                reasons.append(name)
    moved = None if column.ends is None else _moved(column, reference, values)
    return Comparison(rows, psi, distance, moved, missing, unseen, reasons)


def _shares(counts: Counts) -> Floats:
    shares: Floats = (counts + HALF) / (counts.sum() + HALF * len(counts))
    return shares


def _divergence(reference: Counts, values: Counts) -> tuple[float, float]:
    """PSI, and the Jensen-Shannon distance with logarithms to base 2."""
    p, q = _shares(reference), _shares(values)
    middle = (p + q) / 2
    nearness = (p * np.log2(p / middle) + q * np.log2(q / middle)).sum() / 2
    return float(((q - p) * np.log(q / p)).sum()), math.sqrt(max(0.0, float(nearness)))


def _moved(column: Column, reference: Counts, values: Counts) -> float | None:
    """The area between the two distributions, over the bins."""
    if not values.sum() or not reference.sum() or column.ends is None:
        return None
    points = np.clip(np.array([column.ends[0], *column.edges, column.ends[1]]), *column.ends)
    between = np.abs(np.cumsum(reference / reference.sum()) - np.cumsum(values / values.sum()))
    # Within a bin the distance goes from the one end's to the other's
    ends = np.concatenate([[0.0], between])
    return float(((ends[:-1] + ends[1:]) / 2 * np.diff(points)).sum())


def is_other(reference: Counts, values: Counts, level: float) -> bool:
    """Whether two sets of counts differ by more than chance (chi-square of homogeneity).

    Args:
        reference: shape (cells,).
        values: shape (cells,).
        level: how often chance may say so.
    """
    both = np.stack([reference, values]).astype(float)
    totals = both.sum(axis=1)
    if totals.min() == 0:
        return False
    expected = both.sum(axis=0) * totals.min() / totals.sum()
    rare = expected < EXPECTED
    if rare.any():
        both = np.column_stack([both[:, ~rare], both[:, rare].sum(axis=1)])
    both = both[:, both.sum(axis=0) > 0]
    freedom = both.shape[1] - 1
    if freedom == 0:
        return False
    expected = np.outer(totals, both.sum(axis=0)) / totals.sum()
    statistic = float(((both - expected) ** 2 / expected).sum())
    return statistic > chi_square(freedom, level)


def chi_square(freedom: int, level: float) -> float:
    """What chi-square exceeds with the chance `level`, by Wilson and Hilferty."""
    part = 2 / (9 * freedom)
    return freedom * (1 - part + NormalDist().inv_cdf(1 - level) * math.sqrt(part)) ** 3


def tail(hits: int, rows: int, training: int, training_rows: int) -> float:
    """How likely chance puts so many or more of all such rows into the window (Fisher's test).

    Args:
        hits: such rows of the window.
        rows: all rows of the window.
        training: such rows of training.
        training_rows: all rows of training.
    """
    such, everything = hits + training, rows + training_rows

    def logarithm(count: int) -> float:
        return (
            _choose(such, count)
            + _choose(everything - such, rows - count)
            - _choose(everything, rows)
        )

    chance = 0.0
    for count in range(hits, min(such, rows) + 1):
        if rows - count > everything - such:
            continue
        part = math.exp(logarithm(count))
        chance += part
        if part < 1e-12 * chance:  # beyond the mean they only shrink
            break
    return chance


def _choose(of: int, count: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(count + 1) - math.lgamma(of - count + 1)
