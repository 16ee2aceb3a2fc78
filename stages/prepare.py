"""Check the table, infer its schema, set the holdout aside.

$ python -m stages.prepare

Reads the table of `base.path`; writes prepared/train.parquet, prepared/test.parquet and
prepared/schema.json.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from app.manifest import Class, Feature, Kind, Task
from stages.fingerprint import md5
from stages.params import Params, Split, read
from stages.schema import TEST, TRAIN, Schema, write_prepared
from stages.table import TableError, read_table, refuse, typed

DATA = Path("data")
PREPARED = Path("prepared")
STRATA = 10  # a numeric target is stratified by its deciles


def check(frame: pd.DataFrame, params: Params, data_md5: str) -> tuple[pd.DataFrame, Schema]:
    """Type every column, validate every row and infer the schema.

    Args:
        frame: the raw table, from `read_table`.
        params: blocks `base` and `prepare`.
        data_md5: of the data folder, for the lineage.

    Returns:
        The typed rows (features, target, then id and split column) and the schema.

    Raises:
        TableError: naming the column, and the row and value where there is one.
    """
    base, prepare = params.base, params.prepare
    aside = [name for name in (prepare.id, prepare.split.column) if name is not None]
    known = ", ".join(frame.columns)
    for name, key in [
        (base.target, "base.target"),
        *((name, "prepare.id or prepare.split.column") for name in aside),
        *((name, "prepare.drop") for name in prepare.drop),
    ]:
        if name not in frame:
            raise TableError(f"{key}: the table has no column {name!r}. It has: {known}.")
    split = prepare.split
    if (split.strategy in {"group", "time"}) != (split.column is not None):
        raise TableError(
            f"prepare.split: strategy {split.strategy!r} with column {split.column!r}. "
            "group and time need a column, random and stratified take none (null)."
        )
    refuse_missing(frame[base.target])
    features, columns = [], {}
    for name in frame.columns.drop([base.target, *aside, *prepare.drop], errors="ignore"):
        kind, values = typed(frame[name])
        features.append(describe(name, kind, values))
        columns[name] = values
    if not features:
        raise TableError("No feature is left: every column is the target, set aside or dropped.")
    columns[base.target], classes = read_target(frame[base.target], base.task)
    for name in aside:
        columns[name] = typed(frame[name])[1]
    schema = Schema(
        task=base.task,
        target=base.target,
        classes=classes,
        features=tuple(features),
        missing_values=tuple(prepare.missing),
        strategy=split.strategy,
        split_column=split.column,
        data_md5=data_md5,
    )
    return pd.DataFrame(columns), schema


def refuse_missing(target: pd.Series) -> None:
    """Raise TableError when a row has no target."""
    refuse(target[target.isna()], "present, and each row needs its target")


def read_target(target: pd.Series, task: Task) -> tuple[pd.Series, tuple[Class, ...]]:
    """The target's values, and for a classification its labels in order.

    Raises:
        TableError: text where a regression needs numbers; fewer than two values; a label with
            fewer than two rows.
    """
    kind, values = typed(target)
    if values.nunique() < 2:
        raise TableError(
            f"The target {target.name!r} has one value only, {values.iloc[0]!r}: there is nothing "
            "to predict. Check base.target."
        )
    if task == "regression":
        if kind != "number":
            raise TableError(
                f"base.task is regression, but the target {target.name!r} holds {kind} values "
                f"(row 1: {target.iloc[0]!r}). Set base.task to classification, or choose a "
                "numeric base.target."
            )
        return values, ()
    if kind == "boolean":
        values = values.astype(bool)
    elif kind == "number" and (values % 1 == 0).all():
        values = values.astype("int64")
    elif kind == "date":
        values = values.map(str)
    counts = values.value_counts()
    rare = counts[counts < 2]
    if len(rare):
        raise TableError(
            f"The target {target.name!r} has labels with one row: "
            f"{', '.join(map(repr, rare.index[:20]))}. Each label needs two rows or more."
        )
    return values, tuple(
        sorted(value.item() if hasattr(value, "item") else value for value in counts.index)
    )


def describe(name: str, kind: Kind, values: pd.Series) -> Feature:
    """What the schema and the manifest say of one feature."""
    missing = float(values.isna().mean())
    present = values.dropna()
    if kind == "category":
        return Feature(
            name=name, kind=kind, categories=tuple(sorted(present.unique())), missing=missing
        )
    if present.empty:
        return Feature(name=name, kind=kind, missing=missing)
    if kind == "date":
        present = (present - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
    return Feature(
        name=name,
        kind=kind,
        minimum=float(present.min()),
        maximum=float(present.max()),
        missing=missing,
    )


def split_rows(
    frame: pd.DataFrame, target: str, task: Task, split: Split, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Set the holdout aside.

    Returns:
        The training rows and the holdout rows, each in table order (for `time`: by time).
    """
    rows = np.arange(len(frame))
    if split.strategy == "time":
        ordered = frame.sort_values([split.column or target], kind="stable")
        cut = len(frame) - max(1, round(len(frame) * split.test_size))
        return ordered.iloc[:cut], ordered.iloc[cut:]
    if split.strategy == "group":
        groups = frame[split.column]
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
    return frame.iloc[np.sort(train)], frame.iloc[np.sort(test)]


def main() -> None:
    """Run the stage."""
    params = read("prepare")
    try:
        raw = read_table(Path(params.base.path), params.prepare.missing)
        frame, schema = check(raw, params, md5(DATA))
        train, test = split_rows(
            frame, params.base.target, params.base.task, params.prepare.split, params.base.seed
        )
    except ValueError as error:
        sys.exit(f"prepare: {error}")
    PREPARED.mkdir(exist_ok=True)
    write_prepared(PREPARED / TRAIN, train)
    write_prepared(PREPARED / TEST, test)
    schema.write(PREPARED)
    print(
        f"prepare: {len(train)} rows to train on, {len(test)} set aside ({schema.strategy}); "
        f"{len(schema.features)} features for {schema.target}"
    )


if __name__ == "__main__":
    main()
