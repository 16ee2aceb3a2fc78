from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor

from stages.training import early_stopping
from tests.stages.training.test_search import fitted, pytestmark, searched  # noqa: F401 - PyCaret's

QUICK = {"n_estimators": "auto", "learning_rate": 0.3}


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_the_folds_find_the_number_of_trees(task: Any, library: str) -> None:
    own = QUICK | ({"min_child_samples": 5} if library == "lightgbm" else {})
    result, rows = searched(task, models=[{library: own}])
    trees = result.trial.estimator.get_params()["n_estimators"]
    assert 1 < trees < early_stopping.MOST
    assert f"n_estimators {trees}," in result.leaderboard["note"][0]
    assert result.pipeline.steps[-1][1].get_params()["n_estimators"] == trees
    assert len(result.pipeline.predict(rows)) == len(rows)
    # The folds answered with just that many trees
    same = result.trial.estimator.get_params()
    as_many, _ = searched(task, models=[{library: same}])
    sort = "RMSE" if task == "regression" else "AUC"
    assert as_many.leaderboard[sort][0] == pytest.approx(result.leaderboard[sort][0], rel=1e-6)


def test_the_number_is_the_same_however_many_fits_are_side_by_side() -> None:
    models = [{"lightgbm": QUICK}]
    one, two = (fitted("regression", models=models, n_jobs=n_jobs)[1] for n_jobs in (1, 2))
    assert one.equals(two)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost", "catboost"])
def test_boosting_ends_with_the_budget(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    slow = {"n_estimators": "auto", "learning_rate": 0.001}
    result, rows = searched("regression", models=[{library: slow}], budget_minutes=1e-4)
    assert result.trial.is_cut_short
    assert result.pipeline.steps[-1][1].get_params()["n_estimators"] == 1
    note = f"n_estimators 1, learning_rate {slow['learning_rate']}: train.budget_minutes was over"
    assert result.leaderboard["note"][0] == note
    assert len(result.pipeline.predict(rows)) == len(rows)
    assert "set train.budget_minutes to null" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", [None, 600.0])
def test_boosting_that_ends_by_itself_is_not_cut_short(seconds: float | None) -> None:
    rows = pd.DataFrame({"a": np.arange(100.0)})
    target = rows["a"] // 50
    estimator = LGBMRegressor(n_estimators="auto", verbose=-1)
    fit = early_stopping.fit(estimator, rows, target, rows, target, seconds)
    assert not fit.is_cut_short
    assert early_stopping.PATIENCE < len(fit.losses) <= early_stopping.MOST


def test_the_number_has_the_least_mean_loss_of_what_all_folds_have_tried() -> None:
    assert early_stopping.fewest([[3, 2, 1, 1.5], [3, 2.5, 2.6, 2.7, 0]]) == 3


def test_what_does_not_stop_early_is_refused() -> None:
    message = "rf: n_estimators can be 'auto' for lightgbm, xgboost, catboost alone"
    with pytest.raises(ValueError, match=message):
        fitted("regression", models=[{"rf": {"n_estimators": "auto"}}])
