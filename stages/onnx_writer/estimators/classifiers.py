"""Answers of the classifiers, by the estimator's class name."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import NotConvertible
from ..graph import Graph
from ..preprocessing.columns import Matrix
from . import boosters, forests, outputs
from .calibration import calibrated
from .linear import linear, network
from .lookup import find
from .neighbours import kernel_sum, neighbours
from .outputs import Answer
from .scores import Scores, total
from .trees import Tree, write_float32

Writer = Callable[[Graph, Matrix, Any, str], Answer]


def classify(graph: Graph, matrix: Matrix, model: Any) -> Answer:
    """Return the classifier's label and probabilities.

    Raises:
        NotConvertible: there is no exact counterpart.
    """
    writer, part = find(CLASSIFIERS, model)
    if list(model.classes_) != list(range(len(model.classes_))) or len(model.classes_) < 2:
        raise NotConvertible(part, f"its classes are {list(model.classes_)}, not 0 to n - 1")
    return writer(graph, matrix, model, part)


def _lightgbm(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    objective, parameters = boosters.lightgbm_objective(model)
    n_classes = len(model.classes_)
    if objective not in ("binary", "multiclass"):
        raise NotConvertible(part, f"its objective is {objective}")
    scores = Scores(
        np.zeros(n_classes if n_classes > 2 else 1), tuple(boosters.lightgbm_trees(model, part))
    ).scaled(float(parameters.get("sigmoid", 1)))
    probabilities = outputs.logistic(graph, scores.emit(graph, matrix), n_classes)
    return Answer(outputs.largest(graph, probabilities), probabilities, margin=scores)


def _xgboost(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    learner = boosters.xgboost_model(model)
    objective = learner["objective"]["name"]
    if objective not in ("binary:logistic", "multi:softprob", "multi:softmax"):
        raise NotConvertible(part, f"its objective is {objective}")
    start = boosters.xgboost_base_score(learner)
    n_classes = len(model.classes_)
    if objective == "binary:logistic":
        start = -np.log(1 / start - 1)
    start = np.resize(start, n_classes if n_classes > 2 else 1)
    trees = boosters.xgboost_trees(model, learner, part)
    scores = write_float32(graph, matrix, trees, start)
    probabilities = outputs.logistic(graph, scores, n_classes)
    return Answer(
        outputs.largest(graph, probabilities),
        probabilities,
        margin=Scores(start.astype(np.float64), tuple(trees)),
    )


def _catboost(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    objective = model.get_all_params()["loss_function"]
    if objective not in ("Logloss", "CrossEntropy", "MultiClass"):
        raise NotConvertible(part, f"its objective is {objective}")
    content = boosters.catboost_model(model)
    n_classes = len(model.classes_)
    margin = Scores(boosters.catboost_bias(content), tuple(boosters.catboost_trees(content, part)))
    scores = margin.emit(graph, matrix)
    probabilities = outputs.logistic(graph, scores, n_classes)
    return Answer(outputs.positive(graph, scores, n_classes), probabilities, margin=margin)


def _tree(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    return _leaf_shares(graph, matrix, [model], len(model.classes_))


def _forest(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    return _leaf_shares(graph, matrix, model.estimators_, len(model.classes_))


def _leaf_shares(graph: Graph, matrix: Matrix, members: list[Any], n_classes: int) -> Answer:
    """Average the class shares of the leaves.

    They are summed as they are and divided once, so that a tie of votes stays a tie.
    """
    shares = [forests.leaf_values(member) for member in members]
    if n_classes == 2:
        trees = [
            forests.sklearn_tree(member, values[:, 1])
            for member, values in zip(members, shares, strict=True)
        ]
        sums = Scores(np.zeros(1), tuple(trees))
        summed = sums.emit(graph, matrix)
        second = graph.add("Div", summed, graph.constant(float(len(members))))
        probabilities = outputs.both(graph, second)
    else:
        vectors = [
            tree
            for member, values in zip(members, shares, strict=True)
            for tree in forests.vector_trees(member, values)
        ]
        sums = Scores(np.zeros(n_classes), tuple(vectors))
        summed = sums.emit(graph, matrix)
        probabilities = graph.add("Div", summed, graph.constant(float(len(members))))
    share = sums.scaled(1 / len(members))
    return Answer(outputs.largest(graph, probabilities), probabilities, share=share)


def _gradient_boosting(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    n_classes = len(model.classes_)
    trees = [
        forests.sklearn_tree(tree, forests.leaf_values(tree)[:, 0], target).scaled(
            model.learning_rate
        )
        for stage in model.estimators_
        for target, tree in enumerate(stage)
    ]
    scores = Scores(forests.boosting_start(model, part), tuple(trees))
    decision = linked = scores.emit(graph, matrix)
    if model.loss == "exponential":
        linked = graph.add("Mul", decision, graph.constant(2.0))
        scores = scores.scaled(2)
    return Answer(
        outputs.positive(graph, decision, n_classes, or_zero=True),
        outputs.logistic(graph, linked, n_classes),
        decision,
        scores,
    )


def _adaboost(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    """Turn each member's leaf into its vote, then sum the votes as trees."""
    n_classes = len(model.classes_)
    weights = model.estimator_weights_[: len(model.estimators_)]
    trees: list[Tree] = []
    for member, weight in zip(model.estimators_, weights, strict=True):
        if type(member).__name__ != "DecisionTreeClassifier":
            raise NotConvertible(part, f"its members are {type(member).__name__}")
        shares = forests.leaf_values(member)
        if model.algorithm == "SAMME.R":
            logs = np.log(np.clip(shares, np.finfo(np.float64).eps, None))
            votes = (n_classes - 1) * (logs - logs.sum(axis=1, keepdims=True) / n_classes)
        else:
            chosen = np.eye(n_classes)[shares.argmax(axis=1)]
            votes = np.where(chosen > 0, weight, -weight / (n_classes - 1))
        votes /= model.estimator_weights_.sum()
        if n_classes == 2:
            votes = votes[:, 1:] - votes[:, :1]
        trees += forests.vector_trees(member, votes)
    targets = n_classes if n_classes > 2 else 1
    scores = Scores(np.zeros(targets), tuple(trees))
    decision = linked = scores.emit(graph, matrix)
    if n_classes > 2:
        linked = graph.add("Div", decision, graph.constant(n_classes - 1.0))
        scores = scores.scaled(1 / (n_classes - 1))
    return Answer(
        outputs.positive(graph, decision, n_classes),
        outputs.logistic(graph, linked, n_classes),
        decision,
        scores,
    )


