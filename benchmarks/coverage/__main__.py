"""Whether 90 % intervals hold 90 % of the truths: ten splits each of tables of three kinds.

$ python -m benchmarks.coverage [--splits 10]

Prints one JSON line a table; docs/benchmarks.md says what each figure means. The tables come with
plotnine, statsmodels and scikit-learn, which are installed; nothing is downloaded.
"""

import argparse
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMRegressor
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline

from app.model.manifest import Feature
from stages.evaluation.baselines import baselines
from stages.evaluation.conformal import Answers, learn, measure, of_folds
from stages.evaluation.report import drawn_units
from stages.params import Split
from stages.preparation.split import split_places
from stages.schema import Schema, encode_target, model_frame
from stages.training.folds import honest_folds

FOLDS = 5
TEST_SIZE = 0.2
ROWS = 5_000  # drawn of a larger table
EARLIEST = 0.55  # of a table by time that the first of its splits knows


@dataclass(frozen=True)
class Table:
    """A table and how it is split.

    Attributes:
        name: what it is, and of which package.
        frame: its rows; by time, in its order.
        target: the column to predict.
        strategy: random, group or time.
        column: of the group or time.
    """

    name: str
    frame: pd.DataFrame
    target: str
    strategy: str = "random"
    column: str | None = None


def tables() -> Iterator[Table]:
    """The tables."""
    from plotnine import data
    from statsmodels import datasets

    diamonds = data.diamonds.sample(ROWS, random_state=0).reset_index(drop=True)
    yield Table("diamonds (plotnine)", diamonds, "price")
    diabetes = load_diabetes(as_frame=True).frame
    yield Table("diabetes (scikit-learn)", diabetes, "target")
    visits = datasets.randhie.load_pandas().data.sample(ROWS, random_state=0)
    yield Table("doctor's visits (statsmodels)", visits.reset_index(drop=True), "mdvis")
    houses = data.txhousing.dropna(subset=["median", "sales"])
    by_city = houses.drop(columns=["date"]).reset_index(drop=True)
    by_time = houses.sort_values("date", kind="stable").reset_index(drop=True)
    for target in ("sales", "median"):
        yield Table(f"Texas houses, {target} (plotnine)", by_city, target, "group", "city")
    for target in ("sales", "median"):
        yield Table(f"Texas houses, {target} (plotnine)", by_time, target, "time", "date")
    sea = datasets.elnino.load_pandas().data.melt("YEAR", var_name="month", value_name="degrees")
    sea["month"] = sea.groupby("YEAR").cumcount()
    sea = sea.sort_values(["YEAR", "month"])
    for months in (1, 2, 3, 12):
        sea[f"before_{months}"] = sea["degrees"].shift(months)
    sea["YEAR"] += sea["month"] / 12
    yield Table("sea temperature (statsmodels)", sea.dropna(), "degrees", "time", "YEAR")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    splits = parser.parse_args().splits
    warnings.filterwarnings("ignore", module="sklearn")
    linear = baselines("regression", 0)["linear"]
    trees = LGBMRegressor(n_estimators=60, num_leaves=15, verbose=-1, n_jobs=1)
    for table in tables():
        for name, model in (
            ("linear", linear),
            ("trees", make_pipeline(clone(linear.steps[0][1]), trees)),
        ):
            print(json.dumps(measured(table, name, model, splits)), flush=True)


def measured(table: Table, name: str, model: Pipeline, splits: int) -> dict[str, Any]:
    """The mean over all splits, and the standard error of its coverage."""
    reports = [one_split(table, model, seed, splits) for seed in range(splits)]
    coverage = np.array([one["coverage"] for one in reports])
    figures = {
        "table": table.name,
        "split": table.strategy,
        "model": name,
        "coverage": round(100 * coverage.mean(), 1),
        "standard_error": round(100 * coverage.std(ddof=1) / np.sqrt(splits), 1),
        "mean_width": round(float(np.mean([one["mean_width"] for one in reports])), 4),
        "scaled_splits": sum(one["is_scaled"] for one in reports),
    }
    if table.strategy == "group":
        by_group = np.mean([one["groups"]["mean_coverage"] for one in reports])
        figures["coverage_by_group"] = round(100 * float(by_group), 1)
    return figures


def one_split(table: Table, model: Pipeline, seed: int, splits: int) -> dict[str, Any]:
    """Hold rows out, learn the width in the folds of the others, count."""
    frame, schema = table.frame, schema_of(table)
    if table.strategy == "time":  # as if it were an earlier day
        share = EARLIEST + (1 - EARLIEST) * (seed + 1) / splits
        frame = frame.iloc[: round(share * len(frame))]
    split = Split(strategy=table.strategy, column=table.column, test_size=TEST_SIZE)  # type: ignore[arg-type]
    training, held = split_places(frame, table.target, "regression", split, seed)
    train, test = frame.iloc[training], frame.iloc[held]
    parts = []
    for number, (fit, rest) in enumerate(folds(train, schema)):
        said = answers(model, train.iloc[fit], train.iloc[rest], schema)
        parts.append(pd.DataFrame({"row": train.index[rest], "fold": number, "prediction": said}))
    intervals = learn(of_folds(pd.concat(parts), train, schema), "regression")
    if intervals is None:
        raise ValueError(f"{table.name}: too few rows for an interval")
    said = answers(model, train, test, schema)
    actual = encode_target(test, schema).to_numpy()
    report = measure(intervals, Answers(actual, said, None, drawn_units(test, schema)))
    return report | {"is_scaled": len(intervals.scales) > 1}


def folds(train: pd.DataFrame, schema: Schema) -> list[tuple[np.ndarray, np.ndarray]]:
    """The folds that `train` would make."""
    if schema.strategy == "random":
        return list(KFold(FOLDS, shuffle=True, random_state=0).split(train))
    return honest_folds(train, schema, FOLDS)


def answers(
    model: Pipeline, training: pd.DataFrame, others: pd.DataFrame, schema: Schema
) -> np.ndarray:
    """Fit on some rows and answer others."""
    fitted = clone(model).fit(model_frame(training, schema), encode_target(training, schema))
    said: np.ndarray = fitted.predict(model_frame(others, schema))
    return said


def schema_of(table: Table) -> Schema:
    """Every column but the target and the split's is a feature."""
    left_out = {table.target, table.column if table.strategy == "group" else None}
    features = [
        Feature(name=str(name), kind="number" if values.dtype.kind in "iuf" else "category")
        for name, values in table.frame.items()
        if name not in left_out
    ]
    return Schema(
        task="regression",
        target=table.target,
        features=tuple(features),
        strategy=table.strategy,
        split_column=table.column,
        data_md5="",
    )


if __name__ == "__main__":
    main()
