"""Checks a user's table against its parameters, and infers the schema."""

import pandas as pd

from app.model.manifest import Class, Feature, Kind, Task
from stages.params import Base, Params, Prepare
from stages.preparation.split import split_key
from stages.preparation.table import SHOWN, TableError, typed
from stages.schema import Schema

LARGEST_WHOLE = 2**53  # from here on float64 does not tell whole numbers apart


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
    refuse_impossible(frame, base, prepare)
    if prepare.missing_target == "drop":
        frame = frame[frame[base.target].notna()]
        if frame.empty:
            raise TableError(f"base.target: no row has a {base.target!r}.")
    aside = [name for name in (prepare.id, prepare.split.column) if name is not None]
    target, classes = read_target(frame[base.target], base.task)
    values_of_target = typed(frame[base.target])[1]
    features, columns = [], {}
    for name in frame.columns.drop([base.target, *aside, *prepare.drop], errors="ignore"):
        kind, values = typed(frame[name])
        if values.equals(values_of_target):
            raise TableError(
                f"The column {name!r} is the target {base.target!r} again, value by value: a model "
                "would only copy it. List it in prepare.drop."
            )
        features.append(describe(name, kind, values))
        columns[name] = values
    if not features:
        raise TableError("No feature is left: every column is the target, set aside or dropped.")
    columns[base.target] = target
    for name in aside:
        columns[name] = frame[name]  # as it is: a name is no number
    if prepare.split.column is not None:
        by = split_key(frame[prepare.split.column], prepare.split.strategy)
        columns[prepare.split.column] = by
    schema = Schema(
        task=base.task,
        target=base.target,
        classes=classes,
        features=tuple(features),
        missing_values=tuple(prepare.missing),
        strategy=prepare.split.strategy,
        split_column=prepare.split.column,
        data_md5=data_md5,
    )
    return pd.DataFrame(columns, copy=False), schema


def refuse_impossible(frame: pd.DataFrame, base: Base, prepare: Prepare) -> None:
    """Raise TableError when the keys do not fit the table or each other."""
    split, names = prepare.split, ", ".join(frame.columns)
    uses = [(base.target, "base.target"), *((name, "prepare.drop") for name in prepare.drop)]
    if prepare.id is not None:
        uses.append((prepare.id, "prepare.id"))
    if split.column is not None:
        uses.append((split.column, "prepare.split.column"))
    for name, key in uses:
        if name not in frame:
            raise TableError(f"{key}: the table has no column {name!r}. It has: {names}.")
        if name == base.target and key != "base.target":
            raise TableError(f"{key}: the column {name!r} is the target (base.target) already.")
    if (split.strategy in {"group", "time"}) != (split.column is not None):
        raise TableError(
            f"prepare.split: strategy {split.strategy!r} with column {split.column!r}. "
            "group and time need a column, random and stratified take none (null)."
        )
    if prepare.missing_target == "refuse":
        refuse_missing(frame[base.target], "base.target", "set prepare.missing_target to drop")
    if split.column is not None:
        refuse_missing(frame[split.column], "prepare.split.column", "choose another column")


def refuse_missing(column: pd.Series, key: str, otherwise: str) -> None:
    """Raise TableError when a column that each row needs has no value in some.

    Args:
        column: of the raw table.
        key: that names it.
        otherwise: what may be done instead of mending the table.
    """
    rows = [str(row + 1) for row in column.index[column.isna()]]
    if rows:
        more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
        raise TableError(
            f"{key}: {len(rows)} row(s) have no {column.name!r} (rows count from 1 after the "
            f"header): {', '.join(rows[:SHOWN])}{more}. Fill them in, remove these rows, or "
            f"{otherwise}."
        )


def read_target(target: pd.Series, task: Task) -> tuple[pd.Series, tuple[Class, ...]]:
    """The target's values, and for a classification its labels in order.

    Raises:
        TableError: text where a regression needs numbers; fewer than two values; a label with
            fewer than two rows.
    """
    kind, values = typed(target)
    if task == "classification" and kind == "number" and values.abs().max() >= LARGEST_WHOLE:
        kind, values = "category", target.map(str)
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