def _decision(graph: Graph, matrix: Matrix, model: Any) -> tuple[str, Scores]:
    scores = linear(model.coef_, model.intercept_)
    return scores.emit(graph, matrix), scores


def _logistic_regression(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    n_classes = len(model.classes_)
    decision, scores = _decision(graph, matrix, model)
    separate = model.multi_class in ("ovr", "warn") or (
        model.multi_class == "auto"
        and (n_classes == 2 or model.solver in ("liblinear", "newton-cholesky"))
    )
    if separate:
        probabilities = outputs.one_against_rest(graph, decision, n_classes)
    else:
        # With two classes, the softmax of (-d, d).
        linked = decision
        if n_classes == 2:
            linked = graph.add("Mul", decision, graph.constant(2.0))
            scores = scores.scaled(2)
        probabilities = outputs.logistic(graph, linked, n_classes)
    return Answer(outputs.positive(graph, decision, n_classes), probabilities, decision, scores)


def _linear_discriminant(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    n_classes = len(model.classes_)
    decision, scores = _decision(graph, matrix, model)
    return Answer(
        outputs.positive(graph, decision, n_classes),
        outputs.logistic(graph, decision, n_classes),
        decision,
        scores,
    )


def _without_probabilities(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    decision, scores = _decision(graph, matrix, model)
    return Answer(outputs.positive(graph, decision, len(model.classes_)), None, decision, scores)


def _gradient_descent(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    if model.loss == "modified_huber":
        raise NotConvertible(part, "its loss is modified_huber")
    n_classes = len(model.classes_)
    decision, scores = _decision(graph, matrix, model)
    probabilities = None
    if model.loss == "log_loss":
        probabilities = outputs.one_against_rest(graph, decision, n_classes)
    return Answer(outputs.positive(graph, decision, n_classes), probabilities, decision, scores)


def _quadratic_discriminant(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    scores = []
    for rotation, scaling, centre, prior in zip(
        model.rotations_, model.scalings_, model.means_, model.priors_, strict=True
    ):
        centred = graph.add("Sub", matrix.tensor, graph.constant(matrix.arrange(centre)))
        whitening = matrix.arrange((rotation * scaling**-0.5).T).T
        rotated = graph.add("MatMul", centred, graph.constant(whitening))
        square = graph.add("ReduceSumSquare", rotated, graph.constant([1], np.int64), keepdims=1)
        half = graph.add("Mul", square, graph.constant(-0.5))
        constant = np.log(prior) - 0.5 * np.log(scaling).sum()
        scores.append(graph.add("Add", half, graph.constant(constant)))
    joint = graph.add("Concat", *scores, axis=1)
    return Answer(outputs.largest(graph, joint), graph.add("Softmax", joint, axis=1))


def _naive_bayes(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    scores = []
    for prior, centre, variance in zip(model.class_prior_, model.theta_, model.var_, strict=True):
        centred = graph.add("Sub", matrix.tensor, graph.constant(matrix.arrange(centre)))
        weights = matrix.arrange(1 / variance).reshape(-1, 1)
        square = graph.add("Mul", centred, centred)
        half = graph.add(
            "Mul", graph.add("MatMul", square, graph.constant(weights)), graph.constant(-0.5)
        )
        constant = np.log(prior) - 0.5 * np.log(2 * np.pi * variance).sum()
        scores.append(graph.add("Add", half, graph.constant(constant)))
    joint = graph.add("Concat", *scores, axis=1)
    return Answer(outputs.largest(graph, joint), graph.add("Softmax", joint, axis=1))


def _network(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    n_classes = len(model.classes_)
    scores = network(graph, matrix, model).emit(graph, matrix)
    probabilities = outputs.logistic(graph, scores, n_classes)
    return Answer(outputs.largest(graph, probabilities), probabilities)


def _support_vectors(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    if model.probability:
        raise NotConvertible(part, "its probabilities are an iteration that stops early")
    if len(model.classes_) > 2:
        raise NotConvertible(part, "with more than two classes it votes pair by pair")
    values = kernel_sum(
        graph,
        matrix,
        model.kernel,
        model.support_vectors_,
        model.dual_coef_.T,
        (model._gamma, model.coef0, model.degree),
        part,
    )
    decision = graph.add("Add", values, graph.constant(model.intercept_))
    return Answer(outputs.positive(graph, decision, 2), None, decision)


def _neighbours(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    votes = np.eye(len(model.classes_))[model._y]
    probabilities = neighbours(graph, matrix, model, votes, part)
    return Answer(outputs.largest(graph, probabilities), probabilities)


def _dummy(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    if model.strategy not in ("prior", "most_frequent"):
        raise NotConvertible(part, f"its strategy is {model.strategy}")
    shares = np.asarray(model.class_prior_, dtype=np.float64)
    if model.strategy == "most_frequent":
        shares = np.eye(len(shares))[shares.argmax()]
    probabilities = Scores(shares).emit(graph, matrix)
    return Answer(outputs.largest(graph, probabilities), probabilities)


def _threshold(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    """PyCaret's wrapper: class 1 from a probability on."""
    inner = classify(graph, matrix, model.classifier_)
    if inner.probabilities is None:
        return inner
    if len(model.classifier_.classes_) > 2:
        raise NotConvertible(part, "a threshold needs exactly two classes")
    second = graph.add("Gather", inner.probabilities, graph.constant(1, np.int64), axis=1)
    above = graph.add("GreaterOrEqual", second, graph.constant(float(model.probability_threshold)))
    label = graph.add("Cast", above, to=outputs.INT64)
    return replace(inner, label=label)


def _voting(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    members = [classify(graph, matrix, member) for member in model.estimators_]
    weights = [float(w) for w in model._weights_not_none or [1.0] * len(members)]
    if model.voting == "soft":
        chances = [member.probabilities for member in members if member.probabilities]
        if len(chances) < len(members):
            raise NotConvertible(part, "a member has no probabilities")
        probabilities = outputs.mean(graph, chances, weights)
        share = _mean_share(members, weights)
        return Answer(outputs.largest(graph, probabilities), probabilities, share=share)
    table = graph.constant(np.eye(len(model.classes_)))
    votes = [graph.add("Gather", table, member.label) for member in members]
    return Answer(outputs.largest(graph, outputs.mean(graph, votes, weights)))


def _bagging(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    n_classes = len(model.classes_)
    table = graph.constant(np.eye(n_classes))
    members = []
    chances = []
    for member, columns in zip(model.estimators_, model.estimators_features_, strict=True):
        if len(member.classes_) < n_classes:
            raise NotConvertible(part, "a member saw only some of the classes")
        answer = classify(graph, matrix.only(columns), member)
        chances.append(answer.probabilities or graph.add("Gather", table, answer.label))
        # Scores over other columns cannot be summed symbolically.
        same = np.array_equal(columns, np.arange(matrix.width))
        members.append(answer if same else replace(answer, share=None))
    equal = [1.0] * len(members)
    probabilities = outputs.mean(graph, chances, equal)
    share = _mean_share(members, equal)
    return Answer(outputs.largest(graph, probabilities), probabilities, share=share)


def _mean_share(members: list[Answer], weights: list[float]) -> Scores | None:
    """Return the weighted mean of the members' probabilities where all of them are sums."""
    shares = [member.share for member in members if member.share]
    if len(shares) < len(members):
        return None
    return total(
        [share.scaled(weight / sum(weights)) for share, weight in zip(shares, weights, strict=True)]
    )


def _stacking(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    n_classes = len(model.classes_)
    width = 0
    pieces = []
    for member, method in zip(model.estimators_, model.stack_method_, strict=True):
        answer = classify(graph, matrix, member)
        if method == "predict_proba" and answer.probabilities:
            piece = answer.probabilities
            if n_classes == 2:
                piece = graph.add("Gather", piece, graph.constant([1], np.int64), axis=1)
            width += n_classes if n_classes > 2 else 1
        elif method == "decision_function" and answer.decision:
            piece = answer.decision
            width += n_classes if n_classes > 2 else 1
        elif method == "predict":
            column = graph.add("Unsqueeze", answer.label, graph.constant([1], np.int64))
            piece = graph.add("Cast", column, to=outputs.DOUBLE)
            width += 1
        else:
            raise NotConvertible(part, f"its member {type(member).__name__} answers by {method}")
        pieces.append(piece)
    if model.passthrough:
        pieces.append(matrix.ordered(graph))
        width += matrix.width
    level = Matrix(graph.add("Concat", *pieces, axis=1), np.arange(width), width)
    return classify(graph, level, model.final_estimator_)


def _calibrated(graph: Graph, matrix: Matrix, model: Any, part: str) -> Answer:
    n_classes = len(model.classes_)
    tensors = []
    for member in model.calibrated_classifiers_:
        inner = classify(graph, matrix, member.estimator)
        scores = inner.decision
        if scores is None and inner.probabilities:
            scores = inner.probabilities
            if n_classes == 2:
                scores = graph.add("Gather", scores, graph.constant([1], np.int64), axis=1)
        if scores is None:
            raise NotConvertible(part, "its member has neither decisions nor probabilities")
        tensors.append(calibrated(graph, scores, member.calibrators, n_classes, part))
    probabilities = outputs.mean(graph, tensors, [1.0] * len(tensors))
    return Answer(outputs.largest(graph, probabilities), probabilities)


CLASSIFIERS: dict[str, Writer] = {
    "AdaBoostClassifier": _adaboost,
    "BaggingClassifier": _bagging,
    "CalibratedClassifierCV": _calibrated,
    "CatBoostClassifier": _catboost,
    "CustomProbabilityThresholdClassifier": _threshold,
    "DecisionTreeClassifier": _tree,
    "DummyClassifier": _dummy,
    "ForestClassifier": _forest,
    "GaussianNB": _naive_bayes,
    "GradientBoostingClassifier": _gradient_boosting,
    "KNeighborsClassifier": _neighbours,
    "LGBMClassifier": _lightgbm,
    "LinearDiscriminantAnalysis": _linear_discriminant,
    "LogisticRegression": _logistic_regression,
    "MLPClassifier": _network,
    "QuadraticDiscriminantAnalysis": _quadratic_discriminant,
    "RidgeClassifier": _without_probabilities,
    "SGDClassifier": _gradient_descent,
    "SVC": _support_vectors,
    "StackingClassifier": _stacking,
    "VotingClassifier": _voting,
    "XGBClassifier": _xgboost,
}
