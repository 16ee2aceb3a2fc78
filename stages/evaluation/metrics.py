"""The table of metrics: name, task, direction and formula. Everything that scores reads it.

Each formula takes many weightings of the rows at once, so that the score of a holdout (all weights
1) and a thousand bootstrap resamples of it (counts of the rows drawn) are one piece of code. The
definitions are scikit-learn's, with its `sample_weight`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from app.model.manifest import Task

TINY = np.finfo(float).eps


@dataclass(frozen=True)
class Outcome:
    """What a model predicted of some rows, and what was true.

    Attributes:
        actual: the targets, shape (rows,): values, or class indices.
        predicted: the predictions, same shape and meaning.
        probabilities: shape (rows, classes), or None where the estimator gives none.
    """

    actual: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None = None


# Weights of shape (weightings, rows) to values of shape (weightings,), NaN where not defined
Formula = Callable[[Outcome, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Attributes:
        name: as in reports/metrics.json and `evaluate.gate.metric`.
        task: which task it scores.
        higher_is_better: its direction.
        formula: its definition.
        needs_probabilities: whether it reads them.
    """

    name: str
    task: Task
    higher_is_better: bool
    formula: Formula
    needs_probabilities: bool = False


def predictions(pipeline: Any, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray | None]:
    """Predictions, and probabilities of shape (rows, classes) where the estimator has them."""
    methods = ("predict", "predict_proba")
    said = {name: getattr(pipeline, name)(X) for name in methods if hasattr(pipeline, name)}
    # CatBoost gives labels as a column
    return in_float64({**said, "predict": np.asarray(said["predict"]).reshape(len(X))})


def in_float64(said: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray | None]:
    """Predictions and probabilities, float64 where they are floats at all.

    Some estimators answer in float32, in which a logarithm or a sum is another number on another
    processor.

    Args:
        said: by the estimator's method: `predict` and, if it has them, `predict_proba`.
    """
    values, chances = np.asarray(said["predict"]), said.get("predict_proba")
    floats = values.astype(np.float64) if values.dtype.kind == "f" else values
    return floats, None if chances is None else np.asarray(chances, dtype=np.float64)


def score(
    task: Task, actual: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None
) -> dict[str, float]:
    """Every metric of a task that is defined for these rows, by its name.

    Args:
        task: regression or classification.
        actual: as in `Outcome`.
        predicted: as in `Outcome`.
        probabilities: as in `Outcome`.

    Raises:
        ValueError: a prediction is missing.
    """
    absent = int(np.isnan(predicted).sum())
    if absent:
        raise ValueError(f"the model gives no number for {absent} of {len(actual)} rows")
    outcome = Outcome(actual, predicted, probabilities)
    values = weighted(task, outcome, np.ones((1, len(actual))))
    return {name: float(one) for name, (one,) in values.items() if np.isfinite(one)}


def weighted(task: Task, outcome: Outcome, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every metric of a task for many weightings of the rows.

    Args:
        task: regression or classification.
        outcome: predictions and truth.
        weights: shape (weightings, rows), 0 or more.

    Returns:
        Shape (weightings,) for each metric; NaN where it is not defined. Metrics of
        probabilities are left out where there are none.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            metric.name: metric.formula(outcome, weights)
            for metric in METRICS.values()
            if metric.task == task
            and (outcome.probabilities is not None or not metric.needs_probabilities)
        }


def mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted means of a row's values; shape (weightings,)."""
    total: np.ndarray = weights @ values / weights.sum(axis=1)
    return total


