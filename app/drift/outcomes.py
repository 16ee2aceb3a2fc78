"""The live error: answers beside the truth that came later, and beside the holdout's error."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from app.drift.statistics import FALSE_ALARM_RATE, MINIMUM_ROWS
from app.model.conformal import half_widths
from app.model.manifest import Interface, Manifest
from app.model.runtime import Floats

# Sums that a window keeps: truths, losses (of a number the absolute error, of a label 1 where it is
# wrong), their squares, and truths inside the interval of `COVERAGE`.
SUMS = 4
COVERAGE = 0.9
WORSE = 1.1  # times the holdout's loss: what is less does not matter
SURE = NormalDist().inv_cdf(0.975)  # the report's intervals hold 95 %


def sums(interface: Interface, answers: Floats, truths: Floats) -> Floats:
    """What a window adds up, shape (SUMS,).

    Args:
        interface: the model's.
        answers: numbers, or indices of classes; shape (rows,).
        truths: the same of the truth; -1 is no class of the model.
    """
    if interface.task == "classification":
        losses = (answers != truths).astype(float)
    else:
        losses = np.abs(answers - truths)
    inside = 0.0
    for level in interface.intervals.levels if interface.intervals else ():
        if level.coverage == COVERAGE and interface.task == "regression":
            assert interface.intervals is not None  # noqa: S101 (it has this level)
            inside = float(np.sum(losses <= half_widths(interface.intervals, level, answers)))
    return np.array([len(losses), losses.sum(), (losses**2).sum(), inside])


def describe(manifest: Manifest, windows: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """The live error of each window.

    Args:
        manifest: has the holdout's.
        windows: sums, shape (SUMS,).
    """
    metric = "mae" if manifest.task == "regression" else "accuracy"
    names = (metric, "rmse") if manifest.task == "regression" else (metric,)
    holdout = {name: manifest.metrics[name] for name in names if name in manifest.metrics}
    return {
        "holdout": holdout,
        "windows": {
            name: _described(manifest, metric, window.tolist()) for name, window in windows.items()
        },
    }


def _described(manifest: Manifest, metric: str, window: list[float]) -> dict[str, Any]:
    rows, losses, squares, inside = window
    if rows == 0:
        return {"rows": 0, "verdict": "too few rows"}
    mean = losses / rows
    told: dict[str, Any] = {"rows": int(rows)}
    if metric == "accuracy":
        told["accuracy"] = 1 - mean
    else:
        told |= {"mae": mean, "rmse": math.sqrt(squares / rows)}
        intervals = manifest.intervals
        if intervals and any(level.coverage == COVERAGE for level in intervals.levels):
            told["coverage"] = inside / rows
    return told | {"verdict": _verdict(manifest, metric, rows, mean, squares / rows)}


def _verdict(manifest: Manifest, metric: str, rows: float, mean: float, square: float) -> str:
    """Whether the loss is larger than the holdout's, by more than chance and by enough."""
    if rows < MINIMUM_ROWS:
        return "too few rows"
    if metric not in manifest.metrics:
        return "no holdout"
    score = manifest.metrics[metric]
    score = 1 - score if metric == "accuracy" else score
    spread = (square - mean**2) / rows
    if manifest.evaluation and metric in manifest.evaluation.interval:
        low, high = manifest.evaluation.interval[metric]
        spread += ((high - low) / 2 / SURE) ** 2
    limit = score + NormalDist().inv_cdf(1 - FALSE_ALARM_RATE) * math.sqrt(max(0.0, spread))
    return "worse" if mean > limit and mean > WORSE * score else "steady"
