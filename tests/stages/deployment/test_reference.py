"""The counts of training that a model's folder holds."""

import numpy as np
import pandas as pd

from app.drift.reference import Reference
from app.model.manifest import Feature
from stages.deployment.reference import reference
from stages.schema import Schema
from tests.stages.deployment.test_background import SCHEMA, table


def test_the_rows_and_the_answers_of_the_folds_are_counted() -> None:
    rows = table(600)
    folds = pd.DataFrame({"prediction": np.linspace(0, 1, 400)})
    made = reference(rows, folds, SCHEMA)
    columns = {column.name: column for column in made.columns}
    assert [*columns] == ["size", "new", "town", "sold", "y"]
    assert sum(columns["size"].counts) == 600
    assert columns["size"].counts[-1] == rows["size"].isna().sum()
    assert columns["town"].counts == (*rows["town"].value_counts(), 0, 0, 120)
    assert sum(columns["y"].counts) == 400
    assert columns["y"].ends == (0.0, 1.0)
    assert Reference.model_validate_json(made.model_dump_json()) == made


def test_classes_are_counted_by_name() -> None:
    schema = Schema(
        task="classification",
        target="y",
        classes=("no", "yes"),
        features=(Feature(name="size", kind="number"),),
        strategy="random",
        data_md5="0.dir",
    )
    folds = pd.DataFrame({"prediction": [1, 1, 0]})
    answers = reference(table(30), folds, schema).columns[-1]
    assert answers.values == ("yes", "no")
    assert answers.counts[:2] == (2, 1)
