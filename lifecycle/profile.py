"""Look at a table that the project has not seen and propose the keys of `params.yaml` for it.

Everything here is a guess with its reason; the pipeline's own checks have the last word.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from app.model.manifest import Kind, Task
from stages.preparation.table import MOSTLY, typed

# Texts that mean "no value" wherever they stand alone in a cell.
NO_VALUE = ("?", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null")
# Words by which people name the thing that several rows describe; `customer age` is not that.
ENTITY = re.compile(
    r"(?:^|[^a-z])(account|batch|client|customer|device|family|group|household|machine|member|"
    r"patient|person|session|site|subject|user)"
    r"(?:[^a-z]+(?:code|id|key|name|no|nr|number|uuid))*[^a-z]*$"
)
ROW_NAME = re.compile(r"(?:^|[^a-z])(id|index|key|nr|number|row|unnamed|uuid)(?:[^a-z]|$)")
# Dates that `stages.preparation.table.typed` does not read as such: 31.12.2024, 12/31/24 10:15
FOREIGN_DATE = r"\d{1,4}([./-])\d{1,2}\1\d{1,4}(?:[ T].*)?"
MOST_CLASSES = 20  # whole numbers with no more values than this are labels
RARE = 0.2  # a label with a smaller share makes the accuracy flatter
FEW_ROWS = 1000
MOST_CELLS = 20_000_000  # of one-hot columns: 160 MB in memory
PYCARETS_OWN = 25  # PyCaret's default of max_encoding_ohe
FOLDS = 5
HOLDOUT = 0.2  # of the rows


@dataclass(frozen=True)
class Proposal:
    """One key of `params.yaml`, its value, and why."""

    key: str
    value: Any
    reason: str


@dataclass(frozen=True, eq=False)
class Column:
    """One column as the pipeline would read it.

    Attributes:
        name: in the table.
        kind: what `stages.preparation.table.typed` reads it as.
        values: the typed values.
        distinct: how many values it has, missing ones apart.
    """

    name: str
    kind: Kind
    values: pd.Series
    distinct: int

    @property
    def names_rows(self) -> bool:
        """Whether each row has a value of its own that says nothing but which row it is."""
        if self.distinct < len(self.values):
            return False
        if self.kind == "category":
            return True
        if self.kind != "number" or (self.values % 1 != 0).any():
            return False
        is_counter = bool((self.values.diff().iloc[1:] == 1).all())
        return is_counter or bool(ROW_NAME.search(words(self.name)))


def words(name: str) -> str:
    """A column's name in lower case, with `customerId` taken apart as `customer id`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()


def missing_texts(frame: pd.DataFrame, target: str) -> Proposal:
    """`prepare.missing`: the texts of a CSV that stand for "no value".

    Args:
        frame: the table with every cell as text, from `read_table`.
        target: the column to predict, whose labels may be such texts.
    """
    seen: dict[str, str] = {}
    for name in frame:
        cells = frame[name].dropna()
        rest = cells[~cells.isin(NO_VALUE)]
        numbers = pd.to_numeric(rest, errors="coerce")
        if name == target and numbers.isna().any():
            continue
        for text in sorted(set(NO_VALUE) & set(cells)):
            seen.setdefault(text, str(name))
        strangers = rest[numbers.isna()]
        # One text, again and again, in a column of many numbers
        if strangers.nunique() == 1 and len(strangers) > 1 and numbers.nunique() > MOST_CLASSES:
            seen.setdefault(strangers.iloc[0], str(name))
    shown = ", ".join(f"{text!r} in {name!r}" for text, name in seen.items())
    reason = f"stand for no value: {shown}" if seen else "only empty cells stand for no value"
    return Proposal("prepare.missing", list(seen), reason)


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
    names = [column for column in columns if column.names_rows]
    # Of several, the one that says so in its name
    names.sort(key=lambda column: not ROW_NAME.search(words(column.name)))
    for column in columns:
        reason = leak(column, target, task)
        if reason is not None:
            drop[column.name] = reason
        elif column.distinct < 2:
            drop[column.name] = "has one value or none"
        elif column in names:
            if column is not names[0]:
                drop[column.name] = "has another value in each row"
        elif column.kind == "category" and len(column.values) / 2 < column.distinct:
            drop[column.name] = f"is free text: {column.distinct} values"
    name = next((column.name for column in names if column.name not in drop), None)
    reason = "names a row: each has a value of its own" if name else "no column names a row"
    said = [f"{column!r} {why}" for column, why in drop.items()]
    said += [
        f"{column.name!r} holds dates that are read as texts: write them as 2024-12-31"
        for column in columns
        if column.kind == "category"
        and column.values.dropna().str.fullmatch(FOREIGN_DATE).mean() >= MOSTLY
    ]
    proposals = [
        Proposal("prepare.id", name, reason),
        Proposal("prepare.drop", list(drop), "; ".join(said) or "every column may say something"),
    ]
    return proposals, {*drop, *([name] if name else [])}


def in_order(moments: pd.Series) -> bool:
    """Whether rows are by time, none without, with a holdout of the newest and older ones."""
    return bool(moments.is_monotonic_increasing) and bool(
        moments.iloc[int((1 - HOLDOUT) * len(moments))] > moments.iloc[0]
    )


