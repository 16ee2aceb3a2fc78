"""Cross-validation by the same notion as the holdout: at random, by groups or by time."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, TimeSeriesSplit

from stages.schema import Schema

Folds = list[tuple[np.ndarray, np.ndarray]]  # each the rows to train on and those to answer


def folds(train: pd.DataFrame, test: pd.DataFrame, schema: Schema, count: int) -> dict[str, Any]:
    """Cross-validation by the same notion as the holdout, in PyCaret's words.

    Raises:
        ValueError: there are not enough rows, groups or rows of a label for `train.folds`, or a
            fold would train without a label.
    """
    what, number = "rows", len(train)
    if schema.strategy == "group":
        what, number = f"groups of {schema.split_column!r}", train[schema.split_column].nunique()
    elif schema.strategy == "time":
        what, number = "rows after the first", len(train) - 1
    elif schema.task == "classification":
        counts = train[schema.target].value_counts()
        what, number = f"rows of the label {counts.index[-1]!r}", int(counts.iloc[-1])
    if number < count:
        raise ValueError(
            f"train.folds is {count}, but there are only {number} {what} to train on. Lower "
            "train.folds or add rows."
        )
    if schema.task == "classification" and schema.strategy in {"group", "time"}:
        refuse_unknown_label(train, schema, count)
    if schema.strategy == "group":
        # PyCaret numbers the rows anew, the holdout after the training rows
        groups = pd.concat([train, test], ignore_index=True)[schema.split_column]
        return {"fold": count, "fold_strategy": "groupkfold", "fold_groups": groups}
    if schema.strategy == "time":
        return {"fold": count, "fold_strategy": "timeseries", "data_split_shuffle": False}
    stratify = schema.task == "classification"
    return {
        "fold": count,
        "fold_strategy": "stratifiedkfold" if stratify else "kfold",
        "fold_shuffle": True,
    }


def refuse_unknown_label(train: pd.DataFrame, schema: Schema, count: int) -> None:
    """Raise ValueError when a fold by groups or time would train without a label."""
    unknown = unknown_label(honest_folds(train, schema, count), train[schema.target])
    if unknown is not None:
        number, label = unknown
        where = "only later rows" if schema.strategy == "time" else "one part of the groups"
        raise ValueError(
            f"train.folds: fold {number} of {count} would train without the label {label!r}, "
            f"which {where} by {schema.split_column!r} have. Take another number of folds, or "
            "leave that label's rows out of the table."
        )


def unknown_label(plan: Folds, labels: pd.Series) -> tuple[int, Any] | None:
    """The first fold, counted from 1, that would train without a label, and which; or None."""
    for number, (train, _) in enumerate(plan, start=1):
        absent = set(labels) - set(labels.iloc[train])
        if absent:
            return number, min(absent)
    return None


def honest_folds(frame: pd.DataFrame, schema: Schema, count: int) -> Folds:
    """Folds that keep groups whole, or that train on the past alone; the same as PyCaret's."""
    if schema.strategy == "time":
        return list(TimeSeriesSplit(count).split(frame))
    groups = pd.factorize(frame[schema.split_column], sort=True, use_na_sentinel=False)[0]
    return list(GroupKFold(count).split(frame, groups=groups))
