"""Scores of the regressors, by the estimator's class name."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import NotConvertible
from ..graph import Graph
from ..preprocessing.columns import Matrix
from . import boosters, forests
from .linear import linear, network
from .lookup import find
from .neighbours import kernel_sum, neighbours
from .scores import Scores, Term, total
from .trees import write_float32

Writer = Callable[[Graph, Matrix, Any, str], Scores]


def regress(graph: Graph, matrix: Matrix, model: Any) -> Scores:
    """Return the one score that is the regressor's prediction.

    Raises:
        NotConvertible: there is no exact counterpart.
    """
    writer, part = find(REGRESSORS, model)
    return writer(graph, matrix, model, part)


def _lightgbm(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    objective, parameters = boosters.lightgbm_objective(model)
    if objective not in IDENTITY_OBJECTIVES or "sqrt" in parameters:
        raise NotConvertible(part, f"the objective {objective} transforms its scores")
    return Scores(np.zeros(1), tuple(boosters.lightgbm_trees(model, part)))


def _linear_lightgbm(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    trend = _linear(graph, matrix, model.linear_, part)
    return total([trend, _lightgbm(graph, matrix, model, part)])


def _xgboost(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    learner = boosters.xgboost_model(model)
    objective = learner["objective"]["name"]
    if objective not in IDENTITY_OBJECTIVES:
        raise NotConvertible(part, f"the objective {objective} transforms its scores")
    trees = boosters.xgboost_trees(model, learner, part)
    start = boosters.xgboost_base_score(learner)
    summed = write_float32(graph, matrix, trees, start)
    return _emitted(summed, Scores(start.astype(np.float64), tuple(trees)))


def _catboost(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    objective = model.get_all_params()["loss_function"]
    if objective.partition(":")[0] not in IDENTITY_OBJECTIVES:
        raise NotConvertible(part, f"the objective {objective} transforms its scores")
    content = boosters.catboost_model(model)
    return Scores(boosters.catboost_bias(content), tuple(boosters.catboost_trees(content, part)))


def _tree(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    return Scores(np.zeros(1), (forests.sklearn_tree(model, forests.leaf_values(model)[:, 0]),))


def _gradient_boosting(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    return Scores(
        forests.boosting_start(model, part),
        tuple(
            forests.sklearn_tree(tree, forests.leaf_values(tree)[:, 0]).scaled(model.learning_rate)
            for tree in model.estimators_[:, 0]
        ),
    )


def _adaboost(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    """Take the weighted median of the members' predictions."""
    members = [regress(graph, matrix, member).emit(graph, matrix) for member in model.estimators_]
    weights = model.estimator_weights_[: len(members)]
    predictions = graph.add("Concat", *members, axis=1)
    count = graph.constant([len(members)], np.int64)
    ascending, order = graph.add_many("TopK", predictions, count, outputs=2, largest=0, axis=1)
    summed = graph.add(
        "CumSum",
        graph.add("Gather", graph.constant(weights), order),
        graph.constant(1, np.int64),
    )
    last = graph.add("Gather", summed, graph.constant([len(members) - 1], np.int64), axis=1)
    half = graph.add("Mul", last, graph.constant(0.5))
    reached = graph.add("Cast", graph.add("GreaterOrEqual", summed, half), to=11)
    median = graph.add("ArgMax", reached, axis=1, keepdims=1)
    return _emitted(graph.add("GatherElements", ascending, median, axis=1))


def _linear(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    return linear(model.coef_, model.intercept_)


def _network(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    return network(graph, matrix, model)


def _svr(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    parameters = (model._gamma, model.coef0, model.degree)
    values = kernel_sum(
        graph,
        matrix,
        model.kernel,
        model.support_vectors_,
        model.dual_coef_.T,
        parameters,
        part,
    )
    return Scores(np.array(model.intercept_, dtype=np.float64), tensors=(Term(values),))


def _kernel_ridge(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    dual = np.asarray(model.dual_coef_, dtype=np.float64).reshape(-1, 1)
    if model.kernel == "linear":
        return linear((np.asarray(model.X_fit_, dtype=np.float64).T @ dual).T, 0.0)
    gamma = 1 / model.n_features_in_ if model.gamma is None else model.gamma
    parameters = (gamma, model.coef0, model.degree)
    vectors = np.asarray(model.X_fit_, dtype=np.float64)
    return _emitted(kernel_sum(graph, matrix, model.kernel, vectors, dual, parameters, part))


def _neighbours(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    values = np.asarray(model._y, dtype=np.float64).reshape(-1, 1)
    return _emitted(neighbours(graph, matrix, model, values, part))


def _dummy(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    return Scores(np.asarray(model.constant_, dtype=np.float64).ravel())


def _wrapped(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    return regress(graph, matrix, model.estimator_)


def _forest(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    members = [regress(graph, matrix, member) for member in model.estimators_]
    return total(members).scaled(1 / len(members))


def _bagging(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    members = []
    for member, columns in zip(model.estimators_, model.estimators_features_, strict=True):
        part_of = matrix.only(columns)
        scores = regress(graph, part_of, member)
        # Scores over other columns cannot be summed symbolically.
        same = np.array_equal(columns, np.arange(matrix.width))
        members.append(scores if same else _emitted(scores.emit(graph, part_of)))
    return total(members).scaled(1 / len(members))


def _voting(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    weights = np.asarray(model._weights_not_none or np.ones(len(model.estimators_)), dtype=float)
    return total(
        [
            regress(graph, matrix, member).scaled(weight)
            for member, weight in zip(model.estimators_, weights / weights.sum(), strict=True)
        ]
    )


def _stacking(graph: Graph, matrix: Matrix, model: Any, part: str) -> Scores:
    members = [regress(graph, matrix, member).emit(graph, matrix) for member in model.estimators_]
    if model.passthrough:
        members.append(matrix.ordered(graph))
    width = len(model.estimators_) + (matrix.width if model.passthrough else 0)
    level = Matrix(graph.add("Concat", *members, axis=1), np.arange(width), width)
    return _emitted(regress(graph, level, model.final_estimator_).emit(graph, level))


def _emitted(tensor: str, equal: Scores | None = None) -> Scores:
    return Scores(np.zeros(1), tensors=(Term(tensor, equal=equal),))


IDENTITY_OBJECTIVES = {
    "Huber",
    "MAE",
    "MAPE",
    "Quantile",
    "RMSE",
    "fair",
    "huber",
    "mape",
    "quantile",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:quantileerror",
    "reg:squarederror",
    "reg:squaredlogerror",
    "regression",
    "regression_l1",
}

REGRESSORS: dict[str, Writer] = {
    "AdaBoostRegressor": _adaboost,
    "BaggingRegressor": _bagging,
    "BaseForest": _forest,
    "CatBoostRegressor": _catboost,
    "DecisionTreeRegressor": _tree,
    "DummyRegressor": _dummy,
    "GradientBoostingRegressor": _gradient_boosting,
    "KNeighborsRegressor": _neighbours,
    "KernelRidge": _kernel_ridge,
    "LGBMRegressor": _lightgbm,
    "LinearLGBMRegressor": _linear_lightgbm,
    "LinearModel": _linear,
    "MLPRegressor": _network,
    "RANSACRegressor": _wrapped,
    "SGDRegressor": _linear,
    "PassiveAggressiveRegressor": _linear,
    "SVR": _svr,
    "StackingRegressor": _stacking,
    "VotingRegressor": _voting,
    "XGBRegressor": _xgboost,
}
