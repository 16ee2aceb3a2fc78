"""The tables that `dvc plots` shows; `dvc.yaml` names their columns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.files import settled, write_table
from stages.schema import Schema

# Every table is always written, empty where this task or split has no such plot: `dvc plots`
# complains of a file that is not there.
COLUMNS = {
    "calibration": ["predicted", "observed", "rows"],
    "importance": ["feature", "importance", "deviation"],
    "labels": ["actual", "predicted"],
    "residuals": ["actual", "predicted", "residual"],
    "slices": ["slice", "rows", "error", "ratio"],
    "validation": ["folds", "metric", "value"],
}
BINS = 10


def write_tables(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write each table of `COLUMNS` as CSV; one that is not given has its header alone."""
    for name, columns in COLUMNS.items():
        table = tables.get(name, pd.DataFrame(columns=columns))
        write_table(folder / f"{name}.csv", table[columns])


def residuals(actual: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Actual, predicted and their difference, in the target's unit; one row per row."""
    sizes = np.maximum(np.abs(actual), np.abs(predicted))
    differences = map(settled, actual - predicted, sizes)
    return pd.DataFrame({"actual": actual, "predicted": predicted, "residual": list(differences)})


def labels(actual: np.ndarray, predicted: np.ndarray, schema: Schema) -> pd.DataFrame:
    """Actual and predicted labels, from class indices; one row per row."""
    names = np.array(schema.classes, dtype=object)
    return pd.DataFrame({"actual": names[actual], "predicted": names[predicted]})


def calibration(actual: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Whether 80 % means 80 %: mean probability and observed share, in bins of equal width.

    Args:
        actual: class indices, shape (rows,).
        probabilities: shape (rows, classes).

    Returns:
        Two classes: `predicted` is the probability of the second, `observed` its share. More:
        the probability of the label given, and how often that is right. `rows` in the bin.
    """
    if probabilities.shape[1] == 2:
        chance, outcome = probabilities[:, 1], actual == 1
    else:
        chance, outcome = probabilities.max(axis=1), actual == probabilities.argmax(axis=1)
    number = np.minimum((chance * BINS).astype(int), BINS - 1)
    table = pd.DataFrame({"predicted": chance, "observed": outcome.astype(float), "rows": 1})
    return table.groupby(number).agg({"predicted": "mean", "observed": "mean", "rows": "sum"})


def validation(report: Mapping[str, Any], strategy: str, metric: str) -> pd.DataFrame:
    """One metric's means from `leakage`, by the split's own folds and by random ones."""
    rows = [
        (f"{folds} folds", metric, report[block]["mean"].get(metric, np.nan))
        for folds, block in ((strategy, "honest"), ("random", "flattering"))
    ]
    return pd.DataFrame(rows, columns=COLUMNS["validation"])
