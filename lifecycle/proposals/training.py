"""The keys that say how the rows are split, and how to train and judge on so many of them."""

from collections.abc import Iterator

import pandas as pd

from app.model.manifest import Task
from lifecycle.proposals.column import Column, Proposal

RARE = 0.2  # a label with a smaller share makes the accuracy flatter
FOLDS = 5
# PyCaret's word for a metric of the gate
SORTS = {"accuracy": "Accuracy", "roc_auc": "AUC", "balanced_accuracy": "MCC"}
HOLDOUT = 0.2  # of the rows


def in_order(moments: pd.Series) -> bool:
    """Whether rows are by time, none without, with a holdout of the newest and older ones."""
    return bool(moments.is_monotonic_increasing) and bool(
        moments.iloc[int((1 - HOLDOUT) * len(moments))] > moments.iloc[0]
    )


def propose_split(columns: list[Column], target: Column, task: Task) -> Iterator[Proposal]:
    """`prepare.split.strategy` and `.column`, for the columns that are left."""
    groups = [
        column
        for column in columns
        if column.names_things and column.distinct >= 2 * FOLDS and column.values.notna().all()
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
    """The keys of `train` and `evaluate` that depend on the task and the target."""
    rows = len(target.values)
    counts = target.values.value_counts()
    folds, reason = FOLDS, "the usual number"
    if task == "classification" and (rarest := int(counts.min() * (1 - HOLDOUT))) < FOLDS:
        folds, reason = max(2, rarest), f"the rarest label has {counts.min()} rows"
    if split is not None and split.distinct // 2 < FOLDS:
        folds, reason = max(2, split.distinct // 2), f"{split.name!r} has {split.distinct} values"
    yield Proposal("train.folds", folds, reason)
    if task == "regression":
        reason = "in the target's unit, large errors count most"
        yield Proposal("train.sort", "RMSE", reason)
        yield Proposal("evaluate.gate.metric", "rmse", "the same, on the holdout")
    else:
        share = counts.min() / rows
        metric, reason = "accuracy", "the labels are about as frequent"
        if share < RARE:
            metric = "roc_auc" if len(counts) == 2 else "balanced_accuracy"
            reason = f"the rarest label has {share:.1%} of the rows: accuracy would flatter"
        yield Proposal("evaluate.gate.metric", metric, reason)
        if split is None:
            sort, reason = "Log loss", "how sure of what is true; chance moves it least"
        else:  # a fold by groups or time may lack a label, and the log loss with it
            sort, reason = SORTS[metric], "the same, on the folds"
        yield Proposal("train.sort", sort, reason)
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
