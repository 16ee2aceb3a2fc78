"""The rows against which answers are explained: what a column is worth when it is not known."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from stages.schema import Schema

ROWS = 100
# Rows behind each median: no fewer, so that none of them can be told from it.
ROWS_PER_MEDIAN = 10

Background = Literal["medians", "columns", "rows"]


def background(frame: pd.DataFrame, schema: Schema, kind: Background, seed: int) -> pd.DataFrame:
    """Choose or make at most `ROWS` rows that stand for the table.

    Args:
        frame: the prepared rows.
        schema: the table's schema.
        kind: `medians`: the rows are divided into groups of alike ones; each gives the median
            of every number and the most frequent of every other value. `columns`: every
            column is drawn by itself, so that no row is a real one. `rows`: real rows.
        seed: of what is drawn.

    Returns:
        The features' columns under their table names.
    """
    return _MAKERS[kind](frame[schema.names], schema, np.random.default_rng(seed))


def _medians(frame: pd.DataFrame, schema: Schema, draw: np.random.Generator) -> pd.DataFrame:
    # Every column counts the same: by the places of its values, from 0 to 1.
    places = frame.rank(pct=True).fillna(0.5).to_numpy()
    count = int(np.clip(len(frame) // ROWS_PER_MEDIAN, 1, ROWS))
    groups = _groups(places, np.arange(len(frame)), count)
    columns = {
        feature.name: [
            _typical(frame[feature.name].iloc[group], feature.kind in {"number", "date"})
            for group in groups
        ]
        for feature in schema.features
    }
    return pd.DataFrame(columns).astype(frame.dtypes.to_dict())


def _groups(
    places: npt.NDArray[np.float64], rows: npt.NDArray[np.intp], count: int
) -> list[npt.NDArray[np.intp]]:
    """Halve the rows, again and again, along the column in which they differ most.

    Returns:
        `count` groups of (almost) the same size, so that each stands for as many rows.
    """
    if count == 1:
        return [rows]
    column = places[rows].var(axis=0).argmax()
    ordered = rows[np.argsort(places[rows, column], kind="stable")]
    left = count // 2
    cut = len(rows) * left // count
    return _groups(places, ordered[:cut], left) + _groups(places, ordered[cut:], count - left)


def _typical(values: pd.Series, ordered: bool) -> object:
    """The median, or the most frequent value (the first of equals); missing where most are."""
    if values.isna().sum() * 2 > len(values):
        return None
    return values.median() if ordered else values.mode().iloc[0]


def _columns(frame: pd.DataFrame, schema: Schema, draw: np.random.Generator) -> pd.DataFrame:
    count = min(len(frame), ROWS)
    return pd.DataFrame(
        {
            name: values.iloc[draw.choice(len(frame), count, replace=False)].to_numpy()
            for name, values in frame.items()
        }
    )


def _rows(frame: pd.DataFrame, schema: Schema, draw: np.random.Generator) -> pd.DataFrame:
    return frame.iloc[draw.choice(len(frame), min(len(frame), ROWS), replace=False)]


_MAKERS: dict[Background, Callable[[pd.DataFrame, Schema, np.random.Generator], pd.DataFrame]] = {
    "medians": _medians,
    "columns": _columns,
    "rows": _rows,
}
