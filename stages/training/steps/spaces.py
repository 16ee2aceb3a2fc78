"""Which hyperparameters a search by Optuna tries for an estimator, and between which values.

PyCaret's own spaces begin at a learning rate of one in a million and end at three hundred trees:
most of their sets are bad for any table. Those of the estimators that win are given here, by
PyCaret's ids; the others have PyCaret's.
"""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from stages.training import early_stopping

Distribution = CategoricalDistribution | FloatDistribution | IntDistribution
Space = Mapping[str, Distribution]


def space(experiment: Any, kind: str, estimator: Any, features: int) -> Space:
    """The hyperparameters to search for, each with its values.

    Args:
        experiment: PyCaret's experiment, set up.
        kind: PyCaret's id of the estimator, or that of one of our own.
        estimator: of that kind; where it finds its number of trees by early stopping, that number
            is not searched for.
        features: that it is fitted on.
    """
    own = estimator.get_params()
    # CatBoost's names only what it was given, XGBoost's signature only what comes first
    names = own.keys() | signature(type(estimator)).parameters.keys()
    chosen = {
        name: values
        for name, values in SPACES.get(kind, {}).items()
        if name in names and own.get(name) != early_stopping.AUTO
    }
    if kind == "kr":  # scikit-learn's default is 1 / features
        chosen["gamma"] = _size(0.05 / features, 20 / features)
    theirs = experiment._all_models_internal[kind].tune_distribution
    return chosen or {name: values.get_optuna() for name, values in theirs.items()}


def _share(low: float) -> Distribution:
    return FloatDistribution(low, 1.0)


def _size(low: float, high: float) -> Distribution:
    """A number whose factors matter: from 1 to 10 is as far as from 10 to 100."""
    return FloatDistribution(low, high, log=True)


def _count(low: int, high: int) -> Distribution:
    return IntDistribution(low, high, log=True)


TREES: Space = {"n_estimators": _count(50, 2000)}
LESS_FIT: Space = {
    "colsample_bytree": _share(0.3),
    "subsample": _share(0.5),
    "reg_lambda": _size(1e-3, 100),
}
LIGHTGBM: Space = {
    **TREES,
    "learning_rate": _size(0.02, 0.2),
    "num_leaves": _count(8, 255),
    "min_child_samples": _count(2, 100),
    **LESS_FIT,
    "subsample_freq": IntDistribution(1, 1),  # 0, LightGBM's default, ignores `subsample`
}
FOREST: Space = {
    "max_features": _share(0.1),
    "min_samples_split": _count(2, 50),
    "min_samples_leaf": _count(1, 20),
}
SPACES: dict[str, Space] = {
    "lightgbm": LIGHTGBM,
    "linear_lightgbm": LIGHTGBM,
    "xgboost": {
        **TREES,
        "learning_rate": _size(0.02, 0.2),
        "max_depth": IntDistribution(3, 10),
        "min_child_weight": _size(1, 100),
        **LESS_FIT,
    },
    "catboost": {
        **TREES,
        "learning_rate": _size(0.03, 0.3),
        "depth": IntDistribution(4, 8),
        "l2_leaf_reg": _size(1, 30),
        "random_strength": _size(0.1, 10),
    },
    "rf": FOREST,
    "et": FOREST,
    "ridge": {"alpha": _size(1e-4, 1e4)},
    "lasso": {"alpha": _size(1e-4, 100)},
    "en": {"alpha": _size(1e-4, 100), "l1_ratio": FloatDistribution(0.01, 1.0)},
    "kr": {"alpha": _size(1e-4, 10), "kernel": CategoricalDistribution(["laplacian", "rbf"])},
    "lr": {"C": _size(1e-3, 1e3)},  # the classifier; the regression has no such strength
    "mlp": {"alpha": _size(1e-6, 1), "learning_rate_init": _size(1e-4, 1e-2)},
}
