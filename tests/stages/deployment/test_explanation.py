"""Explanations against Shapley values computed by their definition through fitted pipelines."""

import copy
import functools
import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.neural_network import MLPRegressor

from app.model.explanation.explainer import Explainer
from app.model.explanation.result import Explanation
from app.model.manifest import Feature, Interface, Task
from app.model.model import Model
from app.model.packing import pack
from app.model.runtime import Packed
from stages.deployment.background import background
from stages.deployment.explanation import explanation_file
from stages.onnx_writer import to_onnx
from stages.schema import Schema
from stages.training.experiment import start
from stages.training.threads import one_thread
from tests.conftest import params_with

pytestmark = [
    pytest.mark.slow,
    # PyCaret and the libraries that it pins, on Python 3.11
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:sklearn"),
]

Floats = npt.NDArray[np.float64]
Score = Callable[[Any, pd.DataFrame], Floats]

ROWS = 240
NAMES = ["size", "weight", "new", "sold", "colour", "town"]
CLASSES = {"binary": ("a", "b"), "multiclass": ("a", "b", "c")}


def table(kind: str) -> pd.DataFrame:
    """Numbers, a boolean, a date, few and many categories; each with missing values."""
    draw = np.random.default_rng(3)
    rows = pd.DataFrame(
        {
            "size": draw.normal(10, 3, ROWS),
            "weight": draw.lognormal(0, 1, ROWS),
            "new": draw.integers(0, 2, ROWS).astype(float),
            "sold": pd.to_datetime(draw.integers(10**9, 16 * 10**8, ROWS), unit="s"),
            "colour": draw.choice(["red", "green", "blue"], ROWS).astype(object),
            "town": np.array([f"t{i:02d}" for i in draw.integers(0, 12, ROWS)], dtype=object),
        }
    )
    score = (
        2 * rows["size"]
        + rows["weight"] * (1 + rows["new"])
        + 5 * (rows["colour"] == "red")
        + rows["town"].str[1:].astype(float) * rows["sold"].dt.month / 10
    )
    for name in NAMES:
        missing = np.isin(np.arange(ROWS), draw.choice(ROWS, 12, replace=False))
        rows[name] = rows[name].mask(missing)
    if kind == "regression":
        return rows.assign(y=score.round(1))
    names = CLASSES[kind]
    return rows.assign(y=pd.qcut(score, len(names), labels=list(names)).astype(object))


