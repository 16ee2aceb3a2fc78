"""Where the model is worst: parts of the holdout, ranked by their error."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from app.model.manifest import Feature, Task
from stages.files import settled
from stages.schema import Schema

WORST = 10
QUARTILES = 4
# A slice has at least so many rows, and at least this share of the holdout: the error of a
# handful of rows says more of them than of the model.
MINIMUM_ROWS = 10
MINIMUM_SHARE = 0.01
NUMBERS = (".6g", ".17g")
DATES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S.%f")


def worst_slices(holdout: pd.DataFrame, errors: np.ndarray, schema: Schema) -> pd.DataFrame:
    """The slices with the largest error.

    Args:
        holdout: the prepared rows.
        errors: of each row, shape (rows,), from `row_errors`.
        schema: the tables' schema.

    Returns:
        Up to ten rows, worst first: `slice` (column and value, or range), `rows`, `error`
        (RMSE in the target's unit, or the share of wrong labels) and `ratio` (to the whole
        holdout's). Slices that are the same rows under another name appear once.
    """
    smallest = max(MINIMUM_ROWS, round(MINIMUM_SHARE * len(holdout)))
    slices, listed = [], set()
    whole = summary(errors, schema.task)
    for name, labels in divisions(holdout, schema):
        for label, indices in labels.groupby(labels, sort=True).indices.items():
            rows = np.asarray(indices)
            members = rows.tobytes()
            if smallest <= len(rows) < len(holdout) and members not in listed:
                listed.add(members)
                error = settled(summary(errors[rows], schema.task))
                ratio = error / whole if whole else 1.0
                slices.append((f"{name} {label}", len(rows), error, ratio))
    table = pd.DataFrame(slices, columns=["slice", "rows", "error", "ratio"])
    return table.sort_values("error", ascending=False, kind="stable", ignore_index=True).head(WORST)


def row_errors(actual: np.ndarray, predicted: np.ndarray, task: Task) -> np.ndarray:
    """What `summary` averages: squared errors, or 1 for a wrong label; shape (rows,)."""
    errors: np.ndarray = actual != predicted if task == "classification" else actual - predicted
    return errors.astype(float) ** 2


def summary(errors: np.ndarray, task: Task) -> float:
    """RMSE, or the share of wrong labels."""
    mean = float(errors.mean())
    return float(np.sqrt(mean)) if task == "regression" else mean


def divisions(holdout: pd.DataFrame, schema: Schema) -> Iterator[tuple[str, pd.Series]]:
    """Each way to divide the holdout: a column's name, and each row's label in words."""
    if schema.strategy == "group" and schema.split_column is not None:
        groups = holdout[schema.split_column]
        text_of = "{:.15g}".format if pd.api.types.is_float_dtype(groups) else str
        yield schema.split_column, "= " + groups.astype(object).map(text_of)
    for feature in schema.features:
        yield feature.name, division(holdout[feature.name], feature)


def division(values: pd.Series, feature: Feature) -> pd.Series:
    """Each row's value of a feature in words: the value itself, or its quartile's range."""
    if feature.kind == "category":
        labels = "= " + values.astype(object)
    elif feature.kind == "boolean":
        labels = values.map({0.0: "= false", 1.0: "= true"})
    else:
        labels = quartiles(values, DATES if feature.kind == "date" else NUMBERS)
    return labels.astype(object).where(values.notna(), "missing")


def quartiles(values: pd.Series, formats: Sequence[str]) -> pd.Series:
    """Each row's part as its smallest and largest value; NaN where missing.

    Parts are the quartiles, but for values that more than a quartile of the rows share, such as
    the zeros of a rain gauge: each of them is a part, and the quartiles are of the others.

    Args:
        values: numbers or dates.
        formats: of a value; the first that tells the parts apart is taken.
    """
    present = values.dropna()
    counts = present.value_counts()
    common = counts[counts.gt(len(present) / QUARTILES)].index
    rest = present[~present.isin(common)]
    number = present.map({value: -1 - place for place, value in enumerate(common)})
    if rest.nunique() > 1:
        ranks = rest.rank(method="min")
        number = number.fillna(pd.qcut(ranks, QUARTILES, labels=False, duplicates="drop"))
    number = number.fillna(0)  # all the others are one value
    words: dict[float, str] = {}
    for style in formats:
        for part, members in present.groupby(number):
            low, high = (f"{side:{style}}" for side in (members.min(), members.max()))
            words[part] = f"= {low}" if low == high else f"from {low} to {high}"
        if len(set(words.values())) == len(words):
            break
    return number.map(words).reindex(values.index)
