import numpy as np
import pandas as pd

from stages.training.leaderboard import fold_scores


def test_fold_scores_are_the_candidates() -> None:
    leaderboard = pd.DataFrame(
        {
            "estimator": ["a", "b"],
            "step": ["compare", "blend"],
            "candidate": ["yes: best RMSE over the folds", "no: 100 % worse"],
            "note": ["", "a, c"],
            "RMSE": [1.0, 2.0],
            "RMSE std": [0.1, 0.2],
            "Prec.": [0.5, 0.6],
            "Prec. std": [0.0, 0.0],
            "AUC": [np.nan, np.nan],  # no fold has every label
            "AUC std": [np.nan, np.nan],
        }
    )
    scores = fold_scores(leaderboard)
    assert scores["rmse"] == {"mean": 1.0, "std": 0.1}
    assert set(scores) == {"rmse", "prec"}
