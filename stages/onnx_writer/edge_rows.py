"""Hard rows for the proof that a served model answers as the fitted pipeline does."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .convert import preprocessing, thresholds
from .errors import NotConvertible
from .features import Feature
from .preprocessing.pipeline import unseen_text

THRESHOLDS_PER_COLUMN = 24
# PyCaret's date step leaves a feature out where more than 10 % of a frame's dates are missing,
# so a proof needs this many rows for each missing date.
ROWS_PER_MISSING_DATE = 20
DATES_OF_NOTE = (
    "1900-02-28T00:00:00",
    "1969-12-31T23:59:59",
    "1970-01-01T00:00:00",
    "2000-02-29T00:00:00",
    "2024-12-31T12:34:56",
)


def edge_rows(
    frame: pd.DataFrame,
    features: Sequence[Feature],
    columns: Sequence[str],
    pipeline: Any,
) -> pd.DataFrame:
    """Build rows that take every branch a conversion could get wrong.

    Missing values (each column, all columns), a category never seen, each known category, the
    extremes and far beyond, zero, negative and whole numbers, dates around leap days and before
    1970, and values exactly on the splits of the pipeline's trees and next to them, in float64
    and float32. The same arguments give the same rows. Rows that the pipeline itself refuses
    (a linear model without imputation and a missing value) are left out.

    Args:
        frame: ordinary rows, as the pipeline takes them; at least one.
        features: the features in packing order.
        columns: the name of each feature in the frame.
        pipeline: the fitted pipeline.

    Returns:
        A frame with the columns of `frame` that are features, and a new index. Predict it in
        one go, not row by row: PyCaret's date step looks at the share of missing dates.
    """
    ordinary = frame.loc[:, list(columns)].reset_index(drop=True)
    changes: list[dict[str, Any]] = [{}]
    for feature, column in zip(features, columns, strict=True):
        changes += [{column: value} for value in _values(feature)]
    for column, splits in _splits(ordinary, features, columns, pipeline).items():
        changes += [{column: value} for value in _around(splits)]
    unseen = {
        column: unseen_text(feature.categories)
        for feature, column in zip(features, columns, strict=True)
        if feature.kind == "category"
    }
    missing = [{column: None} for column in columns] + [dict.fromkeys(columns)]
    usual = _changed(ordinary, [*changes, unseen])
    scarce = _changed(ordinary, missing)
    dates = [c for f, c in zip(features, columns, strict=True) if f.kind == "date"]
    short = 2 * ROWS_PER_MISSING_DATE - len(usual) if dates else 0
    if short > 0:
        usual = pd.concat([usual, _changed(ordinary, [{}] * short)], ignore_index=True)
    filler = _changed(ordinary.dropna(subset=dates), [{}] * ROWS_PER_MISSING_DATE)
    answered = [_accepted(pipeline, rows, filler) for rows in (usual, scarce)]
    return pd.concat(answered, ignore_index=True)


def _values(feature: Feature) -> Iterator[Any]:
    """Yield the values of note for one feature."""
    if feature.kind == "category":
        yield unseen_text(feature.categories)
        yield from feature.categories
        return
    low, high = feature.minimum or 0.0, feature.maximum or 0.0
    if feature.kind == "date":
        yield from pd.to_datetime([low, high], unit="s")
        yield from pd.to_datetime(DATES_OF_NOTE)
        return
    yield from (0.0, 1.0)
    if feature.kind == "number":
        span = high - low or 1.0
        yield from (low, high, low - 10 * span, high + 10 * span, low - 1e6 * span)
        yield from (high + 1e6 * span, -0.0, -1.0, -high, float(round(low)), float(round(high)))
        yield from (np.nextafter(low, -np.inf), np.nextafter(high, np.inf), 1e-40, -1e-40)


def _splits(
    ordinary: pd.DataFrame,
    features: Sequence[Feature],
    columns: Sequence[str],
    pipeline: Any,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the trees' thresholds on the columns that reach the estimator unchanged."""
    try:
        splits_at = thresholds(pipeline, features, columns)
    except NotConvertible:
        return {}  # There is no graph whose branches could differ.
    reached = ordinary.copy()
    for _, step in preprocessing(pipeline):
        reached = step.transform(reached)
    splits = {}
    for feature, column in zip(features, columns, strict=True):
        if feature.kind != "number" or column not in reached.columns:
            continue
        raw = ordinary[column].to_numpy(dtype=np.float64)
        kept = reached[column].to_numpy(dtype=np.float64)
        position = list(reached.columns).index(column)
        if position in splits_at and (np.isnan(raw) | (raw == kept)).all():
            splits[column] = splits_at[position]
    return splits


def _around(splits: npt.NDArray[np.float64]) -> Iterator[float]:
    """Yield a sample of the thresholds with their neighbours in float64 and float32."""
    splits = splits[np.abs(splits) < np.finfo(np.float32).max / 2]
    chosen = np.linspace(0, len(splits) - 1, min(len(splits), THRESHOLDS_PER_COLUMN))
    exact = splits[np.unique(chosen.astype(int))]
    single = exact.astype(np.float32)
    for values in (
        exact,
        np.nextafter(exact, np.inf),
        np.nextafter(exact, -np.inf),
        single,
        np.nextafter(single, np.float32(np.inf)),
        np.nextafter(single, np.float32(-np.inf)),
    ):
        yield from values.astype(np.float64).tolist()


def _changed(ordinary: pd.DataFrame, changes: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return one ordinary row for each change, with the change applied."""
    positions = np.arange(len(changes)) % len(ordinary)
    rows = ordinary.iloc[positions].reset_index(drop=True)
    for column in rows.columns:
        touched = [i for i, change in enumerate(changes) if column in change]
        values = pd.Series([changes[i][column] for i in touched], index=touched, dtype=object)
        rows[column] = (
            values.reindex(rows.index)
            .where(rows.index.isin(touched), rows[column].astype(object))
            .astype(ordinary[column].dtype)
        )
        if rows[column].dtype == object:
            rows[column] = rows[column].where(rows[column].notna(), np.nan)
    return rows


def _accepted(pipeline: Any, rows: pd.DataFrame, filler: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that the pipeline answers, splits_at by halving.

    Each trial is a frame with enough ordinary rows for the date step (see above).
    """
    try:
        pipeline.predict(pd.concat([filler, rows], ignore_index=True))
    except ValueError:
        if len(rows) == 1:
            return rows.iloc[:0]
        middle = len(rows) // 2
        halves = [_accepted(pipeline, half, filler) for half in (rows[:middle], rows[middle:])]
        return pd.concat(halves, ignore_index=True)
    return rows
