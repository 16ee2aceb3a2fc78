"""What a person reads of a training in MLflow."""

from typing import Any

import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    StackingRegressor,
    VotingRegressor,
)
from sklearn.linear_model import Ridge
from xgboost import XGBRegressor

from stages.training.note import page, title


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (LGBMRegressor(), "lightgbm"),
        (Ridge(), "ridge"),
        (GradientBoostingRegressor(), "gradientboosting"),
        (BaggingRegressor(ExtraTreesRegressor()), "extratrees"),
        (CalibratedClassifierCV(LGBMClassifier()), "lightgbm"),
        (VotingRegressor([("a", LGBMRegressor()), ("b", XGBRegressor())]), "lightgbm+xgboost"),
        (StackingRegressor([("a", Ridge()), ("b", LGBMRegressor())]), "ridge+lightgbm"),
    ],
)
def test_an_estimator_is_named_by_what_it_is_made_of(estimator: Any, expected: str) -> None:
    assert title(estimator) == expected


def test_a_training_is_told_in_tables() -> None:
    leaderboard = pd.DataFrame(
        {"estimator": ["a|b"], "step": ["compare"], "RMSE": [1.234567], "RMSE std": [0.1]}
    )
    report = {
        "model": {"rmse": 12.0, "r2": 0.5},
        "interval": {"rmse": {"low": 11.0, "high": 13.0}},
        "baseline": {"dummy": {"rmse": 99.0}},
    }
    text = page(leaderboard, {"data_md5": "d" * 32}, report)
    assert "| rmse | **12** | 11 to 13 | 99 |" in text
    assert "| r2 | **0.5** |  |  |" in text
    assert "| a\\|b | compare | 1.2346 |" in text
    assert f"- data `{'d' * 32}`" in text
    assert "commit" not in text
    assert "holdout" not in page(leaderboard, {}, {})