def rmse(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Root of the mean squared error, in the target's unit."""
    root: np.ndarray = np.sqrt(mean((outcome.actual - outcome.predicted) ** 2, weights))
    return root


def mae(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Mean absolute error, in the target's unit."""
    return mean(np.abs(outcome.actual - outcome.predicted), weights)


def r2(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Share of the target's variance that is explained; not defined where targets are equal."""
    squares = weights @ (outcome.actual - outcome.predicted) ** 2
    centred = outcome.actual - np.median(outcome.actual)  # keeps the difference below exact
    spread = weights @ centred**2 - (weights @ centred) ** 2 / weights.sum(axis=1)
    share: np.ndarray = np.where(spread > 0, 1 - squares / spread, np.nan)
    return share


def mape(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Mean absolute error relative to the target, as a fraction."""
    errors = np.abs(outcome.actual - outcome.predicted)
    return mean(errors / np.maximum(np.abs(outcome.actual), TINY), weights)


def accuracy(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Share of right labels."""
    return mean((outcome.actual == outcome.predicted).astype(float), weights)


def balanced_accuracy(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Share of right labels in each actual class, and the mean of these."""
    hits, actual, _ = _counts(outcome, weights)
    share: np.ndarray = np.nanmean(hits / actual, axis=1)
    return share


def f1(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall of each class, and the mean of these (macro)."""
    hits, actual, predicted = _counts(outcome, weights)
    share: np.ndarray = np.nanmean(2 * hits / (actual + predicted), axis=1)
    return share


def roc_auc(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve; of the second class of two, else one against the rest, mean."""
    return _mean_area(outcome, weights, _roc_area)


def pr_auc(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Average precision; of the second class of two, else one against the rest, mean."""
    return _mean_area(outcome, weights, _precision_area)


def log_loss(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Mean negative natural logarithm of the probability of what was true."""
    truth, chances = _truth(outcome)
    return mean(-np.log(np.clip(chances[truth], TINY, 1 - TINY)), weights)


def brier(outcome: Outcome, weights: np.ndarray) -> np.ndarray:
    """Mean squared error of the probabilities.

    Of two classes it is that of the second, 0 to 1; of more, their sum, 0 to 2.
    """
    truth, chances = _truth(outcome)
    columns = _scored_classes(chances)
    return mean(((chances - truth)[:, columns] ** 2).sum(axis=1), weights)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("rmse", "regression", False, rmse),
        Metric("mae", "regression", False, mae),
        Metric("r2", "regression", True, r2),
        Metric("mape", "regression", False, mape),
        Metric("accuracy", "classification", True, accuracy),
        Metric("balanced_accuracy", "classification", True, balanced_accuracy),
        Metric("f1", "classification", True, f1),
        Metric("roc_auc", "classification", True, roc_auc, needs_probabilities=True),
        Metric("pr_auc", "classification", True, pr_auc, needs_probabilities=True),
        Metric("log_loss", "classification", False, log_loss, needs_probabilities=True),
        Metric("brier", "classification", False, brier, needs_probabilities=True),
    )
}
# Scores of the folds that PyCaret alone gives, and of which less is better; see `folds` in
# reports/metrics.json.
FOLD_ERRORS = {"mse", "rmsle"}


def higher_is_better(name: str) -> bool:
    """The direction of a metric of the holdout or of the folds, by its name in metrics.json."""
    return METRICS[name].higher_is_better if name in METRICS else name not in FOLD_ERRORS


def _counts(outcome: Outcome, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights of the right, the actual and the predicted rows; each (weightings, classes)."""
    classes = np.arange(max(outcome.actual.max(), outcome.predicted.max()) + 1)
    actual = outcome.actual[:, None] == classes
    predicted = outcome.predicted[:, None] == classes
    return weights @ (actual & predicted), weights @ actual, weights @ predicted


def _truth(outcome: Outcome) -> tuple[np.ndarray, np.ndarray]:
    """Which class each row has, as bools, and the probabilities; both (rows, classes)."""
    chances = np.asarray(outcome.probabilities, dtype=float)
    return outcome.actual[:, None] == np.arange(chances.shape[1]), chances


def _scored_classes(chances: np.ndarray) -> np.ndarray:
    classes = np.arange(chances.shape[1])
    return classes[1:] if len(classes) == 2 else classes


Area = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _mean_area(outcome: Outcome, weights: np.ndarray, area: Area) -> np.ndarray:
    """The area under a curve over thresholds, mean over the classes; NaN where one is absent."""
    truth, chances = _truth(outcome)
    areas = []
    for column in _scored_classes(chances):
        order = np.argsort(-chances[:, column], kind="stable")
        last = np.flatnonzero(np.append(np.diff(chances[order, column]) != 0, True))  # of ties
        drawn, right = weights[:, order], truth[order, column]
        hits = np.cumsum(drawn * right, axis=1)[:, last]
        misses = np.cumsum(drawn * ~right, axis=1)[:, last]
        value = area(hits, misses)
        one_sided = (hits[:, -1] == 0) | (misses[:, -1] == 0)
        areas.append(np.where(one_sided, np.nan, value))
    result: np.ndarray = np.mean(areas, axis=0)
    return result


def _roc_area(hits: np.ndarray, misses: np.ndarray) -> np.ndarray:
    new_hits, new_misses = np.diff(hits, prepend=0.0), np.diff(misses, prepend=0.0)
    both = hits[:, -1] * misses[:, -1]
    area: np.ndarray = (new_misses * (hits - new_hits / 2)).sum(axis=1) / both
    return area


def _precision_area(hits: np.ndarray, misses: np.ndarray) -> np.ndarray:
    precision = hits / np.maximum(hits + misses, 1e-300)  # no hit yet: 0 of 0 adds nothing
    area: np.ndarray = (np.diff(hits, prepend=0.0) * precision).sum(axis=1) / hits[:, -1]
    return area
