import numpy as np
import pandas as pd
import pytest

from stages.training.leaderboard import candidate, fold_scores


def test_the_candidate_is_the_best_of_the_latest_step() -> None:
    board = pd.DataFrame({"step": ["compare", "blend", "compare"], "estimator": ["a", "b", "c"]})
    assert candidate(board)["estimator"] == "b"
    assert candidate(board[board["step"] == "compare"])["estimator"] == "a"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["compare", "compare"], 1.0),  # the best is the candidate
        (["compare", "blend"], 2.0),  # the blend is, although it came out worse
        (["stack", "blend"], 1.0),
    ],
)
def test_fold_scores_are_the_candidates(steps: list[str], expected: float) -> None:
    leaderboard = pd.DataFrame(
        {
            "estimator": ["a", "b"],
            "step": steps,
            "RMSE": [1.0, 2.0],
            "RMSE std": [0.1, 0.2],
            "Prec.": [0.5, 0.6],
            "Prec. std": [0.0, 0.0],
            "AUC": [np.nan, np.nan],  # no fold has every label
            "AUC std": [np.nan, np.nan],
        }
    )
    scores = fold_scores(leaderboard)
    assert scores["rmse"] == {"mean": expected, "std": expected / 10}
    assert set(scores) == {"rmse", "prec"}
