"""Every estimator tried, and its scores over the folds."""

from typing import Any

import numpy as np
import pandas as pd

from stages.files import settled

# What is done with the best estimators, in this order; the last one made is the candidate.
STEPS = (
    "compare",
    "tune",
    "bagging",
    "boosting",
    "blend",
    "stack",
    "calibrate",
    "threshold",
)


class Leaderboard:
    """Every estimator tried, with the mean and deviation of each metric over the folds."""

    def __init__(self, experiment: Any, sort: str) -> None:
        directions = experiment.get_metrics().set_index("Display Name")["Greater is Better"]
        if sort not in directions:
            raise ValueError(
                f"train.sort: PyCaret has no {sort!r}. It has {list(directions.index)}."
            )
        self.sort = sort
        self.higher_is_better = bool(directions[sort])
        self.rows: list[dict[str, Any]] = []

    def add(self, estimator: str, step: str, scores: pd.DataFrame) -> None:
        """Add an estimator by PyCaret's table of its folds, and show it.

        Raises:
            ValueError: no fold could be scored by `sort`.
        """
        row: dict[str, Any] = {"estimator": estimator, "step": step}
        for metric in scores.columns:
            row[metric] = scores.loc["Mean", metric]
            row[f"{metric} std"] = scores.loc["Std", metric]
        self.rows.append(row)
        mean, deviation = row[self.sort], row[f"{self.sort} std"]
        if np.isnan(mean):
            raise ValueError(
                f"train.sort: {estimator} has no mean {self.sort} over the folds. The AUC needs "
                "probabilities and a fold validated on rows of every label, R2 two rows in each "
                "fold. Take another metric, or fewer folds."
            )
        print(
            f"train: {step:<9} {estimator:<12} {self.sort} {mean:.5g} ± {deviation:.2g}", flush=True
        )

    def ranking(self) -> list[int]:
        """Positions of the estimators in the order of their adding, best first."""
        # Of scores that differ by noise, none is better: the first one added comes first
        scores = pd.Series([settled(row[self.sort]) for row in self.rows])
        return list(scores.sort_values(ascending=not self.higher_is_better, kind="stable").index)

    def table(self) -> pd.DataFrame:
        """One row per estimator, best first."""
        return pd.DataFrame(self.rows).iloc[self.ranking()].reset_index(drop=True)


def candidate(leaderboard: pd.DataFrame) -> pd.Series:
    """The candidate's row of the leaderboard, best first: its latest step's best."""
    return leaderboard.loc[leaderboard["step"].map(STEPS.index).idxmax()]


def fold_scores(leaderboard: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Mean and deviation of the candidate's scores over the training folds, by PyCaret's names.

    Args:
        leaderboard: from `train`, best first.
    """
    row = candidate(leaderboard)
    return {
        name.lower().strip("."): {
            "mean": float(row[name]),
            "std": float(row[f"{name} std"]),
        }
        for name in leaderboard.columns
        if f"{name} std" in leaderboard.columns and pd.notna(row[name])
    }
