"""Every estimator tried, and its scores over the folds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from stages.files import settled


class Leaderboard:
    """Every estimator tried, with the mean and deviation of each metric over the folds."""

    def __init__(self, experiment: Any, sort: str) -> None:
        metrics = experiment.get_metrics().set_index("Display Name")
        if sort not in metrics.index:
            raise ValueError(f"train.sort: PyCaret has no {sort!r}. It has {list(metrics.index)}.")
        self.sort = sort
        self.higher_is_better = bool(metrics.loc[sort, "Greater is Better"])
        self.rows: list[dict[str, Any]] = []

    def add(self, estimator: str, step: str, scores: pd.DataFrame, note: str = "") -> None:
        """Add an estimator by PyCaret's table of its folds, and show it.

        Args:
            estimator: its name.
            step: what made it: `compare`, `tune`, `bagging`, `boosting`, `blend`, `stack`,
                `calibrate` or `threshold`.
            scores: a row for each fold, then `Mean` and `Std`.
            note: what else is to be known of it.
        """
        row: dict[str, Any] = {"estimator": estimator, "step": step, "note": note}
        for metric in scores.columns:
            row[metric] = scores.loc["Mean", metric]
            row[f"{metric} std"] = scores.loc["Std", metric]
        self.rows.append(row)
        print(
            f"train: {step:<9} {estimator:<12} {self.sort} {row[self.sort]:.5g} ± "
            f"{row[f'{self.sort} std']:.2g}{note and '  '}{note}",
            flush=True,
        )

    def refuse_unscored(self) -> None:
        """Raise ValueError when an estimator could not be scored by `sort` in any fold."""
        for row in self.rows:
            if np.isnan(row[self.sort]):
                raise ValueError(
                    f"train.sort: {row['estimator']} has no mean {self.sort} over the folds. The "
                    "AUC, the log loss and Brier need probabilities and a fold validated on rows "
                    "of every label, R2 two rows in each fold. Take another metric, or fewer folds."
                )

    def ranking(self) -> list[int]:
        """Positions of the estimators in the order of their adding, best first.

        Of equals, the first one is first: later steps only make an estimator bigger. Scores that
        differ by rounding noise are equal.
        """
        scores = pd.Series([settled(row[self.sort]) for row in self.rows])
        return list(scores.sort_values(ascending=not self.higher_is_better, kind="stable").index)

    def table(self) -> pd.DataFrame:
        """One row per estimator, best first: the first one is the candidate, and why it is."""
        table = pd.DataFrame(self.rows).iloc[self.ranking()].reset_index(drop=True)
        best = table[self.sort].iloc[0]
        worse = [100 * abs(one - best) / abs(best) if best else np.nan for one in table[self.sort]]
        reasons = [f"yes: best {self.sort} over the folds"]
        reasons += [f"no: {one:.2g} % worse" if one else "no: no better" for one in worse[1:]]
        table.insert(2, "candidate", reasons)
        return table


def fold_scores(leaderboard: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Mean and deviation of the candidate's scores over the training folds, by PyCaret's names.

    Args:
        leaderboard: from `train`, best first.
    """
    row = leaderboard.iloc[0]
    return {
        name.lower().strip("."): {
            "mean": float(row[name]),
            "std": float(row[f"{name} std"]),
        }
        for name in leaderboard.columns
        if f"{name} std" in leaderboard.columns and pd.notna(row[name])
    }


def differences(one: Any, other: Any) -> str:
    """The hyperparameters of the other estimator that are not as in the first one."""
    before, after = one.get_params(), other.get_params()
    # XGBoost's `missing` is NaN, which equals nothing
    return hyperparameters(
        {
            name: value
            for name, value in after.items()
            if value != before.get(name) and value is not before.get(name)
        }
    )


def hyperparameters(values: Mapping[str, Any]) -> str:
    """Hyperparameters as a text for the leaderboard."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )
