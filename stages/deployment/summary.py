"""What the manifest tells people of the evaluation: a small part of reports/."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from app.model.manifest import Bin, Class, Evaluation, Importance, Slice
from stages.evaluation.metrics import METRICS
from stages.files import settled

FEATURES = 15
POINTS = 200
POINT_DIGITS = 4  # of what is only drawn
CLASSES = 12  # more make a table of confusion that nobody can read


def summary(
    report: Mapping[str, Any], plots: Path, metric: str, classes: tuple[Class, ...]
) -> Evaluation:
    """Choose what the page shows.

    Args:
        report: reports/metrics.json.
        plots: the folder of the plot tables.
        metric: `evaluate.gate.metric`.
        classes: the target's labels; none for a regression.
    """
    points = _spread(pd.read_csv(plots / "residuals.csv"), POINTS)
    return Evaluation(
        metric=metric,
        higher_is_better=METRICS[metric].higher_is_better,
        rows=report["rows"],
        interval={
            name: (settled(ends["low"]), settled(ends["high"]))
            for name, ends in report["interval"].items()
        },
        baseline=_settled(report["baseline"]),
        importance=tuple(
            Importance(**row)
            for row in _records(_read(plots / "importance.csv", "feature").head(FEATURES))
        ),
        slices=tuple(Slice(**row) for row in _records(_read(plots / "slices.csv", "slice"))),
        actual=tuple(map(_rounded, points["actual"])),
        predicted=tuple(map(_rounded, points["predicted"])),
        calibration=tuple(Bin(**row) for row in _records(pd.read_csv(plots / "calibration.csv"))),
        confusion=_confusion(plots / "labels.csv", classes),
    )


def _read(path: Path, name: str) -> pd.DataFrame:
    """A plot table whose column `name` holds texts, even one such as 7, NA or an empty one."""
    header = pd.read_csv(path, nrows=0).columns
    missing = {column: [""] for column in header if column != name}
    return pd.read_csv(path, dtype={name: str}, keep_default_na=False, na_values=missing)


def _spread(table: pd.DataFrame, size: int) -> pd.DataFrame:
    """Up to so many rows, at equal distances."""
    places = np.linspace(0, len(table) - 1, min(len(table), size)).round().astype(int)
    return table.iloc[places]


def _records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows, whose numbers have no more digits than `dvc.lock` may pin."""
    for row in table.to_dict("records"):
        yield {
            str(key): settled(one) if isinstance(one, float) else one for key, one in row.items()
        }


def _settled(scores: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {
        model: {metric: settled(value) for metric, value in values.items()}
        for model, values in scores.items()
    }


def _rounded(value: float) -> float:
    return float(f"{value:.{POINT_DIGITS}g}")


def _confusion(labels: Path, classes: tuple[Class, ...]) -> tuple[tuple[int, ...], ...]:
    """How often each class was taken for each."""
    if not 2 <= len(classes) <= CLASSES:
        return ()
    names = [str(label) for label in classes]
    table = pd.read_csv(labels, dtype=str, keep_default_na=False)
    counts = pd.crosstab(table["actual"], table["predicted"])
    matrix = counts.reindex(index=names, columns=names, fill_value=0)
    return tuple(tuple(int(count) for count in row) for row in matrix.to_numpy())
