import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor
from sklearn.linear_model import Ridge

from stages.onnx_writer.estimators.lookup import find
from stages.onnx_writer.estimators.regressors import REGRESSORS
from stages.training.estimators import linear_lightgbm
from stages.training.estimators.linear_lightgbm import KIND, LinearLGBMRegressor
from tests.stages.training.test_search import searched

pytestmark = pytest.mark.filterwarnings("ignore::lightgbm.basic.LGBMDeprecationWarning")
SMALL: dict[str, Any] = {"n_estimators": 40, "min_child_samples": 3, "n_jobs": 1, "verbose": -1}


def trend(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a line with a step on it, shape (200, 1), and their targets."""
    X = np.linspace(low, high, 200).reshape(-1, 1)
    return X, 10 * X[:, 0] + 4 * (np.sin(9 * X[:, 0]) > 0)


def error(model: Any, X: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(np.mean((model.predict(X) - y) ** 2)))


def test_it_answers_with_the_sum_of_a_linear_model_and_of_trees_on_what_it_leaves() -> None:
    X, y = trend(0, 1)
    model = LinearLGBMRegressor(**SMALL).fit(X, y)
    linear = Ridge().fit(X, y)
    trees = LGBMRegressor(**SMALL).fit(X, y - linear.predict(X))
    np.testing.assert_array_equal(model.predict(X), linear.predict(X) + trees.predict(X))


def test_it_follows_a_trend_beyond_what_it_saw_and_a_step_within() -> None:
    X, y = trend(0, 1)
    model, trees, linear = (
        one.fit(X, y) for one in (LinearLGBMRegressor(**SMALL), LGBMRegressor(**SMALL), Ridge())
    )
    assert error(model, X, y) < 0.5 * error(linear, X, y)
    later = trend(2, 3)
    assert error(model, *later) < 0.5 * error(trees, *later)


def test_early_stopping_sees_the_residuals_of_the_other_rows() -> None:
    X, y = trend(0, 1)
    others, truth = trend(0, 1.2)
    losses: dict[str, Any] = {}

    def keep(state: Any) -> None:
        losses["last"] = state.evaluation_result_list[-1][2]

    model = LinearLGBMRegressor(**SMALL).fit(X, y, eval_set=[(others, truth)], callbacks=[keep])
    assert losses["last"] == pytest.approx(np.mean((model.predict(others) - truth) ** 2))


def test_a_pickle_answers_the_same() -> None:
    X, y = trend(0, 1)
    model = LinearLGBMRegressor(**SMALL).fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_pycaret_tells_it_from_lightgbm() -> None:
    from pycaret.regression import RegressionExperiment  # which warns as it is imported

    experiment = RegressionExperiment()
    X, y = trend(0, 1)
    experiment.setup(pd.DataFrame({"x": X[:, 0], "y": y}), target="y", verbose=False, n_jobs=1)
    linear_lightgbm.add_to(experiment)
    assert experiment._get_model_id(LinearLGBMRegressor()) == KIND
    assert experiment._get_model_id(LGBMRegressor()) == "lightgbm"


def test_the_writer_of_graphs_does_not_take_it_for_trees_alone() -> None:
    ours, _ = find(REGRESSORS, LinearLGBMRegressor())
    lightgbms, _ = find(REGRESSORS, LGBMRegressor())
    assert ours is not lightgbms


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("library", ["random", "optuna"])
def test_it_is_a_candidate_with_as_many_trees_as_the_folds_ask_for(library: str) -> None:
    own = {"n_estimators": "auto", "min_child_samples": 3}
    models = ["lightgbm", {KIND: own}]
    result, X = searched(
        "regression", models=models, tune__iterations=2, tune__library=library, sort="RMSE"
    )
    board = result.leaderboard.set_index(["estimator", "step"])["RMSE"]
    assert board[KIND, "compare"] < board["lightgbm", "compare"]
    assert (KIND, "tune") in board.index
    assert isinstance(result.pipeline.steps[-1][1], LinearLGBMRegressor)
    assert result.trial.estimator.get_params()["n_estimators"] != "auto"
    assert isinstance(result.pipeline.predict(X), np.ndarray | pd.Series)
