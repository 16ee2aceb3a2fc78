"""The proof that the served model is the fitted pipeline."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from stages.deployment.conversion import convert
from stages.deployment.proof import NotProven, parity, prove
from stages.schema import model_frame
from tests.stages.deployment.models import model_of, rows, schema_of
from tests.stages.onnx_writer.conftest import PyCaret, pycaret

__all__ = ["pycaret"]

HOLDOUT = rows(*np.linspace(-3, 3, 30)).assign(flag=[0.0, 1.0] * 15)


def fit(pycaret: PyCaret, estimator: Any, target: Any) -> Any:
    dates = pycaret.wrapper(pycaret.dates(["year"]), include=["day"])
    pipeline = pycaret.pipeline([("dates", dates), ("model", estimator)])
    return pipeline.fit(model_frame(HOLDOUT, schema_of()), pd.Series(target, name="y"))


def test_the_converted_pipeline_is_proved_on_holdout_and_edge_rows(pycaret: PyCaret) -> None:
    schema = schema_of()
    pipeline = fit(pycaret, LinearRegression(), HOLDOUT["the size"] * 2)
    model = model_of(convert(pipeline, schema, "onnx"), schema, "onnx")
    proof = prove(pipeline, model, model_frame(HOLDOUT, schema), schema, 1e-9)
    assert proof.rows > len(HOLDOUT)
    assert (proof.max_relative <= 1e-9, proof.mislabelled) == (True, 0)


@pytest.mark.parametrize("factor", [1.0, 1e-9])
def test_another_regression_is_not_deployed_however_small_its_target(
    pycaret: PyCaret, factor: float
) -> None:
    schema = schema_of()
    served = fit(pycaret, LinearRegression(), factor * HOLDOUT["the size"])
    pipeline = fit(pycaret, LinearRegression(), 1.01 * factor * HOLDOUT["the size"])
    model = model_of(convert(served, schema, "onnx"), schema, "onnx")
    with pytest.raises(NotProven, match=r"deploy\.parity allows 1e-05"):
        prove(pipeline, model, model_frame(HOLDOUT, schema), schema, 1e-5)


def test_another_classifier_is_not_deployed_whatever_the_tolerance(pycaret: PyCaret) -> None:
    schema = schema_of(("no", "yes"))
    labels = (HOLDOUT["the size"] > 0).astype(int)
    served = fit(pycaret, LogisticRegression(), labels)
    pipeline = fit(pycaret, LogisticRegression(), 1 - labels)
    model = model_of(convert(served, schema, "onnx"), schema, "onnx")
    with pytest.raises(NotProven, match="rows get another class"):
        prove(pipeline, model, model_frame(HOLDOUT, schema), schema, 2.0)


def test_parity_measures_the_largest_difference() -> None:
    measured = parity(np.array([100.0, 0.0]), np.array([101.0, 0.005]), 0.02)
    assert (measured.rows, measured.max_relative, measured.mislabelled) == (2, 0.01, 0)
    assert measured.tolerance == 0.02


def test_parity_counts_labels_where_there_are_no_probabilities() -> None:
    none = np.empty((3, 0))
    measured = parity(none, none, 1e-9, np.array([0, 1, 2]), np.array([0, 2, 1]))
    assert (measured.max_relative, measured.mislabelled) == (0.0, 2)


def test_parity_refuses_different_shapes() -> None:
    with pytest.raises(ValueError, match="shape"):
        parity(np.zeros(2), np.zeros(3), 1e-9)
    labels = np.zeros(1, np.int64), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match=r"labels have shape \(1,\), served \(2,\)"):
        parity(np.zeros((2, 0)), np.zeros((2, 0)), 1e-9, *labels)
