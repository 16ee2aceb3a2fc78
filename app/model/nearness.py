"""How near two sets of answers are: one formula for the deploy stage's proof and the self-test."""

from typing import Any

import numpy as np
import numpy.typing as npt


def largest_difference(expected: npt.ArrayLike, answers: npt.ArrayLike) -> float:
    """Measure how far answers are from the expected ones, as tolerances are given.

    Predictions of shape (rows,) differ by |answer - expected| / max(|expected|, small), where
    `small` is the median of |expected|, at most 1, and 1 where that median is 0. So a
    difference is relative, also for a target whose values are all near 1e-9, and one value that
    happens to be near zero does not count more than the others.

    Probabilities of shape (rows, classes) differ by |answer - expected|.

    Two missing answers are equal; one missing answer is infinitely far.

    Args:
        expected: float64; what is right.
        answers: float64, the same shape.

    Returns:
        The largest difference; 0 where there is nothing to compare.

    Raises:
        ValueError: the shapes differ.
    """
    right: npt.NDArray[Any] = np.asarray(expected, np.float64)
    other: npt.NDArray[Any] = np.asarray(answers, np.float64)
    if right.shape != other.shape:
        raise ValueError(f"expected answers of shape {right.shape}, got shape {other.shape}")
    scale: npt.NDArray[Any] = np.ones_like(right)
    if right.ndim == 1 and not np.isnan(right).all():
        size = np.abs(right)
        scale = np.maximum(size, min(float(np.nanmedian(size)), 1.0) or 1.0)
    with np.errstate(invalid="ignore", over="ignore"):  # infinities are compared below
        difference = np.abs(other - right) / scale
    difference[(np.isnan(right) & np.isnan(other)) | (right == other)] = 0
    difference[np.isnan(difference)] = np.inf
    return float(difference.max(initial=0.0))
