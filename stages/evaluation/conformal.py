"""Prediction intervals with a promise: split conformal, and the coverage that it really has.

Source: Lei et al. 2018, Distribution-Free Predictive Inference for Regression, algorithm 2.
"""

import math

import numpy as np

LEVEL = 0.9


def first_half(units: np.ndarray, seed: int | None) -> np.ndarray:
    """Choose whole units until they hold about half of the rows.

    Args:
        units: shape (rows,), the number, from 0, of each row's group, or of the row itself.
        seed: of the units' order; None takes them by number.

    Returns:
        Shape (rows,), True for a row of the first half.
    """
    sizes = np.bincount(units)
    order = np.arange(len(sizes))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(sizes))
    middle = np.cumsum(sizes[order]) - sizes[order] / 2
    chosen: np.ndarray = np.isin(units, order[middle <= len(units) / 2])
    return chosen


def prediction_interval(
    actual: np.ndarray, predicted: np.ndarray, first: np.ndarray
) -> dict[str, float]:
    """Learn the interval's half width on one half of the holdout, count hits on the other.

    Args:
        actual: the targets, shape (rows,).
        predicted: the answers, shape (rows,).
        first: which rows calibrate, shape (rows,), from `first_half`.

    Returns:
        `level` (0.9), `half_width` in the target's unit: the interval is the prediction plus or
        minus it; `coverage`: the share of the other half's targets that lie inside; and the rows
        of both halves. Empty where the halves are too small for the level.
    """
    misses = np.abs(actual - predicted)
    calibration, measured = np.sort(misses[first]), misses[~first]
    rank = math.ceil((len(calibration) + 1) * LEVEL)
    if rank > len(calibration) or not len(measured):
        return {}
    half_width = calibration[rank - 1]
    return {
        "level": LEVEL,
        "half_width": float(half_width),
        "coverage": float(np.mean(measured <= half_width)),
        "calibration_rows": len(calibration),
        "measured_rows": len(measured),
    }
