"""Bootstrap: how far what the holdout says depends on its very rows.

Every resample is a vector of row counts, so that a metric of a thousand resamples is a few
matrix products, and two models are compared on the same resamples.
"""

from collections.abc import Callable, Mapping

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95
CELLS = 2_000_000  # resamples x rows computed at once: some hundred megabytes at the most

# Weights of shape (resamples, rows) to values of shape (resamples,), by name
Measure = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def bootstrap(measure: Measure, units: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """What is measured on resampled holdouts.

    Args:
        measure: NaN where a resample does not define a value.
        units: what is drawn with replacement, shape (rows,): the number, from 0, of each row's
            group, or of the row itself where rows are independent.
        seed: of the draws.

    Returns:
        The values of up to 1000 resamples, by name: those that have one. Empty where all rows are
        one unit.
    """
    count = int(units.max()) + 1
    if count < 2:
        return {}
    generator = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {}
    step = max(1, CELLS // len(units))
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        drawn = generator.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        for name, values in measure(times[:, units].astype(float)).items():
            parts.setdefault(name, []).append(values)
    resampled = {name: np.concatenate(chunks) for name, chunks in parts.items()}
    defined = {name: values[np.isfinite(values)] for name, values in resampled.items()}
    return {name: values for name, values in defined.items() if len(values)}


def interval(values: np.ndarray) -> dict[str, float]:
    """Where 95 % of the resampled values lie: `low` and `high`."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"low": float(low), "high": float(high)}
