"""Stacks and calibrations whose second step was found beforehand, and stays as it is.

scikit-learn's own find the second step anew in each fit, on folds at random, which would mix what
folds by groups or time keep apart. Here `train` finds it once, on what the honest folds answered
(stages/training/steps/second.py), as it finds the weights of a blend: each fit is of the first
step alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV, _CalibratedClassifier
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.preprocessing import LabelEncoder

Members = list[tuple[str, Any]]
# Which of a member's answers a stack reads: the first one that it has, as in scikit-learn
METHODS = ("predict_proba", "decision_function", "predict")


@dataclass(frozen=True)
class Second:
    """A fitted second step, which scikit-learn's `clone` keeps fitted.

    Attributes:
        fitted: the linear model of a stack, or the list of a calibration's calibrators.
    """

    fitted: Any


class FixedStack:
    """What the two stacks share.

    Args:
        estimators: names and estimators.
        second: the linear model of what they answer.
    """

    passthrough = False

    def __init__(self, estimators: Members, second: Second) -> None:
        self.estimators, self.second = estimators, second

    @property
    def final_estimator(self) -> Any:
        """The linear model, under scikit-learn's name."""
        return self.second.fitted

    def _fit_first(self, X: Any, y: Any, methods: Sequence[str]) -> None:
        self.estimators_ = [clone(one).fit(X, y) for _, one in self.estimators]
        self.stack_method_ = [
            next(method for method in methods if hasattr(one, method)) for one in self.estimators_
        ]
        self.final_estimator_ = self.second.fitted


class FixedStackingRegressor(FixedStack, StackingRegressor):
    """A linear regression of what other estimators answer."""

    def fit(self, X: Any, y: Any) -> "FixedStackingRegressor":
        """Fit the first step; features of shape (rows, features), targets of shape (rows,)."""
        self._fit_first(X, y, ["predict"])
        return self


class FixedStackingClassifier(FixedStack, StackingClassifier):
    """A logistic regression of what other classifiers answer."""

    def fit(self, X: Any, y: Any) -> "FixedStackingClassifier":
        """Fit the first step; features of shape (rows, features), labels of shape (rows,)."""
        self._label_encoder = LabelEncoder().fit(y)
        self.classes_ = self._label_encoder.classes_
        self._fit_first(X, y, METHODS)
        return self


class FixedCalibratedClassifier(CalibratedClassifierCV):
    """A classifier whose answers are turned into honest probabilities.

    Args:
        estimator: the classifier.
        second: the calibrators, one for each class, or one for two classes.
        method: `sigmoid` or `isotonic`.
    """

    def __init__(self, estimator: Any, second: Second, method: str) -> None:
        self.estimator, self.second, self.method = estimator, second, method

    def fit(self, X: Any, y: Any) -> "FixedCalibratedClassifier":
        """Fit the classifier; features of shape (rows, features), labels of shape (rows,)."""
        fitted = clone(self.estimator).fit(X, y)
        self.classes_ = fitted.classes_
        self.n_features_in_ = X.shape[1]
        self.calibrated_classifiers_ = [
            _CalibratedClassifier(
                fitted, self.second.fitted, classes=self.classes_, method=self.method
            )
        ]
        return self