def explained(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows to explain: two of the table, one with nothing in it, one of unseen categories."""
    odd = pd.DataFrame(
        {
            "size": [np.nan, 40.0],
            "weight": [np.nan, 1.0],
            "new": [np.nan, 0.0],
            "sold": [pd.NaT, pd.Timestamp("2001-02-03")],
            "colour": np.array([np.nan, "violet"], dtype=object),
            "town": np.array([np.nan, "nowhere"], dtype=object),
        }
    )
    return pd.concat([rows[NAMES].iloc[:2], odd], ignore_index=True)


def schema_of(rows: pd.DataFrame, kind: str) -> Schema:
    kinds: dict[str, Any] = dict.fromkeys(NAMES, "number") | {
        "new": "boolean",
        "sold": "date",
        "colour": "category",
        "town": "category",
    }
    return Schema(
        task="regression" if kind == "regression" else "classification",
        target="y",
        classes=CLASSES.get(kind, ()),
        features=tuple(
            Feature(
                name=name,
                kind=kinds[name],
                categories=tuple(sorted(rows[name].dropna().unique()))
                if kinds[name] == "category"
                else (),
            )
            for name in NAMES
        ),
        strategy="random",
        data_md5="0.dir",
    )


@functools.cache
def experiment(kind: str, **preprocess: Any) -> Any:
    rows = table(kind)
    task: Task = "regression" if kind == "regression" else "classification"
    params = params_with(
        {
            "base.task": task,
            "train.folds": 2,
            **{f"train.preprocess.{key}": value for key, value in preprocess.items()},
        }
    )
    with one_thread():
        return start(
            rows[:200], rows[200:], schema_of(rows, kind), params.train, seed=1, logger=None
        )


def fitted(setup: Any, name: str) -> Any:
    """One of PyCaret's estimators, kept small."""
    described = setup.models(internal=True).loc[name]
    few = {"catboost": "iterations", "dt": "max_depth"}.get(name, "n_estimators")
    extra = {few: 12} if name not in LINEAR else {}
    if name == "lightgbm":
        extra["min_child_samples"] = 5
    model = described["Class"](**{**described["Args"], **extra})
    model.fit(setup.X_train_transformed, setup.y_train_transformed)
    return rounded(model) if name == "xgboost" else model


LINEAR = ("lr", "ridge", "lda")


def rounded(model: Any) -> Any:
    """XGBoost with leaves whose float32 sums are exact, so that no rounding is in the way."""
    content = json.loads(model.get_booster().save_raw("json"))
    learner = content["learner"]
    base = float(learner["learner_model_param"]["base_score"].strip("[]"))
    learner["learner_model_param"]["base_score"] = f"[{round(base * 16) / 16}]"
    for tree in learner["gradient_booster"]["model"]["trees"]:
        tree["split_conditions"] = [
            round(value * 1024) / 1024 if left < 0 else value
            for value, left in zip(tree["split_conditions"], tree["left_children"], strict=True)
        ]
    model.load_model(bytearray(json.dumps(content).encode()))
    return model


def pipeline_of(setup: Any, model: Any) -> Any:
    pipeline = copy.deepcopy(setup.pipeline)
    pipeline.steps.append(("actual_estimator", model))
    return pipeline


@dataclass(frozen=True)
class Served:
    """What a server has of a pipeline, and the rows that it explains."""

    explainer: Explainer
    explanation: Explanation
    rows: pd.DataFrame
    background: pd.DataFrame


def serve(pipeline: Any, kind: str) -> Served:
    """Convert a pipeline, write its explanation file, explain the rows from those alone."""
    rows = table(kind)
    schema = schema_of(rows, kind)
    graph = to_onnx(pipeline, schema.features, NAMES, schema.task, len(schema.classes))
    content = graph.SerializeToString()
    interface = Interface(
        name="small",
        task=schema.task,
        target="y",
        classes=schema.classes,
        features=schema.features,
        file="model.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
    )
    model = Model(interface, content)
    behind = background(rows, schema, "medians", seed=1)
    file = explanation_file(pipeline, schema, packed(behind, schema), "onnx")
    explainer = Explainer(file, schema.features, model._run)
    chosen = explained(rows)
    return Served(explainer, explainer.explain(packed(chosen, schema)), chosen, behind)


def packed(rows: pd.DataFrame, schema: Schema) -> Packed:
    return pack(pa.Table.from_pandas(rows, preserve_index=False), schema.features)


def brute_force(worth: Callable[[pd.DataFrame], Floats], row: int, served: Served) -> Floats:
    """Shapley values by their definition: the mean gain over all coalitions, by their size."""
    behind, count = served.background, len(NAMES)
    coalitions = list(itertools.product([False, True], repeat=count))
    mixed = pd.concat(
        [
            behind.assign(
                **{
                    name: pd.Series([served.rows.loc[row, name]] * len(behind)).astype(
                        behind[name].dtype
                    )
                    for name, chosen in zip(NAMES, coalition, strict=True)
                    if chosen
                }
            )
            for coalition in coalitions
        ],
        ignore_index=True,
    )
    means = dict(zip(coalitions, worth(mixed).reshape(-1, len(behind)).mean(axis=1), strict=True))
    values = np.zeros(count)
    for coalition in coalitions:
        for feature in range(count):
            if not coalition[feature]:
                size = sum(coalition)
                weight = factorial(size) * factorial(count - size - 1) / factorial(count)
                joined = (*coalition[:feature], True, *coalition[feature + 1 :])
                values[feature] += weight * (means[joined] - means[coalition])
    return values


def check(served: Served, worth: Callable[[int], Callable[[pd.DataFrame], Floats]]) -> None:
    """Compare with the definition, to 1e-9 of the range of what is explained."""
    explanation = served.explanation
    for row in range(len(served.rows)):
        score = worth(row)
        base = score(served.background)
        own = score(served.rows.iloc[[row]])[0]
        scale = np.ptp([*base, own])
        expected = brute_force(score, row, served)
        assert explanation.contributions[row] == pytest.approx(expected, abs=1e-9 * scale)
        assert explanation.base[row] == pytest.approx(base.mean(), abs=1e-9 * scale)
        total = explanation.base[row] + explanation.contributions[row].sum()
        assert total == pytest.approx(own, abs=1e-9 * scale)
        assert np.abs(expected).max() > 0.01 * scale  # there was something to explain
    assert explanation.additivity_error < 1e-9 * scale


def predictions(pipeline: Any) -> Callable[[int], Callable[[pd.DataFrame], Floats]]:
    return lambda row: lambda frame: np.asarray(pipeline.predict(frame.copy()), float)


# With 3, the colours are one-hot encoded and the towns target-encoded; -1 and 0 do one of them.
@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        *((name, 3) for name in ("lightgbm", "xgboost", "catboost", "rf", "ridge")),
        ("lightgbm", -1),
        ("rf", 0),
    ],
)
def test_a_regression_is_explained_exactly(name: str, encoding: int) -> None:
    setup = experiment("regression", max_encoding_ohe=encoding)
    pipeline = pipeline_of(setup, fitted(setup, name))
    served = serve(pipeline, "regression")
    assert served.explainer.method.calls == 0
    assert served.explanation.method.startswith("exact Shapley values of the prediction, ")
    check(served, predictions(pipeline))


