"""Prediction intervals with a promise, and how the holdout kept it.

The half width comes from errors on rows that a fold did not know, in the folds of `train`: by
whole groups, or on later rows. Only a cross-validation like the holdout errs like the holdout.

Source: Barber et al. 2021, Predictive Inference with the Jackknife+, section 3 (CV+), in the
variant that puts one width around one model, fitted on all training rows.
"""

import math
from typing import Any

import numpy as np

LEVEL = 0.9
BINS = 10  # of about as many answers each, by the size of the answer


def prediction_interval(
    misses: np.ndarray,
    answers: np.ndarray,
    new_misses: np.ndarray,
    new_answers: np.ndarray,
    units: np.ndarray,
) -> dict[str, Any]:
    """Learn the interval's width from the folds, count hits on the holdout.

    Args:
        misses: absolute errors on the rows that the folds answered, shape (answered,).
        answers: what they answered, shape (answered,).
        new_misses: absolute errors of the candidate on the holdout, shape (rows,).
        new_answers: what it answered, shape (rows,).
        units: the number, from 0, of each holdout row's group, or of the row itself.

    Returns:
        `level` (0.9); `half_width` in the target's unit: the interval is the prediction plus or
        minus it; `coverage`: the share of the holdout's targets that lie inside; `mean_width`;
        `scaled`: the coverage and mean width of intervals whose width follows the size of the
        prediction; the rows of both sides; `groups`, where there are any: how many, the mean of
        their coverages, and the coverage that nine of ten groups reach. Empty where the folds
        answered too few rows for the level.
    """
    half_width = conformal_quantile(misses)
    if half_width is None:
        return {}
    found: dict[str, Any] = {"level": LEVEL, "half_width": half_width}
    inside = new_misses <= half_width
    found |= {"coverage": float(np.mean(inside)), "mean_width": 2 * half_width}
    edges = np.quantile(answers, np.linspace(0, 1, BINS + 1)[1:-1])
    bins, new_bins = np.digitize(answers, edges), np.digitize(new_answers, edges)
    scale = np.array([np.mean(misses[bins == number]) for number in np.unique(bins)])
    if len(scale) == BINS and scale.min() > 0:
        factor = conformal_quantile(misses / scale[bins])
        assert factor is not None  # noqa: S101 - there are as many as above
        widths = factor * scale[new_bins]
        found["scaled"] = {
            "coverage": float(np.mean(new_misses <= widths)),
            "mean_width": float(2 * np.mean(widths)),
        }
    sizes = np.bincount(units)
    if len(sizes) < len(units):
        shares = np.bincount(units, weights=inside) / sizes
        found["groups"] = {
            "count": len(sizes),
            "mean_coverage": float(np.mean(shares)),
            "nine_of_ten": float(np.quantile(shares, 0.1)),
        }
    return found | {"calibration_rows": len(misses), "measured_rows": len(new_misses)}


def conformal_quantile(misses: np.ndarray) -> float | None:
    """The width that holds `LEVEL` of misses like these and one more; None if they are too few."""
    rank = math.ceil((len(misses) + 1) * LEVEL)
    return float(np.sort(misses)[rank - 1]) if rank <= len(misses) else None
