import numpy as np
import pandas as pd
import pytest

from app.model.manifest import Feature, Task
from stages.schema import Schema
from stages.training.folds import folds


def schema(task: Task, strategy: str, column: str | None = None) -> Schema:
    return Schema(
        task=task,
        target="y",
        features=(Feature(name="x", kind="number"),),
        strategy=strategy,
        split_column=column,
        data_md5="0.dir",
    )


TRAIN = pd.DataFrame({"x": range(6), "g": list("aabbcc"), "y": [0, 0, 0, 0, 1, 1]})


@pytest.mark.parametrize(
    ("wanted", "most", "message"),
    [
        (schema("regression", "random"), 6, "only 6 rows to train on"),
        (schema("regression", "time", "x"), 5, "only 5 rows after the first to train on"),
        (schema("regression", "group", "g"), 3, "only 3 groups of 'g' to train on"),
        (schema("classification", "stratified"), 2, "only 2 rows of the label 1 to train on"),
    ],
)
def test_more_folds_than_there_is_to_fold_are_refused(
    wanted: Schema, most: int, message: str
) -> None:
    assert folds(TRAIN, TRAIN, wanted, most)["fold"] == most
    with pytest.raises(ValueError, match=f"train.folds is {most + 1}, but there are {message}"):
        folds(TRAIN, TRAIN, wanted, most + 1)


@pytest.mark.parametrize(
    ("strategy", "column", "rare", "message"),
    [
        ("group", "g", "b", "fold . of 3 .* label 'rare', which one part of the groups by 'g'"),
        ("time", "x", "c", "fold 1 of 3 .* label 'rare', which only later rows by 'x' have"),
    ],
)
def test_a_fold_that_would_train_without_a_label_is_refused(
    strategy: str, column: str, rare: str, message: str
) -> None:
    rows = TRAIN.assign(y=np.where(TRAIN["g"] == rare, "rare", "usual"))
    with pytest.raises(ValueError, match=message):
        folds(rows, rows, schema("classification", strategy, column), 3)
    rows["y"] = ["rare", "usual"] * 3
    assert folds(rows, rows, schema("classification", strategy, column), 2)["fold"] == 2