def propose_split(columns: list[Column], target: Column, task: Task) -> Iterator[Proposal]:
    """`prepare.split.strategy` and `.column`, for the columns that are left."""
    rows = len(target.values)
    groups = [
        column
        for column in columns
        if ENTITY.search(words(column.name))
        and 2 * FOLDS <= column.distinct <= rows / 2
        and column.values.notna().all()
    ]
    dates = [column for column in columns if column.kind == "date"]
    if groups:
        group = max(groups, key=lambda column: column.distinct)
        strategy, name = "group", group.name
        reason = (
            f"several rows share a value of {name!r} ({group.distinct} values): rows of one group "
            "on both sides of the split would flatter the score"
        )
    elif len(dates) == 1 and in_order(dates[0].values):
        strategy, name = "time", dates[0].name
        reason = f"the rows are in the order of {name!r}: judge the model on the newest"
    elif task == "classification":
        strategy, name, reason = "stratified", None, "the same mix of labels on both sides"
    else:
        strategy, name, reason = "random", None, "no column names a group, no order in time"
    yield Proposal("prepare.split.strategy", strategy, reason)
    yield Proposal("prepare.split.column", name, "of the group or time" if name else "none needed")


def propose_training(split: Column | None, target: Column, task: Task) -> Iterator[Proposal]:
    """The keys of `train` and `evaluate` that depend on the task and the number of rows."""
    rows = len(target.values)
    models, reason = ["lightgbm", "xgboost", "catboost"], "they take any table, for both tasks"
    if rows < FEW_ROWS:
        models.append("ridge" if task == "regression" else "lr")
        reason = f"with {rows} rows a linear model may win"
    yield Proposal("train.models", models, reason)
    few = rows < FEW_ROWS
    reason = "one of them is often better than their mean" if few else "their mean errs less"
    yield Proposal("train.blend", 0 if few else 2, reason)
    yield Proposal("train.stack", 0, "takes much longer; try it when the rest is settled")
    counts = target.values.value_counts()
    folds, reason = FOLDS, "the usual number"
    if task == "classification" and (rarest := int(counts.min() * (1 - HOLDOUT))) < FOLDS:
        folds, reason = max(2, rarest), f"the rarest label has {counts.min()} rows"
    if split is not None and split.distinct // 2 < FOLDS:
        folds, reason = max(2, split.distinct // 2), f"{split.name!r} has {split.distinct} values"
    yield Proposal("train.folds", folds, reason)
    share = counts.min() / rows
    if task == "regression":
        sort, metric, reason = "RMSE", "rmse", "in the target's unit, large errors count most"
    elif share >= RARE:
        sort, metric, reason = "Accuracy", "accuracy", "the labels are about as frequent"
    else:
        rare = f"the rarest label has {share:.1%} of the rows: accuracy would flatter"
        sort, metric, reason = "MCC", "balanced_accuracy", rare
        if len(counts) == 2:
            sort, metric = "AUC", "roc_auc"
    yield Proposal("train.sort", sort, reason)
    yield Proposal("evaluate.gate.metric", metric, "the same, on the holdout")
    yield Proposal("evaluate.gate.limit", None, "unknown before the first run; set it then")
    other: dict[str, bool | None] = {"train.preprocess.transform_target": None}
    if task == "regression":
        other = {
            "train.calibrate": None,
            "train.threshold": False,
            "train.preprocess.fix_imbalance": False,
        }
    elif split is not None:
        yield Proposal("train.calibrate", None, f"its own folds know nothing of {split.name!r}")
    for key, off in other.items():
        yield Proposal(key, off, f"means nothing for a {task}")


def propose_encoding(features: list[Column]) -> Proposal:
    """`train.preprocess.max_encoding_ohe`: one-hot columns, as long as memory holds them."""
    kept = [column for column in features if column.kind == "category"]
    values = sum(column.distinct for column in kept)
    rows = len(kept[0].values) if kept else 0
    one_hot = rows * values <= MOST_CELLS
    if not kept:
        reason = "there are no categories"
    elif one_hot:
        reason = (
            f"the categories' {values} values get a column each: nothing is learnt of the target"
        )
    else:
        reason = f"the categories' {values} values in {rows} rows would fill the memory as columns"
    key = "train.preprocess.max_encoding_ohe"
    return Proposal(key, -1 if one_hot else PYCARETS_OWN, reason)


def propose(frame: pd.DataFrame, target: str) -> list[Proposal]:
    """The keys that depend on what is in the table.

    Args:
        frame: the table, from `read_table` with the texts of `missing_texts`.
        target: the column to predict.

    Raises:
        TableError: a column mostly of one kind has values that are not.
    """
    columns = []
    for name in frame:
        kind, values = typed(frame[name])
        columns.append(Column(str(name), kind, values, values.nunique()))
    asked = next(column for column in columns if column.name == target)
    rest = [column for column in columns if column is not asked]
    task, reason = guess_task(asked)
    aside, taken = set_aside(rest, asked, task)
    left = [column for column in rest if column.name not in taken]
    split = list(propose_split(left, asked, task))
    by = next((column for column in left if column.name == split[1].value), None)
    return [
        Proposal("base.task", task, reason),
        *aside,
        *split,
        *propose_training(by, asked, task),
        propose_encoding([column for column in left if column is not by]),
    ]
