"""Sets the holdout aside: at random, by strata, by groups or by time."""

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from app.model.manifest import Task
from stages.params import Split
from stages.preparation.table import SHOWN, TableError, typed

WHOLE = r"0|-?[1-9]\d{0,17}"  # a whole number as int64 writes it
STRATA = 10  # a numeric target is stratified by its deciles


def split_key(column: pd.Series, strategy: str) -> pd.Series:
    """The values of `prepare.split.column`, none missing, in the type that orders them.

    Splits and folds take groups in their order, so 10 has to come after 9 for them to be those
    that others publish; 007 and 7 stay two groups, as texts.

    Raises:
        TableError: texts where a split by time needs moments.
    """
    if strategy == "group":
        names = column.astype(str)
        return names.astype("int64") if names.str.fullmatch(WHOLE).all() else column
    kind, values = typed(column)
    if kind == "category":
        raise TableError(
            f"prepare.split.column: {column.name!r} holds texts (row 1: {column.iloc[0]!r}); a "
            "split by time needs dates or numbers."
        )
    return values


def split_rows(
    frame: pd.DataFrame, target: str, task: Task, split: Split, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Set the holdout aside.

    Returns:
        The training rows and the holdout rows, each in table order (for `time`: by time).

    Raises:
        TableError: there is one group only, or a label has no row to train on.
        ValueError: scikit-learn cannot make such a split of so few rows.
    """
    train, test = split_places(frame, target, task, split, seed)
    if task == "classification":
        unseen = sorted(set(frame[target]) - set(frame[target].iloc[train]))
        if unseen:
            raise TableError(
                f"The split ({split.strategy}) leaves no row to train on for these labels of "
                f"{target!r}: {', '.join(map(repr, unseen[:SHOWN]))}. Use the strategy stratified, "
                "another prepare.split.test_size, or more rows."
            )
    return frame.iloc[train], frame.iloc[test]


def split_places(
    frame: pd.DataFrame, target: str, task: Task, split: Split, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The places in the table of the training rows and of the holdout rows."""
    rows = np.arange(len(frame))
    if split.strategy == "time":
        ordered = np.argsort(frame[split.column].to_numpy(), kind="stable")
        moments = frame[split.column].to_numpy()[ordered]
        cut = len(frame) - max(1, round(len(frame) * split.test_size))
        cut = int(np.searchsorted(moments, moments[cut]))  # all rows of a moment on one side
        if cut == 0:
            raise TableError(
                f"prepare.split.column: the newest {split.test_size:.0%} of the rows begin at the "
                f"first moment of {split.column!r}, so no older row is left to train on. Lower "
                "prepare.split.test_size, or choose another column or strategy."
            )
        return ordered[:cut], ordered[cut:]
    if split.strategy == "group":
        groups = frame[split.column]
        if groups.nunique() < 2:
            raise TableError(
                f"prepare.split.column: {split.column!r} has one value only, so its rows cannot be "
                "on two sides. Choose another column or strategy."
            )
        splitter = GroupShuffleSplit(1, test_size=split.test_size, random_state=seed)
        train, test = next(splitter.split(rows, groups=groups))
    else:
        strata = None
        if split.strategy == "stratified":
            strata = frame[target]
            if task == "regression":
                strata = pd.qcut(strata.rank(method="first"), STRATA, labels=False)
        train, test = train_test_split(
            rows, test_size=split.test_size, random_state=seed, stratify=strata
        )
    return np.sort(train), np.sort(test)
