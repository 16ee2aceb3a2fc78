"""The second step of a stack or a calibration, found on what honest folds answered.

Each fold is answered with a second step of the other folds, so that it does not judge itself. By
time these are later ones, too, as for the weights of a greedy blend: what members answer knows the
past alone, how much each of them counts does not.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.calibration import _CalibratedClassifier, _fit_calibrator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.utils._response import _get_response_values

from stages.training.answers import Answers, Fold, Recorded, answer, at_threshold, is_threshold
from stages.training.estimators.fixed import (
    METHODS,
    FixedCalibratedClassifier,
    FixedStack,
    FixedStackingClassifier,
    FixedStackingRegressor,
    Members,
    Second,
)


class MissingLabelError(ValueError):
    """Too few folds answer rows of some label to learn of it; the message says what to do."""


def stacked(
    members: Members, folds: Sequence[Sequence[Fold]], y: pd.Series
) -> tuple[Any, list[Fold]]:
    """A stack and its folds; its second step is a linear or logistic regression, as PyCaret's.

    Args:
        members: names and estimators, not fitted.
        folds: of each.
        y: the targets of the training rows, classes as 0, 1 and so on.

    Raises:
        MissingLabelError: too few folds answer rows of a label.
    """
    parts = list(zip(*folds, strict=True))
    is_classification = is_classifier(members[0][1])
    levels = [np.hstack([level(one.answers, is_classification) for one in part]) for part in parts]
    truths = [y.iloc[part[0].rows] for part in parts]
    make = partial(LogisticRegression, max_iter=1000) if is_classification else LinearRegression

    def second(without: int | None) -> Any:
        kept = [number for number in range(len(parts)) if number != without]
        truth = pd.concat([truths[number] for number in kept])
        if is_classification:
            refuse_missing_label(truth, y)
        return make().fit(np.vstack([levels[number] for number in kept]), truth)

    answered = [
        Fold(part[0].rows, answer(second(number), levels[number]))
        for number, part in enumerate(parts)
    ]
    kind = FixedStackingClassifier if is_classification else FixedStackingRegressor
    return kind(members, Second(second(None))), answered


def level(answers: Answers, is_classification: bool) -> np.ndarray:
    """What a second step reads of a member's answers, as scikit-learn's: (rows, columns)."""
    methods = METHODS if is_classification else ["predict"]
    values = next(answers[method] for method in methods if method in answers)
    if values.ndim == 1:
        return values.reshape(-1, 1)
    is_pair = values.shape[1] == 2
    return values[:, 1:] if is_pair else values


def calibrated(
    estimator: Any, folds: Sequence[Fold], y: pd.Series, method: str
) -> tuple[Any, list[Fold]]:
    """A calibrated classifier and its folds.

    Args:
        estimator: not fitted.
        folds: its own.
        y: the labels of the training rows, as 0, 1 and so on.
        method: `sigmoid` or `isotonic`.

    Raises:
        MissingLabelError: too few folds answer rows of a label.
    """
    classes = np.unique(y)

    def second(without: int | None) -> list[Any]:
        kept = [fold for number, fold in enumerate(folds) if number != without]
        truth = pd.concat([y.iloc[fold.rows] for fold in kept])
        refuse_missing_label(truth, y)
        scores = np.concatenate([raw(fold, classes) for fold in kept])
        said = Recorded(kept[0].answers, classes)
        calibrators: list[Any] = _fit_calibrator(said, scores, truth, classes, method).calibrators
        return calibrators

    def honest(number: int, fold: Fold) -> Fold:
        said = Recorded(fold.answers, classes)
        whole = _CalibratedClassifier(said, second(number), classes=classes, method=method)
        chances = whole.predict_proba(np.empty((len(fold.rows), 0)))
        return Fold(fold.rows, {"predict": chances.argmax(axis=1), "predict_proba": chances})

    answered = [honest(number, fold) for number, fold in enumerate(folds)]
    return FixedCalibratedClassifier(estimator, Second(second(None)), method), answered


def raw(fold: Fold, classes: np.ndarray) -> np.ndarray:
    """What calibrators read: one column for two classes, else one for each."""
    said = Recorded(fold.answers, classes)
    methods = ["decision_function", "predict_proba"]
    scores, _ = _get_response_values(said, None, response_method=methods)
    return np.asarray(scores).reshape(len(fold.rows), -1)


def refuse_missing_label(truth: pd.Series, y: pd.Series) -> None:
    """Raise MissingLabelError where the labels of some folds are not all labels."""
    if truth.nunique() < y.nunique():
        raise MissingLabelError(
            "some label has rows in fewer than two folds; take fewer train.folds, or switch "
            "train.stack and train.calibrate off"
        )


def first_steps(estimator: Any) -> list[Any]:
    """What a fit of an estimator fits: its first steps where the second is fixed, else itself."""
    if isinstance(estimator, FixedStack):
        return [first for _, one in estimator.estimators for first in first_steps(one)]
    if isinstance(estimator, FixedCalibratedClassifier):
        return first_steps(estimator.estimator)
    if is_threshold(estimator):
        return first_steps(estimator.classifier)
    return [estimator]


def again(estimator: Any, folds: Iterator[list[Fold]], y: pd.Series) -> list[Fold]:
    """The folds of an estimator on other folds, its second steps found there anew.

    Args:
        estimator: with second steps that its folds here must not have known.
        folds: of its `first_steps`, in their order.
        y: the targets of all rows, classes as 0, 1 and so on.

    Raises:
        MissingLabelError: too few folds answer rows of a label.
    """
    if isinstance(estimator, FixedStack):
        members = [again(one, folds, y) for _, one in estimator.estimators]
        return stacked(estimator.estimators, members, y)[1]
    if isinstance(estimator, FixedCalibratedClassifier):
        inner = again(estimator.estimator, folds, y)
        return calibrated(estimator.estimator, inner, y, estimator.method)[1]
    if is_threshold(estimator):
        inner = again(estimator.classifier, folds, y)
        return at_threshold(inner, estimator.probability_threshold)
    return next(folds)
