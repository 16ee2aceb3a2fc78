"""`train.preprocess.max_encoding_ohe`: how categories become numbers, tried with a quick booster.

A column for each value learns nothing of the target but parts the rows of one value at a time; the
mean of the target over a value's rows orders the values, but holds a little of each row's own.
Which one is better depends on the table, so it is tried.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd
from category_encoders import TargetEncoder
from scipy import sparse
from sklearn.model_selection import GroupKFold, KFold
from sklearn.preprocessing import OneHotEncoder

from lifecycle.proposals.column import Column, Proposal

KEY = "train.preprocess.max_encoding_ohe"
ALL_ONE_HOT = -1
PYCARETS_OWN = 25  # PyCaret's default: only columns of more values are encoded by the target
ALL_BY_TARGET = 2  # PyCaret writes two values as 0 and 1 in any case
MOST_CELLS = 20_000_000  # of one-hot columns: 160 MB in memory
BUNDLE = 3  # columns that one costs which LightGBM bundles from those of a category
TRIED_ROWS = 20_000
FOLDS = 3
TIMES = (0.32, 0.48, 0.64, 0.8)  # of the rows, the oldest first
WORTH = 0.995  # of the one-hot columns' error, in the mean; less than it in each fold
BOOSTER = {
    "learning_rate": 0.1,
    "num_leaves": 31,
    "num_threads": 1,
    "seed": 0,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
TREES, PATIENCE = 300, 20
Floats = npt.NDArray[np.float64]


def propose_encoding(
    features: list[Column], target: Column, classes: int, split: Column | None
) -> Proposal:
    """Try what the table allows, on some of its rows.

    Args:
        features: what the model will see.
        target: the column to predict.
        classes: of the target; 0 for a regression.
        split: the column of the group or the time that parts the holdout; None: chance does.
    """
    categories = [column for column in features if column.kind == "category"]
    largest = max((column.distinct for column in categories), default=0)
    if largest <= ALL_BY_TARGET:
        reason = "no category has more than two values" if categories else "there are no categories"
        return Proposal(KEY, ALL_ONE_HOT, reason)
    options = [ALL_BY_TARGET]
    if largest > PYCARETS_OWN:
        options.append(PYCARETS_OWN)
    values = sum(column.distinct for column in categories)
    rows = len(target.values)
    if rows * values > MOST_CELLS:
        reason = f"the categories' {values} values in {rows} rows would fill the memory as columns"
        return Proposal(KEY, PYCARETS_OWN, reason)
    table = pd.DataFrame({column.name: _numbers(column) for column in features})
    y = target.values.to_numpy(np.float64) if not classes else pd.factorize(target.values)[0]
    folds = list(_folds(rows, split))
    one_hot = _errors(table, y, folds, [], classes)
    errors = {
        option: _errors(table, y, folds, _encoded(categories, option), classes)
        for option in options
    }
    best = min(errors, key=lambda option: float(np.mean(errors[option])))
    share = np.mean(errors[best]) / np.mean(one_hot)
    if share < WORTH and (errors[best] < one_hot).all():
        reason = (
            f"categories of more than {best} values become the mean of the target over their rows: "
            f"a quick trial errs {1 - share:.0%} less so than with a column for each of {values}"
        )
        return Proposal(KEY, best, reason)
    reason = f"the categories' {values} values get a column each: nothing is learnt of the target"
    return Proposal(KEY, ALL_ONE_HOT, reason)


def encoded_columns(features: list[Column], most_one_hot: int) -> tuple[int, int]:
    """How many columns an estimator sees; and how many where those of a category are bundled."""
    by_target = _encoded([one for one in features if one.kind == "category"], most_one_hot)
    one_hot = [one for one in features if one.kind == "category" and one.name not in by_target]
    rest = len(features) - len(one_hot)
    return (
        rest + sum(column.distinct for column in one_hot),
        rest + sum(min(column.distinct, BUNDLE) for column in one_hot),
    )


def _encoded(categories: Sequence[Column], most_one_hot: int) -> list[str]:
    """The columns that are encoded by the target."""
    if most_one_hot == ALL_ONE_HOT:
        return []
    return [column.name for column in categories if column.distinct > most_one_hot]


def _numbers(column: Column) -> pd.Series:
    """Dates as days, categories as they are."""
    if column.kind != "date":
        return column.values
    return (column.values - pd.Timestamp(0)) / pd.Timedelta(days=1)


def _folds(rows: int, split: Column | None) -> Iterator[tuple[Any, Any]]:
    """Rows to learn from and to be judged by: as the holdout is parted, of some rows alone.

    By time, a value's mean in one season may mislead in the next: each fold is judged by what
    follows it. The newest rows, which become the holdout, are in none.
    """
    generator = np.random.default_rng(0)
    taken = np.sort(generator.permutation(rows)[:TRIED_ROWS])
    if split is not None and split.kind == "date":
        ends = [int(share * len(taken)) for share in TIMES]
        for learnt_to, judged_to in pairwise(ends):
            yield taken[:learnt_to], taken[learnt_to:judged_to]
        return
    groups = None if split is None else pd.factorize(split.values)[0][taken]
    kind = KFold(FOLDS, shuffle=True, random_state=0) if split is None else GroupKFold(FOLDS)
    for learnt, judged in kind.split(taken, groups=groups):
        yield taken[learnt], taken[judged]


def _errors(
    table: pd.DataFrame,
    y: Floats,
    folds: Sequence[tuple[Any, Any]],
    by_target: list[str],
    classes: int,
) -> Floats:
    """The booster's error in each fold: the RMSE, or the log loss of classes."""
    params = {**BOOSTER, "objective": "rmse", "metric": "rmse"}
    if classes:
        params |= {"objective": "binary", "metric": "binary_logloss"}
    if classes > 2:
        params |= {"objective": "multiclass", "metric": "multi_logloss", "num_class": classes}
    errors = []
    for learnt, judged in folds:
        train, other = _matrices(table.iloc[learnt], table.iloc[judged], y[learnt], by_target)
        data = lightgbm.Dataset(train, y[learnt])
        booster = lightgbm.train(
            params,
            data,
            TREES,
            valid_sets=[lightgbm.Dataset(other, y[judged], reference=data)],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        errors.append(next(iter(booster.best_score["valid_0"].values())))
    return np.array(errors)


def _matrices(
    train: pd.DataFrame, other: pd.DataFrame, y: Floats, by_target: list[str]
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    categories = [name for name in train if train[name].dtype == object]
    one_hot = [name for name in categories if name not in by_target]
    rest = [name for name in train if name not in categories]
    parts = [(train[rest].astype(np.float64), other[rest].astype(np.float64))]
    if by_target:
        encoder = TargetEncoder(cols=by_target, handle_missing="return_nan")
        parts.append(
            (encoder.fit_transform(train[by_target], y), encoder.transform(other[by_target]))
        )
    if one_hot:
        encoder = OneHotEncoder(handle_unknown="ignore")
        parts.append((encoder.fit_transform(train[one_hot]), encoder.transform(other[one_hot])))
    both = zip(*parts, strict=True)
    stacked = (sparse.hstack([sparse.csr_matrix(part) for part in side]) for side in both)
    first, second = (one.tocsr() for one in stacked)
    return first, second