def test_missing_values_that_reach_the_trees_are_explained_exactly() -> None:
    setup = experiment("regression", max_encoding_ohe=3)
    for name in ("lightgbm", "xgboost", "catboost"):
        model = fitted(setup, name)
        pipeline = pipeline_of(setup, model)
        pipeline.steps = [step for step in pipeline.steps if step[0] != "numerical_imputer"]
        served = serve(pipeline, "regression")
        assert served.explainer.method.calls == 0
        check(served, predictions(pipeline))


def test_a_blend_of_boosters_a_forest_and_lines_is_explained_exactly() -> None:
    setup = experiment("regression", max_encoding_ohe=3)
    names = ("lightgbm", "xgboost", "catboost", "rf", "ridge")
    blend = VotingRegressor(
        [(name, fitted(setup, name)) for name in names], weights=[1, 2, 3, 4, 5]
    )
    blend.fit(setup.X_train_transformed, setup.y_train_transformed)
    rounded(blend.estimators_[1])
    pipeline = pipeline_of(setup, blend)
    served = serve(pipeline, "regression")
    assert served.explainer.method.calls == 0
    check(served, predictions(pipeline))


def test_rounding_of_float32_sums_is_shared_out() -> None:
    setup = experiment("regression", max_encoding_ohe=3)
    described = setup.models(internal=True).loc["xgboost"]
    model = described["Class"](**{**described["Args"], "n_estimators": 40})
    model.fit(setup.X_train_transformed, setup.y_train_transformed)
    pipeline = pipeline_of(setup, model)
    served = serve(pipeline, "regression")
    values = np.asarray(pipeline.predict(served.rows.copy()), float)
    scale = np.ptp(values)
    explanation = served.explanation
    expected = brute_force(predictions(pipeline)(0), 0, served)
    assert explanation.contributions[0] == pytest.approx(expected, abs=1e-6 * scale)
    total = explanation.base + explanation.contributions.sum(axis=1)
    assert total == pytest.approx(values, abs=1e-9 * scale)


# How these are asked for their scores; the others have a `decision_function`.
RAW: dict[str, dict[str, Any]] = {
    "LGBMClassifier": {"raw_score": True},
    "CatBoostClassifier": {"prediction_type": "RawFormulaVal"},
}


def margin(pipeline: Any, served: Served) -> Callable[[int], Callable[[pd.DataFrame], Floats]]:
    """The score, before it becomes a probability, of the class that is predicted for a row."""
    labels = np.asarray(pipeline.predict(served.rows.copy()), int)
    model = pipeline.steps[-1][1]
    before = type(pipeline)(pipeline.steps[:-1])

    def raw(frame: pd.DataFrame) -> Floats:
        matrix = before.transform(frame.copy())
        if hasattr(model, "decision_function"):
            return np.asarray(model.decision_function(matrix), float)
        return np.asarray(model.predict(matrix, **RAW[type(model).__name__]), float)

    def worth(row: int) -> Callable[[pd.DataFrame], Floats]:
        def of_class(frame: pd.DataFrame) -> Floats:
            scores = raw(frame)
            if scores.ndim == 1:
                return scores if labels[row] == 1 else -scores
            column: Floats = scores[:, labels[row]]
            return column

        return of_class

    return worth


def probability(pipeline: Any, served: Served) -> Callable[[int], Callable[[pd.DataFrame], Floats]]:
    labels = np.asarray(pipeline.predict(served.rows.copy()), int)
    return lambda row: (
        lambda frame: np.asarray(pipeline.predict_proba(frame.copy()), float)[:, labels[row]]
    )


@pytest.mark.parametrize("name", ["lightgbm", "catboost", "gbc", "lr", "ada"])
def test_the_margin_of_two_classes_is_explained_exactly(name: str) -> None:
    setup = experiment("binary", max_encoding_ohe=3, normalize="zscore")
    pipeline = pipeline_of(setup, fitted(setup, name))
    served = serve(pipeline, "binary")
    assert "the margin" in served.explanation.method
    assert served.explainer.method.calls == 0
    check(served, margin(pipeline, served))


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_a_forest_explains_the_probability_exactly(kind: str) -> None:
    setup = experiment(kind, max_encoding_ohe=3, normalize="zscore")
    pipeline = pipeline_of(setup, fitted(setup, "rf"))
    served = serve(pipeline, kind)
    assert "the probability of the predicted class" in served.explanation.method
    assert served.explainer.method.calls == 0
    check(served, probability(pipeline, served))


def test_the_margin_of_three_classes_is_the_raw_score_of_the_predicted_one() -> None:
    setup = experiment("multiclass", max_encoding_ohe=3, normalize="zscore")
    model = fitted(setup, "lightgbm")
    pipeline = pipeline_of(setup, model)
    served = serve(pipeline, "multiclass")
    labels = pipeline.predict(served.rows.copy())
    assert len(set(np.ravel(labels).tolist())) > 1
    check(served, margin(pipeline, served))


@pytest.mark.parametrize("reason", ["components", "network"])
def test_without_terms_all_coalitions_are_asked(reason: str) -> None:
    if reason == "components":
        setup = experiment("regression", max_encoding_ohe=3, pca_components=4)
        model = fitted(setup, "lightgbm")
    else:
        setup = experiment("regression", max_encoding_ohe=3)
        model = MLPRegressor((5,), max_iter=30, random_state=1)
        model.fit(setup.X_train_transformed, setup.y_train_transformed)
    pipeline = pipeline_of(setup, model)
    served = serve(pipeline, "regression")
    assert served.explainer.method.calls == 2**6 * len(served.background)
    assert "all coalitions" in served.explanation.method
    check(served, predictions(pipeline))


def test_a_soft_vote_explains_its_probability_by_coalitions() -> None:
    setup = experiment("binary", max_encoding_ohe=3, normalize="zscore")
    members = [(name, fitted(setup, name)) for name in ("lightgbm", "lr")]
    blend = VotingClassifier(members, voting="soft")
    blend.fit(setup.X_train_transformed, setup.y_train_transformed)
    pipeline = pipeline_of(setup, blend)
    served = serve(pipeline, "binary")
    assert "the probability of the predicted class, all coalitions" in served.explanation.method
    check(served, probability(pipeline, served))


def test_the_same_pipeline_gives_the_same_file() -> None:
    setup = experiment("regression", max_encoding_ohe=3)
    pipeline = pipeline_of(setup, fitted(setup, "lightgbm"))
    rows = table("regression")
    schema = schema_of(rows, "regression")
    behind = packed(background(rows, schema, "medians", seed=1), schema)
    first = explanation_file(pipeline, schema, behind, "onnx")
    assert first == explanation_file(copy.deepcopy(pipeline), schema, behind, "onnx")
