"""Counts of the rows of training, for a server to compare with what arrives."""

import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa

from app.drift.reference import Reference, category, feature_order, number
from app.model.manifest import ReferenceFile
from app.model.packing import pack
from stages.files import settled
from stages.schema import Schema

FILE = "reference.json"


def reference(rows: pd.DataFrame, folds: pd.DataFrame, schema: Schema) -> Reference:
    """Count the prepared rows.

    Args:
        rows: all of them.
        folds: what the candidate answered in its folds, to rows that these did not know: so new
            answers are distributed too, while those to rows of training may be too extreme.
        schema: the tables' schema.
    """
    packed = pack(pa.Table.from_pandas(rows[schema.names], preserve_index=False), schema.features)
    columns = []
    order = feature_order(schema.features)
    for feature, (is_category, place) in zip(schema.features, order, strict=True):
        if is_category:
            codes = packed.categorical[:, place]
            columns.append(category(feature.name, feature.categories, codes))
        else:
            columns.append(number(feature.name, packed.numeric[:, place], settled))
    answers = folds["prediction"].to_numpy()
    if schema.task == "regression":
        columns.append(number(schema.target, answers.astype(float), settled))
    else:
        texts = [str(label) for label in schema.classes]
        columns.append(category(schema.target, texts, answers.astype(np.int64)))
    return Reference(columns=tuple(columns))


def reference_file(content: bytes) -> ReferenceFile:
    """Describe the file for the manifest."""
    return ReferenceFile(file=FILE, sha256=hashlib.sha256(content).hexdigest())
