"""Scores of the regressors, by the estimator's class name."""

from collections.abc import Callable
from typing import Any

import numpy as np

from stages.export import boosters
from stages.export.columns import Matrix
from stages.export.errors import NotConvertible
from stages.export.graph import Graph
from stages.export.scores import Scores, total

Writer = Callable[[Graph, Matrix, Any, str], Scores]


def regress(graph: Graph, matrix: Matrix, model: Any) -> Scores:
    """Return the one score that is the regressor's prediction.

    Raises:
        NotConvertible: there is no exact counterpart.
    """
    part = f"estimator {type(model).__name__}"
    writer = REGRESSORS.get(type(model).__name__)
    if writer is None:
        raise NotConvertible(part, "there is no exact counterpart of it")
    return writer(graph, matrix, model, part)


def _lightgbm(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    objective, parameters = boosters.lightgbm_objective(model)
    if objective not in IDENTITY_OBJECTIVES or "sqrt" in parameters:
        raise NotConvertible(part, f"the objective {objective} transforms its scores")
    return Scores(np.zeros(1), tuple(boosters.lightgbm_trees(model, part)))


def _xgboost(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    learner = boosters.xgboost_model(model)
    objective = learner["objective"]["name"]
    if objective not in IDENTITY_OBJECTIVES:
        raise NotConvertible(part, f"the objective {objective} transforms its scores")
    return Scores(
        boosters.xgboost_base_score(learner), tuple(boosters.xgboost_trees(model, learner, part))
    )


def _catboost(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    content = boosters.catboost_model(model)
    return Scores(
        np.array(content["scale_and_bias"][1], dtype=np.float64),
        tuple(boosters.catboost_trees(content, part)),
    )


def _voting(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    weights = np.asarray(model._weights_not_none or np.ones(len(model.estimators_)), dtype=float)
    return total(
        [
            regress(graph, matrix, estimator).scaled(weight)
            for estimator, weight in zip(
                model.estimators_, weights / weights.sum(), strict=True
            )
        ]
    )


IDENTITY_OBJECTIVES = {
    "fair",
    "huber",
    "mape",
    "quantile",
    "regression",
    "regression_l1",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:quantileerror",
    "reg:squarederror",
    "reg:squaredlogerror",
}

REGRESSORS: dict[str, Writer] = {
    "CatBoostRegressor": _catboost,
    "LGBMRegressor": _lightgbm,
    "VotingRegressor": _voting,
    "XGBRegressor": _xgboost,
}
