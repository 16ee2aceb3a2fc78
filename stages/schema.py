"""The table's schema: which columns are features, of which kind, and what their values are.

`prepare` infers it once; every later stage and, through the manifest, the server follow it.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from app.model.manifest import Class, Contract, Feature, Task

ROW = "__index_level_0__"  # Arrow's name for an index that has none


class Schema(Contract):
    """`prepared/schema.json`.

    Attributes:
        task: regression or classification.
        target: the predicted column.
        classes: the target's labels, sorted; empty for regression.
        features: the columns that the model reads, in table order.
        missing_values: texts that mean "no value", beside the empty cell.
        strategy: how the holdout was set aside (`prepare.split.strategy`).
        split_column: the group or time column, kept in the prepared tables; or None.
        data_md5: of the data folder, as `data.dvc` pins it.
    """

    task: Task
    target: str
    classes: tuple[Class, ...] = ()
    features: tuple[Feature, ...]
    missing_values: tuple[str, ...] = ()
    strategy: str
    split_column: str | None = None
    data_md5: str

    @property
    def names(self) -> list[str]:
        """The features' names in the table."""
        return [feature.name for feature in self.features]

    @property
    def columns(self) -> list[str]:
        """The features' names inside the estimator, safe for every library."""
        return safe_names(self.names)

    @classmethod
    def read(cls, path: Path) -> "Schema":
        """Read the schema of the prepared tables."""
        return cls.model_validate_json(path.read_bytes())

    def write(self, path: Path) -> None:
        """Write the schema of the prepared tables."""
        path.write_text(self.model_dump_json(indent=2) + "\n")


def safe_names(names: Sequence[str]) -> list[str]:
    """Names of letters, digits and `_` for LightGBM, XGBoost and PyCaret, unique and in order.

    A name that is safe already stays as it is, unless it begins with another one and `_`: so
    PyCaret names what it makes of that other one, such as `sold_year`.
    """
    heads = tuple(f"{name}_" for name in names)
    taken = {
        name
        for name in names
        if re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) and not name.startswith(heads)
    }
    safe = []
    for name in names:
        if name not in taken or name in safe:
            stem = "c_" + re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
            name = next(new for i in range(len(names) + 1) if (new := f"{stem}_{i}") not in taken)
            taken.add(name)
        safe.append(name)
    return safe


def read_prepared(path: Path, schema: Schema) -> pd.DataFrame:
    """A prepared table as every stage sees it.

    Returns:
        One column per feature under its table name (number and boolean float64, category
        object, date datetime64[ns]; missing is NaN or NaT), the target, the split column.
        The index is each row's number in the raw table, from 0.
    """
    frame: pd.DataFrame = pq.read_table(path).to_pandas().set_index(ROW).rename_axis(None)
    for feature in schema.features:
        if feature.kind == "category":
            frame[feature.name] = (
                frame[feature.name].astype(object).where(frame[feature.name].notna(), np.nan)
            )
    return frame


def write_prepared(path: Path, frame: pd.DataFrame) -> None:
    """Write a prepared table and its index; the same rows give the same bytes."""
    table = pa.Table.from_pandas(frame, preserve_index=True).replace_schema_metadata(None)
    pq.write_table(table, path)


def model_frame(frame: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The features alone, under the names that the estimator knows; shape (rows, features)."""
    features: pd.DataFrame = frame[schema.names].copy()
    features.columns = pd.Index(schema.columns)
    return features


def encode_target(frame: pd.DataFrame, schema: Schema) -> pd.Series:
    """The target as the estimator sees it: float64, or the class's index as int64."""
    values = frame[schema.target]
    if schema.task == "regression":
        return values.astype("float64")
    index = {label: i for i, label in enumerate(schema.classes)}
    return values.map(index).astype("int64")
