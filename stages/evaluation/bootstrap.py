"""Bootstrap confidence intervals: how far the holdout's metrics depend on its very rows.

Every resample is a vector of row counts, so that a metric of a thousand resamples is a few
matrix products. The point estimates are scikit-learn's, in `stages.evaluation.metrics`.
"""

import numpy as np

from app.model.manifest import Task

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
    generator = np.random.default_rng(seed)
    parts: dict[str, list[np.ndarray]] = {}
    step = max(1, CELLS // len(units))
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        drawn = generator.integers(0, count, (size, count)) + count * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        weights = times[:, units].astype(float)
        for name, values in weighted(task, actual, predicted, probabilities, weights).items():
            parts.setdefault(name, []).append(values)
    intervals = {}
    for name, chunks in parts.items():
        values = np.concatenate(chunks)
        values = values[np.isfinite(values)]
        if len(values):
            low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
            intervals[name] = {"low": float(low), "high": float(high)}
    return intervals


def weighted(
    task: Task,
    actual: np.ndarray,
    predicted: np.ndarray,
    probabilities: np.ndarray | None,
    weights: np.ndarray,
) -> dict[str, np.ndarray]:
    """The metrics of `stages.evaluation.metrics.score` for many weightings of the rows.

    Args:
        task: regression or classification.
        actual: as in `bootstrap`.
        predicted: as in `bootstrap`.
        probabilities: as in `bootstrap`.
        weights: shape (resamples, rows), 0 or more.

    Returns:
        Shape (resamples,) for each metric; NaN where it is not defined.
    """
    total = weights.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        if task == "regression":
            return _regression(actual, predicted, weights, total)
        scores = _labels(actual, predicted, weights, total)
        if probabilities is not None:
            scores |= _chances(actual, probabilities.astype(float), weights, total)
    return scores


def _regression(
    actual: np.ndarray, predicted: np.ndarray, weights: np.ndarray, total: np.ndarray
) -> dict[str, np.ndarray]:
    error = np.abs(actual - predicted)
    squares = weights @ error**2
    centred = actual - actual.mean()  # keeps the difference of squares below exact
    spread = weights @ centred**2 - (weights @ centred) ** 2 / total
    relative = error / np.maximum(np.abs(actual), np.finfo(float).eps)
    return {
        "rmse": np.sqrt(squares / total),
        "mae": weights @ error / total,
        "r2": 1 - squares / spread,
        "mape": weights @ relative / total,
    }


def _labels(
    actual: np.ndarray, predicted: np.ndarray, weights: np.ndarray, total: np.ndarray
) -> dict[str, np.ndarray]:
    classes = np.arange(max(actual.max(), predicted.max()) + 1)
    truth, answer = actual[:, None] == classes, predicted[:, None] == classes
    hits = weights @ (truth & answer)
    support, answered = weights @ truth, weights @ answer
    return {
        "accuracy": hits.sum(axis=1) / total,
        "balanced_accuracy": np.nanmean(hits / support, axis=1),
        "f1": np.nanmean(2 * hits / (support + answered), axis=1),
    }


def _chances(
    actual: np.ndarray, probabilities: np.ndarray, weights: np.ndarray, total: np.ndarray
) -> dict[str, np.ndarray]:
    classes = np.arange(probabilities.shape[1])
    truth = actual[:, None] == classes
    columns = classes[1:] if len(classes) == 2 else classes
    tiny = np.finfo(float).eps
    loss = -np.log(np.clip(probabilities[truth], tiny, 1 - tiny))
    square = ((probabilities - truth)[:, columns] ** 2).sum(axis=1)
    areas = [_areas(truth[:, one], probabilities[:, one], weights) for one in columns]
    return {
        "roc_auc": np.mean([roc for roc, _ in areas], axis=0),
        "pr_auc": np.mean([precision for _, precision in areas], axis=0),
        "log_loss": weights @ loss / total,
        "brier": weights @ square / total,
    }


def _areas(
    truth: np.ndarray, chance: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Areas under the ROC curve and, as average precision, the precision-recall curve."""
    order = np.argsort(-chance, kind="stable")
    last = np.flatnonzero(np.append(np.diff(chance[order]) != 0, True))  # of rows that tie
    ordered, truth = weights[:, order], truth[order]
    hits = np.cumsum(ordered * truth, axis=1)[:, last]
    misses = np.cumsum(ordered * ~truth, axis=1)[:, last]
    new_hits, new_misses = np.diff(hits, prepend=0.0), np.diff(misses, prepend=0.0)
    precision = hits / np.maximum(hits + misses, 1e-300)  # no hit yet: 0 of 0 adds nothing
    roc = (new_misses * (hits - new_hits / 2)).sum(axis=1) / (hits[:, -1] * misses[:, -1])
    return roc, (new_hits * precision).sum(axis=1) / hits[:, -1]
