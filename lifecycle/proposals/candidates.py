"""The candidates of `train.models` that a table and a number of minutes allow."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lifecycle.proposals.column import Proposal

TRAINING = 0.6  # of the minutes; the other stages take the rest
MEGA = 1e6  # cells: rows x columns, once categories have columns of their own
AUTO: dict[str, Any] = {"n_estimators": "auto", "learning_rate": 0.05}
SLOW: dict[str, Any] = {"n_estimators": "auto", "learning_rate": 0.03, "subsample": 0.8}
SMALL = 50_000  # rows; more are worth larger trees


@dataclass(frozen=True)
class Offer:
    """A candidate, and what it takes.

    Attributes:
        kind: its id, for regression and classification; None where it is not for that.
        own: its hyperparameters.
        seconds: of its folds and its fit, for each million cells, on two cores: an upper estimate.
        most_rows: beyond which it takes too long, its graph grows too large to be served, or
            another one is better.
        fewest_rows: below which another one is better.
        follows_trends: whether it goes on with what grows over time.
        is_boosted: whether each class gets trees of its own, where there are more than two.
        bundles: whether it takes the columns of a category's values together, as LightGBM does.
    """

    kind: tuple[str | None, str | None]
    own: dict[str, Any]
    seconds: float
    most_rows: float = np.inf
    fewest_rows: float = 0
    follows_trends: bool = False
    is_boosted: bool = False
    bundles: bool = False

    def entry(self, classes: int) -> str | dict[str, Any] | None:
        """As `train.models` has it."""
        kind = self.kind[classes > 0]
        return {kind: dict(self.own)} if kind and self.own else kind


# Many small trees, each of which sees a part of the rows and columns
SMALL_TREES = {**SLOW, "subsample_freq": 1, "colsample_bytree": 0.5, "num_leaves": 15}
LIGHTGBM, XGBOOST, CATBOOST = ((one, one) for one in ("lightgbm", "xgboost", "catboost"))
BUNDLED = {"is_boosted": True, "bundles": True}
# Fewer large ones, each of which sees all and may follow a few rows: where chance has little part
LARGE_TREES = {**AUTO, "num_leaves": 63, "min_child_samples": 5}
# By worth: what is nearly free, then what is mostly best, then what errs otherwise than these
OFFERS = (
    Offer(("ridge", "lr"), {}, 1, follows_trends=True),
    Offer(LIGHTGBM, SMALL_TREES, seconds=8, most_rows=SMALL, **BUNDLED),
    Offer(LIGHTGBM, AUTO, seconds=8, fewest_rows=SMALL, **BUNDLED),
    Offer(("linear_lightgbm", None), SMALL_TREES, 8, follows_trends=True, **BUNDLED),
    Offer(LIGHTGBM, LARGE_TREES, seconds=12, **BUNDLED),
    Offer(LIGHTGBM, {**AUTO, "extra_trees": True}, seconds=8, **BUNDLED),
    Offer(CATBOOST, AUTO, seconds=35, is_boosted=True),
    Offer(XGBOOST, {**SLOW, "colsample_bytree": 0.5, "max_depth": 4}, seconds=14, is_boosted=True),
    Offer(CATBOOST, {**AUTO, "depth": 4}, seconds=16, is_boosted=True),
    Offer(("et", "et"), {"n_estimators": 100, "min_samples_leaf": 2}, 25, most_rows=SMALL),
    Offer(("svm", "knn"), {}, 30, most_rows=5_000),
)


def propose_candidates(
    rows: int,
    columns: tuple[int, int],
    classes: int,
    folds: int,
    minutes: float,
    *,
    by_time: bool = False,
) -> Iterator[Proposal]:
    """`train.models` and the keys that say what becomes of them.

    Args:
        rows: of the table.
        columns: that the estimators will see: all, and what is left where those of a category
            are bundled.
        classes: of the target; 0 for a regression.
        folds: of the cross-validation.
        minutes: that a run of the pipeline may take on two cores.
        by_time: whether the newest rows are the holdout: what follows trends is then tried first.
    """
    budget = 60 * minutes * TRAINING
    taken: list[Offer] = []
    spent = 0.0
    for offer in sorted(OFFERS, key=lambda one: by_time and not one.follows_trends):
        cells = rows * columns[offer.bundles] / MEGA * folds / 5
        seconds = 1 + offer.seconds * cells
        if offer.is_boosted:
            seconds = (1 + seconds) * max(1, classes - 1)  # of two classes one needs no trees
        fits = offer.entry(classes) and offer.fewest_rows < rows <= offer.most_rows
        if fits and (spent + seconds <= budget or len(taken) < 2):
            taken.append(offer)
            spent += seconds
    reason = (
        f"{len(taken)} kinds that err differently, within {minutes:g} minutes for {rows} rows and "
        f"{columns[0]} columns; boosters get as many trees as the folds ask for"
    )
    yield Proposal("train.models", [offer.entry(classes) for offer in taken], reason)
    yield Proposal("train.blend", "greedy", "members and weights by what the folds answered")
    yield Proposal("train.stack", 0, "a blend gains most of it and is quicker")
    reason = f"of {minutes:g} minutes for all stages; more than is likely to be needed"
    yield Proposal("train.budget_minutes", round(minutes * TRAINING, 2), reason)
    reason = "puts numbers on one scale for linear models and neighbours; trees do not mind"
    yield Proposal("train.preprocess.normalize", "zscore", reason)
