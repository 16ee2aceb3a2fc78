"""The candidates of `train.models` that a table and a number of minutes allow."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.model.manifest import Task
from lifecycle.proposals.column import Proposal

TRAINING = 0.6  # of the minutes; the other stages take the rest
MEGA = 1e6  # cells: rows x columns, once categories have columns of their own
AUTO: dict[str, Any] = {"n_estimators": "auto", "learning_rate": 0.05}


@dataclass(frozen=True)
class Offer:
    """A candidate, and what it takes.

    Attributes:
        kind: PyCaret's id, for regression and classification.
        own: its hyperparameters.
        seconds: of its folds and its fit, for each million cells, on two cores: an upper estimate.
        most_rows: beyond which it takes too long, or its graph grows too large to be served.
    """

    kind: tuple[str, str]
    own: dict[str, Any]
    seconds: float
    most_rows: float = np.inf

    def entry(self, task: Task) -> str | dict[str, Any]:
        """As `train.models` has it."""
        kind = self.kind[task == "classification"]
        return {kind: dict(self.own)} if self.own else kind


# By worth: what is nearly free, then what is mostly best, then what errs otherwise than these
OFFERS = (
    Offer(("ridge", "lr"), {}, 1),
    Offer(("lightgbm", "lightgbm"), AUTO, 10),
    Offer(("lightgbm", "lightgbm"), {**AUTO, "extra_trees": True}, 10),
    Offer(("catboost", "catboost"), AUTO, 50),
    Offer(("et", "et"), {"n_estimators": 100, "min_samples_leaf": 2}, 30, most_rows=50_000),
    Offer(("xgboost", "xgboost"), {**AUTO, "subsample": 0.8, "colsample_bytree": 0.7}, 25),
    Offer(("svm", "knn"), {}, 30, most_rows=5_000),
)


def propose_candidates(
    rows: int, columns: int, task: Task, folds: int, minutes: float
) -> Iterator[Proposal]:
    """`train.models` and the keys that say what becomes of them.

    Args:
        rows: of the table.
        columns: the estimators will see: numbers, and the values of each category.
        task: regression or classification.
        folds: of the cross-validation.
        minutes: that a run of the pipeline may take on two cores.
    """
    budget, cells = 60 * minutes * TRAINING, rows * columns / MEGA * folds / 5
    taken: list[Offer] = []
    spent = 0.0
    for offer in OFFERS:
        seconds = 1 + offer.seconds * cells
        if rows <= offer.most_rows and (spent + seconds <= budget or len(taken) < 2):
            taken.append(offer)
            spent += seconds
    reason = (
        f"{len(taken)} kinds that err differently, within {minutes:g} minutes for {rows} rows and "
        f"{columns} columns; boosters get as many trees as the folds ask for"
    )
    yield Proposal("train.models", [offer.entry(task) for offer in taken], reason)
    yield Proposal("train.blend", "greedy", "members and weights by what the folds answered")
    yield Proposal("train.stack", 0, "a blend gains most of it and is quicker")
    reason = f"of {minutes:g} minutes for all stages; more than is likely to be needed"
    yield Proposal("train.budget_minutes", round(minutes * TRAINING, 2), reason)
    reason = "puts numbers on one scale for linear models and neighbours; trees do not mind"
    yield Proposal("train.preprocess.normalize", "zscore", reason)
