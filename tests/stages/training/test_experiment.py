from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.model.manifest import Feature, Task
from stages.schema import Schema, model_frame
from stages.training.experiment import finalize, start
from stages.training.threads import one_thread
from tests.conftest import params_with

pytestmark = [
    # PyCaret and the libraries that it pins, on Python 3.11
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def nasty(task: Task, **preprocess: Any) -> Any:
    """An experiment on dates that are missing and texts that break names."""
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "when": pd.date_range("2024-01-01", periods=90, freq="D"),
            "size": generator.normal(size=90),
            "age": generator.choice(["<5", ">5", '{"5": 5}'], 90),
        }
    )
    rows["y"] = rows["size"] + (rows["age"] == "<5")
    if task == "classification":
        rows["y"] = np.where(rows["y"] > 1, "b", "a")
    rows.loc[::7, "when"] = pd.NaT
    rows.loc[89, "age"] = "[new]"
    schema = Schema(
        task=task,
        target="y",
        classes=("a", "b") if task == "classification" else (),
        features=(
            Feature(name="when", kind="date"),
            Feature(name="size", kind="number"),
            Feature(name="age", kind="category", categories=tuple(sorted(set(rows["age"])))),
        ),
        strategy="random",
        data_md5="0.dir",
    )
    changes = {"max_encoding_ohe": -1, **preprocess}
    params = params_with(
        {
            "base.task": task,
            "train.folds": 2,
            **{f"train.preprocess.{key}": value for key, value in changes.items()},
        }
    )
    with one_thread():
        experiment = start(rows[:80], rows[80:], schema, params.train, seed=1, logger=None)
    return experiment


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_later_steps_find_numbers_under_safe_names(task: Task) -> None:
    experiment = nasty(
        task,
        polynomial_degree=2,
        low_variance_threshold=0.001,
        multicollinearity_threshold=0.99,
        transformation="yeo-johnson",
        normalize="zscore",
        pca_components=0.9,
        feature_selection=0.9,
        fix_imbalance=task == "classification",
    )
    names = [name for name, _ in experiment.pipeline.steps]
    first = names.index("onehot_encoding") + 1
    assert names[first : first + 2] == ["safe_names", "polynomial_features"]
    assert names[-2:] == ["feature_selection", "by_rows"]


def test_scores_of_float32_answers_are_computed_in_float64() -> None:
    generator = np.random.default_rng(0)
    actual = generator.uniform(1, 1000, 500).astype(np.float32)
    predicted = (actual * generator.uniform(0.9, 1.1, 500)).astype(np.float32)
    rmsle = nasty("regression")._all_metrics["rmsle"].scorer._score_func
    logarithms = np.log1p(actual.astype(float)) - np.log1p(predicted.astype(float))
    assert rmsle(actual, predicted) == pytest.approx(np.sqrt(np.mean(logarithms**2)), rel=1e-14)


def test_a_category_may_have_no_value_in_a_fold_and_any_name() -> None:
    rows = pd.DataFrame({"n": np.arange(90.0), "c": np.array([np.nan] * 60 + ["a", "b", "d"] * 10)})
    rows["c"] = rows["c"].replace("nan", np.nan)
    rows["c_a"] = rows["n"] % 7
    rows["y"] = rows["n"] + rows["c_a"]
    schema = Schema(
        task="regression",
        target="y",
        features=(
            Feature(name="c", kind="category", categories=("a", "b", "d")),
            Feature(name="c_a", kind="number"),
        ),
        strategy="time",
        split_column="n",
        data_md5="0.dir",
    )
    changes = {"train.folds": 3, "train.preprocess.max_encoding_ohe": -1}
    with one_thread():
        experiment = start(
            rows[:80], rows[80:], schema, params_with(changes).train, seed=1, logger=None
        )
        experiment.create_model("ridge", verbose=False)
    assert np.isfinite(experiment.pull().loc["Mean", "RMSE"])


def test_a_missing_number_is_the_same_in_training_and_later() -> None:
    numbers = np.random.default_rng(0).normal(100.1, 7.7, size=(90, 2))
    rows = pd.DataFrame(numbers, columns=["n", "y"])
    rows.loc[::4, "n"] = np.nan
    schema = Schema(
        task="regression",
        target="y",
        features=(Feature(name="n", kind="number"),),
        strategy="random",
        data_md5="0.dir",
    )
    params = params_with({"train.folds": 2, "train.preprocess.normalize": "zscore"}).train
    with one_thread():
        experiment = start(rows[:80], rows[80:], schema, params, seed=1, logger=None)
    trained_on = experiment.X_train_transformed["n"]
    later = experiment.pipeline.transform(model_frame(rows[:80], schema))["n"]
    np.testing.assert_array_equal(trained_on.to_numpy(), later.to_numpy())
    np.testing.assert_array_equal(experiment.y_train.to_numpy(), rows["y"][:80].to_numpy())


def test_dates_are_features_however_many_are_missing() -> None:
    experiment = nasty("regression")
    rows = experiment.X_train.copy()
    wanted = {"when_day", "when_month", "when_year"}
    assert wanted < set(experiment.pipeline.transform(rows).columns)
    rows["when"] = pd.NaT
    filled = experiment.pipeline.transform(rows.astype({"when": "datetime64[ns]"}))
    assert filled[["when_year", "when_month", "when_day"]].drop_duplicates().values.tolist() == [
        [2024, 2, 9]
    ]


def test_a_value_of_the_holdout_alone_gets_a_column_of_its_own_at_last() -> None:
    experiment = nasty("regression", normalize="zscore")
    with one_thread():
        estimator = experiment.create_model("lightgbm", cross_validation=False, verbose=False)
        pipeline = finalize(experiment, estimator)
    known = {"age_%3C5", "age_%3E5", "age_%7B%225%22%3A%205%7D"}
    assert known < set(estimator.feature_name_)
    assert "age_%5Bnew%5D" not in estimator.feature_name_
    final = pipeline.steps[-1][1]
    assert {*known, "age_%5Bnew%5D"} < set(final.feature_name_)
    scaler = pipeline.named_steps["normalize"].transformer
    assert scaler.n_features_in_ == final.n_features_in_
