"""The proof that the served model answers as the fitted pipeline does."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from app.model.manifest import Parity
from app.model.model import Model
from app.model.nearness import largest_difference
from stages.evaluation.metrics import predictions
from stages.onnx_writer import edge_rows
from stages.schema import Schema

# The differences are rounding errors, which depend on the processor; a bound does not.
BOUNDS = (1e-12, 1e-9, 1e-6)


class NotProven(Exception):  # noqa: N818 (as NotConvertible)
    """The served model is not the fitted one; the text says how far they are apart."""


def prove(pipeline: Any, model: Model, X: pd.DataFrame, schema: Schema, tolerance: float) -> Parity:
    """Compare the served model with the fitted pipeline on the holdout and on edge rows.

    Args:
        pipeline: the fitted pipeline.
        model: the server's own model, opened from the file to be deployed.
        X: the holdout's features.
        schema: the tables' schema.
        tolerance: `deploy.parity`.

    Raises:
        NotProven: a difference is above the tolerance, or a row gets another class.
    """
    edges = edge_rows(X, schema.features, schema.columns, pipeline)
    measured = []
    for rows in (X, edges):
        fitted, probabilities = predictions(pipeline, rows)
        served = model.predict_table(as_table(rows, schema))
        if schema.task == "regression":
            measured.append(parity(np.asarray(fitted, float), served.values, tolerance))
            continue
        index = {label: i for i, label in enumerate(schema.classes)}
        none = np.empty((len(rows), 0))
        measured.append(
            parity(
                none if probabilities is None else probabilities,
                none if served.probabilities is None else served.probabilities,
                tolerance,
                np.asarray(fitted, np.int64),
                np.array([index[label] for label in served.values], np.int64),
            )
        )
    proof = Parity(
        rows=sum(part.rows for part in measured),
        max_relative=max(part.max_relative for part in measured),
        mislabelled=sum(part.mislabelled for part in measured),
        tolerance=tolerance,
    )
    if proof.max_relative > tolerance or proof.mislabelled:
        raise NotProven(
            f"the served model is not the fitted one: over {proof.rows} rows the largest "
            f"difference is {proof.max_relative:.3g} (deploy.parity allows {tolerance:.3g}), "
            f"{proof.mislabelled} rows get another class. Nothing is deployed. "
            "Set deploy.runtime to pycaret to serve the fitted pipeline itself."
        )
    return proof


def bounded(proof: Parity) -> Parity:
    """The parity with the smallest of a few bounds that the differences keep."""
    bounds = [bound for bound in BOUNDS if proof.max_relative <= bound]
    return proof.model_copy(update={"max_relative": min([*bounds, proof.tolerance])})


def parity(
    fitted: npt.NDArray[np.float64],
    served: npt.NDArray[np.float64],
    tolerance: float,
    fitted_labels: npt.NDArray[np.int64] | None = None,
    served_labels: npt.NDArray[np.int64] | None = None,
) -> Parity:
    """Measure how far served answers are from the fitted pipeline's.

    Args:
        fitted: predictions (rows,) or probabilities (rows, classes) of the pipeline; for a
            classifier without probabilities, an empty array of shape (rows, 0).
        served: the same of the served model.
        tolerance: the largest difference that counts as equal; see `app.model.nearness`.
        fitted_labels: class indices (rows,), for a classification.
        served_labels: the same of the served model.

    Raises:
        ValueError: the shapes differ.
    """
    mislabelled = 0
    if fitted_labels is not None and served_labels is not None:
        if fitted_labels.shape != served_labels.shape:
            raise ValueError(
                f"fitted labels have shape {fitted_labels.shape}, served {served_labels.shape}"
            )
        mislabelled = int((fitted_labels != served_labels).sum())
    return Parity(
        rows=len(fitted),
        max_relative=largest_difference(fitted, served),
        mislabelled=mislabelled,
        tolerance=tolerance,
    )


def as_table(frame: pd.DataFrame, schema: Schema) -> pa.Table:
    """Pipeline columns as the server receives them, under the user's names."""
    named = frame.set_axis(schema.names, axis="columns")
    return pa.Table.from_pandas(named, preserve_index=False)
