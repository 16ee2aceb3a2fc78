"""The keys that say which values are missing, what is learnt, and which columns are no features."""

import numpy as np
import pandas as pd

from app.model.manifest import Task
from lifecycle.proposals.column import Column, Proposal
from stages.preparation.table import MOSTLY

# Texts that mean "no value" wherever they stand alone in a cell.
NO_VALUE = ("?", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null")
# Dates that the pipeline does not read, whatever prepare.read.dates says: 12/31/24 10:15
FOREIGN_DATE = r"\d{1,4}([./-])\d{1,2}\1\d{1,4}(?:[ T].*)?"
MOST_CLASSES = 20  # whole numbers with no more values than this are labels


def missing_texts(frame: pd.DataFrame, target: str, decimal: str = ".") -> Proposal:
    """`prepare.missing`: the texts of a CSV that stand for "no value".

    Args:
        frame: the table with every cell as text, from `read_table`.
        target: the column to predict, whose labels may be such texts.
        decimal: the decimal sign of the table's numbers.
    """
    columns: dict[str, str] = {}  # where each text was seen first
    for name in frame:
        cells = frame[name].dropna()
        rest = cells[~cells.isin(NO_VALUE)]
        points = rest if decimal == "." else rest.str.replace(decimal, ".", regex=False)
        numbers = pd.to_numeric(points, errors="coerce")
        if name == target and numbers.isna().any():
            continue
        for text in sorted(set(NO_VALUE) & set(cells)):
            columns.setdefault(text, str(name))
        texts = rest[numbers.isna()]
        # One text, several times, in a column of many numbers
        if texts.nunique() == 1 and len(texts) > 1 and numbers.nunique() > MOST_CLASSES:
            columns.setdefault(texts.iloc[0], str(name))
    if not columns:
        return Proposal("prepare.missing", [], "only empty cells stand for no value")
    places = ", ".join(f"{text!r} in {name!r}" for text, name in columns.items())
    return Proposal("prepare.missing", list(columns), f"stand for no value: {places}")


def propose_missing_target(target: pd.Series) -> Proposal:
    """`prepare.missing_target`: rows without a target teach nothing."""
    count = int(target.isna().sum())
    if not count:
        return Proposal("prepare.missing_target", "refuse", "every row has one")
    reason = f"{count} of {len(target)} rows have no {target.name!r}: they are left out"
    return Proposal("prepare.missing_target", "drop", reason)


def guess_task(target: Column) -> tuple[Task, str]:
    """`base.task`, and why."""
    if target.kind != "number":
        return "classification", f"the target holds {target.kind} values"
    whole = bool((target.values.dropna() % 1 == 0).all())
    few = target.distinct <= min(MOST_CLASSES, len(target.values) // 10)
    if whole and few and target.values.value_counts().min() > 1:  # a label needs two rows
        return "classification", f"the target has only {target.distinct} whole-number values"
    return "regression", f"the target is a number with {target.distinct} values"


def leak(column: Column, target: Column, task: Task) -> str | None:
    """Why a column is the target in other words, or None."""
    both = pd.DataFrame({"column": column.values, "target": target.values}).dropna()
    if both.nunique().min() < 2:
        return None
    if both["column"].equals(both["target"]):
        return "is the target again"
    if task == "classification":
        pairs = len(both.drop_duplicates())
        if pairs == both["column"].nunique() == both["target"].nunique() < len(both):
            return "has one value for each label: the target in other words"
    elif column.kind == "number":
        correlation = np.corrcoef(both["column"], both["target"])[0, 1]
        if abs(correlation) > 1 - 1e-9:
            return "is a multiple of the target"
    return None


def set_aside(columns: list[Column], target: Column, task: Task) -> tuple[list[Proposal], set[str]]:
    """`prepare.id` and `prepare.drop`, and the columns that they take from the features."""
    drop: dict[str, str] = {}
    row_names = [column for column in columns if column.names_rows]
    # Of several, the one that says so in its name
    row_names.sort(key=lambda column: not column.says_row)
    for column in columns:
        reason = leak(column, target, task)
        if reason is not None:
            drop[column.name] = reason
        elif column.distinct < 2:
            drop[column.name] = "has one value or none"
        elif column in row_names:
            if column is not row_names[0]:
                drop[column.name] = "has another value in each row"
        elif column.names_things and column.values.notna().all():
            continue
        elif column.is_prose:
            drop[column.name] = f"holds sentences ({column.distinct} different ones)"
        elif column.has_rare_values:
            drop[column.name] = f"has {column.distinct} values in {len(column.values)} rows"
    name = next((column.name for column in row_names if column.name not in drop), None)
    reason = "names a row: each has a value of its own" if name else "no column names a row"
    remarks = [f"{column!r} {why}" for column, why in drop.items()]
    remarks += [
        f"{column.name!r} holds dates that are read as texts: write them as 2024-12-31"
        for column in columns
        if column.kind == "category"
        and column.values.dropna().str.fullmatch(FOREIGN_DATE).mean() >= MOSTLY
    ]
    proposals = [
        Proposal("prepare.id", name, reason),
        Proposal("prepare.drop", list(drop), "; ".join(remarks) or "no column is useless"),
    ]
    return proposals, {*drop, *([name] if name else [])}
