"""The row that the self-test repeats."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression

from app.model.model import Model
from stages.deployment.example import choose_example
from stages.schema import Schema
from tests.stages.deployment import models
from tests.stages.deployment.models import rows, schema_of


class Sizes(LinearRegression):
    """A linear model of the size alone."""

    def predict(self, X: pd.DataFrame) -> Any:
        return super().predict(X.iloc[:, :1].fillna(0).to_numpy())


def fitted(factor: float) -> Sizes:
    sizes = np.arange(4.0).reshape(-1, 1)
    pipeline = Sizes()
    pipeline.fit(sizes, factor * sizes.ravel())
    return pipeline


def model_of(pipeline: Any, schema: Schema) -> Model:
    content = pickle.dumps({"pipeline": pipeline, "columns": schema.columns})
    return models.model_of(content, schema, "pycaret")


def test_the_first_complete_row_is_taken() -> None:
    schema = schema_of()
    model = model_of(fitted(2.0), schema)
    example = choose_example(model, rows(np.nan, 1.5, 2.5), schema)
    assert example.record == {"the size": 1.5, "flag": True, "day": "2020-01-01T00:00:00"}
    assert example.prediction == pytest.approx(3.0)
    model.self_test(example, 1e-9)


def test_a_row_with_missing_values_is_taken_where_all_have_some() -> None:
    schema = schema_of()
    model = model_of(fitted(2.0), schema)
    example = choose_example(model, rows(1.0, 2.0).assign(flag=np.nan), schema)
    assert example.record["flag"] is None
    model.self_test(example, 1e-9)


def test_an_answer_near_zero_is_passed_over() -> None:
    """Its last bits differ between machines, and the self-test is relative."""
    schema = schema_of()
    model = model_of(fitted(1e-9), schema)
    example = choose_example(model, rows(1e-12, 1.0, 2.0), schema)
    assert example.prediction == pytest.approx(1e-9)


def test_where_every_answer_is_zero_the_first_is_taken() -> None:
    schema = schema_of()
    example = choose_example(model_of(fitted(0.0), schema), rows(1.0, 2.0), schema)
    assert example.prediction == 0.0


def test_a_class_comes_with_its_probabilities() -> None:
    schema = schema_of(("no", "yes"))
    classifier = DummyClassifier(strategy="prior").fit([[0]] * 4, [0, 1, 1, 1])
    model = model_of(classifier, schema)
    example = choose_example(model, rows(1.0, 2.0), schema)
    assert (example.prediction, example.probabilities) == ("yes", (0.25, 0.75))
    model.self_test(example, 1e-9)
