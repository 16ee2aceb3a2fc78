"""A model's answers, their metrics by scikit-learn's definitions, and the gate that reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import metrics

from app.model.manifest import Task
from stages.params import Gate

METRICS = Path("reports/metrics.json")
HIGHER_IS_BETTER = {
    "rmse": False,
    "mae": False,
    "r2": True,
    "mape": False,
    "accuracy": True,
    "balanced_accuracy": True,
    "f1": True,
    "roc_auc": True,
    "pr_auc": True,
    "log_loss": False,
    "brier": False,
}


def answers(pipeline: Any, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray | None]:
    """Predictions, and probabilities of shape (rows, classes) where the estimator has them."""
    probabilities = None
    if hasattr(pipeline, "predict_proba"):
        # XGBoost's are float32, for which scikit-learn clips the log loss elsewhere
        probabilities = np.asarray(pipeline.predict_proba(X), dtype=np.float64)
    # CatBoost gives labels as a column
    return np.asarray(pipeline.predict(X)).reshape(len(X)), probabilities


def score(
    task: Task, actual: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray | None
) -> dict[str, float]:
    """Metrics of one set of predictions.

    Args:
        task: regression or classification.
        actual: the targets, shape (rows,): values, or class indices.
        predicted: the answers, same shape and meaning.
        probabilities: shape (rows, classes), or None where the estimator gives none.

    Returns:
        Regression: rmse and mae in the target's unit, r2, mape as a fraction. Classification:
        accuracy, balanced_accuracy, f1 (macro) and, with probabilities, log_loss (natural
        logarithm), brier (two classes: of the second, 0 to 1; more: summed over them, 0 to 2)
        and, where `actual` has every class, roc_auc and pr_auc (average precision), each of
        the second class of two, or the mean of one class against the rest.
    """
    if task == "regression":
        return {
            "rmse": float(np.sqrt(metrics.mean_squared_error(actual, predicted))),
            "mae": float(metrics.mean_absolute_error(actual, predicted)),
            "r2": float(metrics.r2_score(actual, predicted)),
            "mape": float(metrics.mean_absolute_percentage_error(actual, predicted)),
        }
    scores = {
        "accuracy": float(metrics.accuracy_score(actual, predicted)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(actual, predicted)),
        "f1": float(metrics.f1_score(actual, predicted, average="macro", zero_division=0.0)),
    }
    if probabilities is not None:
        classes = np.arange(probabilities.shape[1])
        truth = actual[:, None] == classes
        columns = classes[1:] if len(classes) == 2 else classes
        if truth.any(axis=0).all():
            pairs = [(truth[:, one], probabilities[:, one]) for one in columns]
            scores["roc_auc"] = float(np.mean([metrics.roc_auc_score(*pair) for pair in pairs]))
            scores["pr_auc"] = float(
                np.mean([metrics.average_precision_score(*pair) for pair in pairs])
            )
        scores["log_loss"] = float(metrics.log_loss(actual, probabilities, labels=classes))
        scores["brier"] = float(((probabilities - truth)[:, columns] ** 2).sum(axis=1).mean())
    return scores


def gate(scores: Mapping[str, Any], wanted: Gate) -> list[str]:
    """Why a model may not be deployed; empty when it may.

    Args:
        scores: `reports/metrics.json`: the blocks `model` and `baseline`.
        wanted: the block `evaluate.gate`.

    Raises:
        ValueError: `gate.metric` is not among the metrics of this task.
    """
    metric, model = wanted.metric, scores["model"]
    if metric not in model:
        raise ValueError(
            f"evaluate.gate.metric: {metric!r} is not measured here; there are {sorted(model)}."
        )
    higher = HIGHER_IS_BETTER[metric]
    bounds = {"the limit evaluate.gate.limit": wanted.limit}
    if wanted.beat_baseline:
        bounds |= {
            f"the {name} baseline": values.get(metric)
            for name, values in scores["baseline"].items()
        }
    reasons = []
    for name, bound in bounds.items():
        if bound is None:
            continue
        shortfall = bound - model[metric] if higher else model[metric] - bound
        if not shortfall <= 0:  # also when the metric is not a number
            share = f" ({shortfall / abs(bound):.1%})" if bound else ""
            side = "below" if higher else "above"
            reasons.append(
                f"{metric} {model[metric]:.6g} is {side} {name}, {bound:.6g}, "
                f"by {shortfall:.6g}{share}"
            )
    return reasons
