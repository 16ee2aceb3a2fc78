"""The graph as a whole: its bytes, inputs and outputs, and what is refused."""

from typing import Any

import category_encoders
import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import MaxAbsScaler, QuantileTransformer

from app.model.manifest import Feature
from stages.onnx_writer import NotConvertible, to_onnx
from tests.stages.onnx_writer.conftest import PyCaret
from tests.stages.onnx_writer.nasty import features_of, fitted, served, table

NUMBERS = ["size", "weight", "count"]


def _fit(pycaret: PyCaret, model: Any, frame: pd.DataFrame, columns: list[str]) -> Any:
    imputer = pycaret.wrapper(SimpleImputer(), include=columns)
    pipeline = pycaret.pipeline([("imputer", imputer), ("model", model)])
    return pipeline.fit(frame[columns].copy(), frame["target"])


def _features(frame: pd.DataFrame, columns: list[str]) -> list[Feature]:
    return [feature for feature in features_of(frame) if feature.name in columns]


@pytest.fixture(scope="module")
def boosted(pycaret: PyCaret) -> tuple[Any, list[Feature], pd.DataFrame]:
    frame = table("regression")
    model = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1, n_jobs=1)
    return _fit(pycaret, model, frame, NUMBERS), _features(frame, NUMBERS), frame


def test_the_same_pipeline_gives_the_same_bytes(
    boosted: tuple[Any, list[Feature], pd.DataFrame],
) -> None:
    pipeline, features, _ = boosted
    graphs = [to_onnx(pipeline, features, NUMBERS, "regression", 0) for _ in range(2)]
    assert graphs[0].SerializeToString() == graphs[1].SerializeToString()


def test_feature_names_need_not_be_the_frame_s(
    boosted: tuple[Any, list[Feature], pd.DataFrame],
) -> None:
    pipeline, features, frame = boosted
    renamed = [f.model_copy(update={"name": f"Größe {f.name} [mm]"}) for f in features]
    model = to_onnx(pipeline, renamed, NUMBERS, "regression", 0).SerializeToString()
    rows = frame[NUMBERS]
    named = rows.set_axis([feature.name for feature in renamed], axis=1)
    np.testing.assert_allclose(
        served(model, named, renamed).values, fitted(pipeline, rows, "regression").values, 1e-12
    )


def test_inputs_and_outputs_are_those_of_the_manifest(
    boosted: tuple[Any, list[Feature], pd.DataFrame],
) -> None:
    pipeline, features, _ = boosted
    graph = to_onnx(pipeline, features, NUMBERS, "regression", 0).graph
    (given,), (answer,) = graph.input, graph.output
    assert (given.name, answer.name) == ("numeric", "prediction")
    assert [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim] == ["rows", 3]
    assert [d.dim_param for d in answer.type.tensor_type.shape.dim] == ["rows"]


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_any_number_of_rows(rows: int, boosted: tuple[Any, list[Feature], pd.DataFrame]) -> None:
    pipeline, features, frame = boosted
    model = to_onnx(pipeline, features, NUMBERS, "regression", 0).SerializeToString()
    some = frame[NUMBERS].sample(rows, replace=True, random_state=1)
    assert served(model, some, features).values.shape == (rows,)


def test_without_numeric_features_there_is_no_numeric_input(pycaret: PyCaret) -> None:
    frame = table("regression")
    columns = ["colour", "town"]
    encoder = pycaret.wrapper(category_encoders.TargetEncoder(), include=columns)
    pipeline = pycaret.pipeline([("encoder", encoder), ("model", Ridge())])
    pipeline.fit(frame[columns].copy(), frame["target"])
    features = _features(frame, columns)
    model = to_onnx(pipeline, features, columns, "regression", 0)
    assert [given.name for given in model.graph.input] == ["categorical"]
    found = served(model.SerializeToString(), frame, features).values
    np.testing.assert_allclose(found, pipeline.predict(frame[columns].copy()), 1e-12)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "poly"])
def test_kernels(pycaret: PyCaret, kernel: str) -> None:
    frame = table("regression")
    columns = ["size", "weight"]
    pipeline = _fit(pycaret, KernelRidge(kernel=kernel, gamma=0.02, degree=2), frame, columns)
    features = _features(frame, columns)
    model = to_onnx(pipeline, features, columns, "regression", 0).SerializeToString()
    answers = fitted(pipeline, frame[columns], "regression").values
    np.testing.assert_allclose(served(model, frame[columns], features).values, answers, 1e-9)


def test_trees_over_imputed_numbers_need_not_look_for_missing_ones(
    boosted: tuple[Any, list[Feature], pd.DataFrame], pycaret: PyCaret
) -> None:
    """ONNX Runtime then takes a quicker way; without the imputation they must look."""

    def looks(pipeline: Any, features: list[Feature]) -> bool:
        graph = to_onnx(pipeline, features, NUMBERS, "regression", 0).graph
        (trees,) = (node for node in graph.node if node.op_type == "TreeEnsemble")
        (tracks,) = (a for a in trees.attribute if a.name == "nodes_missing_value_tracks_true")
        return any(tracks.ints)

    imputed, features, frame = boosted
    scaler = pycaret.wrapper(MaxAbsScaler(), include=NUMBERS)
    model = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1, n_jobs=1)
    raw = pycaret.pipeline([("scaler", scaler), ("model", model)])
    raw.fit(frame[NUMBERS].copy(), frame["target"])
    assert not looks(imputed, features)
    assert looks(raw, features)


def test_unknown_estimator_is_named_with_the_alternative(pycaret: PyCaret) -> None:
    frame = table("regression")
    pipeline = _fit(pycaret, GaussianProcessRegressor(), frame, NUMBERS)
    with pytest.raises(NotConvertible, match=r"GaussianProcessRegressor.*deploy\.runtime.*pycaret"):
        to_onnx(pipeline, _features(frame, NUMBERS), NUMBERS, "regression", 0)


def test_unknown_step_is_named(pycaret: PyCaret) -> None:
    frame = table("regression")
    step = pycaret.wrapper(QuantileTransformer(n_quantiles=9), include=["size"])
    pipeline = pycaret.pipeline([("transformation", step), ("model", Ridge())])
    pipeline.fit(frame[["size"]].fillna(0.0), frame["target"])
    with pytest.raises(NotConvertible, match=r"step 'transformation' \(QuantileTransformer\)"):
        to_onnx(pipeline, _features(frame, ["size"]), ["size"], "regression", 0)


def test_classes_must_be_encoded(pycaret: PyCaret) -> None:
    frame = table("classification", 2)
    frame["target"] = frame["target"].map({0: "no", 1: "yes"})
    pipeline = _fit(pycaret, LogisticRegression(max_iter=500), frame, NUMBERS)
    with pytest.raises(NotConvertible, match=r"classes are \['no', 'yes'\], not 0 to 1"):
        to_onnx(pipeline, _features(frame, NUMBERS), NUMBERS, "classification", 2)
