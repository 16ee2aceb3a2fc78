"""Tabulating what fitted steps do to categorical columns."""

from typing import Any

import category_encoders
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin

from app.model.manifest import Feature
from stages.onnx_writer.errors import NotConvertible
from stages.onnx_writer.graph import Graph, tensor_info
from stages.onnx_writer.preprocessing.columns import Inputs, Matrix
from stages.onnx_writer.preprocessing.pipeline import unseen_text, walk
from tests.stages.onnx_writer.conftest import PyCaret
from tests.stages.onnx_writer.nasty import pack

FEATURES = [
    Feature(name="colour", kind="category", categories=("blue", "green", "red")),
    Feature(name="size", kind="number", minimum=1.0, maximum=9.0),
    Feature(name="town", kind="category", categories=("a", "b")),
]
COLUMNS = ["c", "s", "t"]


def _frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "c": [*["red", "blue", "green", np.nan, "red"] * 2, "blue", "lilac"],
            "s": np.arange(12.0),
            "t": ["a", "b"] * 5 + [np.nan, "c"],
        }
    )


def _walk(step: Any) -> tuple[Graph, Matrix]:
    graph = Graph()
    return graph, walk(graph, Inputs(graph, 2), [("encoding", step)], FEATURES, COLUMNS)


def _compute(graph: Graph, matrix: Matrix, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    import onnxruntime

    graph.name_output("Identity", "result", matrix.ordered(graph))
    inputs = [tensor_info("numeric", "float64", 1), tensor_info("categorical", "int64", 2)]
    model = graph.model(inputs, [tensor_info("result", "float64", matrix.width)])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    named = frame.rename(columns=dict(zip(COLUMNS, ("colour", "size", "town"), strict=True)))
    result: npt.NDArray[np.float64] = session.run(None, pack(named, FEATURES))[0]
    return result


@pytest.mark.parametrize(
    "encoder",
    [
        category_encoders.BaseNEncoder(base=2),
        category_encoders.CatBoostEncoder(),
        category_encoders.CountEncoder(handle_unknown=0),
        category_encoders.JamesSteinEncoder(),
        category_encoders.LeaveOneOutEncoder(),
        category_encoders.OneHotEncoder(handle_missing="indicator", use_cat_names=True),
        category_encoders.OrdinalEncoder(),
        category_encoders.TargetEncoder(handle_missing="return_nan"),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_any_encoder_is_tabulated_exactly(encoder: Any, pycaret: PyCaret) -> None:
    frame = _frame()
    step = pycaret.wrapper(encoder, include=["c", "t"])
    step.fit(frame[:10], pd.Series(np.arange(10.0) ** 2, name="y"))
    graph, matrix = _walk(step)
    expected = step.transform(frame).to_numpy(dtype=float)
    np.testing.assert_array_equal(_compute(graph, matrix, frame), expected)


class _Both(BaseEstimator, TransformerMixin):
    """Depends on two columns at once."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> "_Both":
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        return X.assign(c=((X["c"] == "red") & (X["t"] == "b")).astype(float), t=0.0)


def test_step_that_reads_two_categorical_columns_at_once_is_refused(pycaret: PyCaret) -> None:
    step = pycaret.wrapper(_Both(), include=["c", "t"]).fit(_frame())
    with pytest.raises(NotConvertible, match=r"'encoding'.*'c' depends on several"):
        _walk(step)


def test_step_that_looks_into_unseen_texts_is_refused(pycaret: PyCaret) -> None:
    encoder = category_encoders.HashingEncoder(cols=["c"], max_process=1)
    step = pycaret.wrapper(encoder, include=["c"]).fit(_frame())
    with pytest.raises(NotConvertible, match=r"HashingEncoder.*texts that training never saw"):
        _walk(step)


def test_column_that_stays_text_is_refused() -> None:
    graph = Graph()
    with pytest.raises(NotConvertible, match=r"column 'c'.*as text"):
        walk(graph, Inputs(graph, 2), [], FEATURES, COLUMNS)


def test_unseen_text_is_none_of_the_categories() -> None:
    assert unseen_text(["unseen", "unseen_"]) == "unseen__"
