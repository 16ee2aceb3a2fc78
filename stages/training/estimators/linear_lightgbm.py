"""A linear model, and LightGBM's trees for what it leaves.

Trees answer with means of what they saw: they follow no trend beyond it, and need many leaves for
a straight line. A linear model does both, and knows nothing else.
"""

from copy import copy
from typing import Any

import numpy as np
from lightgbm import LGBMRegressor
from sklearn.linear_model import Ridge

KIND = "linear_lightgbm"


class LinearLGBMRegressor(LGBMRegressor):
    """Its hyperparameters are LightGBM's.

    Attributes:
        linear_: the fitted linear model, a ridge regression of scikit-learn's default strength.
    """

    def fit(
        self,
        X: Any,
        y: Any,
        eval_set: list[tuple[Any, Any]] | None = None,
        **options: Any,
    ) -> "LinearLGBMRegressor":
        """Fit the linear model, then trees on its residuals.

        Args:
            X: features, shape (rows, features).
            y: targets, shape (rows,).
            eval_set: pairs of other rows for LightGBM's early stopping.
            options: of LightGBM's `fit`.
        """
        self.linear_ = Ridge().fit(X, y)
        pairs = eval_set and [(other, self._residuals(other, truth)) for other, truth in eval_set]
        super().fit(X, self._residuals(X, y), eval_set=pairs, **options)
        return self

    def predict(self, X: Any, **options: Any) -> np.ndarray:
        """The linear model's answers and the trees', added; `options` are LightGBM's."""
        answers: np.ndarray = self.linear_.predict(X) + super().predict(X, **options)
        return answers

    def _residuals(self, X: Any, y: Any) -> np.ndarray:
        residuals: np.ndarray = np.asarray(y, dtype=float) - self.linear_.predict(X)
        return residuals


def add_to(experiment: Any) -> None:
    """Let PyCaret know the estimator by its `KIND`, with the defaults and searches of LightGBM.

    `train.models: all` stays PyCaret's own list.
    """
    library = experiment._all_models_internal
    own = copy(library["lightgbm"])
    own.id, own.name, own.class_def = KIND, "Linear model and LightGBM", LinearLGBMRegressor
    own.eq_function = lambda estimator: isinstance(estimator, LinearLGBMRegressor)
    own.is_turbo, own.reference = False, f"{__name__}.{LinearLGBMRegressor.__name__}"
    # First: PyCaret takes a fitted one for the first kind that it is an instance of
    experiment._all_models_internal = {KIND: own, **library}
    experiment._all_models = {KIND: own, **experiment._all_models}
