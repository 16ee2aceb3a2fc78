"""Bootstrap confidence intervals: how far the holdout's metrics depend on its very rows.

Every resample is a vector of row counts, so that a metric of a thousand resamples is a few
matrix products.
"""

import numpy as np

from app.model.manifest import Task
from stages.evaluation.metrics import Outcome, weighted

RESAMPLES = 1000
LEVEL = 0.95
CELLS = 2_000_000  # resamples x rows computed at once: some hundred megabytes at the most


def bootstrap(
    task: Task,
    actual: np.ndarray,
    predicted: np.ndarray,
    probabilities: np.ndarray | None,
    units: np.ndarray,
    seed: int,
) -> dict[str, dict[str, float]]:
    """A 95 % interval of each metric, by the percentiles of resampled holdouts.

    Args:
        task: regression or classification.
        actual: the targets, shape (rows,): values, or class indices.
        predicted: the answers, same shape and meaning.
        probabilities: shape (rows, classes), or None where the estimator gives none.
        units: what is drawn with replacement, shape (rows,): the number, from 0, of each row's
            group, or of the row itself where rows are independent.
        seed: of the draws.

    Returns:
        `low` and `high` of each metric of `metrics.score`; resamples that lack a class do not
        count for the curves' metrics. Empty where all rows are one unit.
    """
    count = int(units.max()) + 1
    if count < 2:
        return {}
    outcome = Outcome(actual, predicted, probabilities)
    generator = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {}
    step = max(1, CELLS // len(units))
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        drawn = generator.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        weights = times[:, units].astype(float)
        for name, values in weighted(task, outcome, weights).items():
            parts.setdefault(name, []).append(values)
    intervals = {}
    for name, chunks in parts.items():
        values = np.concatenate(chunks)
        values = values[np.isfinite(values)]
        if len(values):
            low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            intervals[name] = {"low": float(low), "high": float(high)}
    return intervals
