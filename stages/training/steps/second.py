"""The second step of a stack or a calibration, found on what honest folds answered.

Each fold is answered with a second step of the other folds, so that it does not judge itself.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.calibration import _CalibratedClassifier, _fit_calibrator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.utils._response import _get_response_values

from stages.training.answers import Answers, Fold, Recorded, answer
from stages.training.estimators.fixed import (
    METHODS,
    FixedCalibratedClassifier,
    FixedStackingClassifier,
    FixedStackingRegressor,
    Members,
    Second,
)


class MissingLabelError(ValueError):
    """The folds answer no row of some label, so that nothing can be learned of it."""


def stacked(
    members: Members, folds: Sequence[Sequence[Fold]], y: pd.Series
) -> tuple[Any, list[Fold]]:
    """A stack and its folds; its second step is PyCaret's: a linear or logistic regression.

    Args:
        members: names and estimators, not fitted.
        folds: of each.
        y: the targets of the training rows, classes as 0, 1 and so on.

    Raises:
        MissingLabelError: the folds answer no row of a label.
    """
    parts = list(zip(*folds, strict=True))
    is_classification = is_classifier(members[0][1])
    levels = [np.hstack([level(one.answers, is_classification) for one in part]) for part in parts]
    truths = [y.iloc[part[0].rows] for part in parts]
    make = LogisticRegression if is_classification else LinearRegression

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
        MissingLabelError: the folds answer no row of a label.
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
        raise MissingLabelError("the folds answer no row of one of the labels")
