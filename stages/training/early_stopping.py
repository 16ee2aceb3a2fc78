"""As many trees as the table asks for: boosting stops where the folds get no better.

In `train.models`, `n_estimators: auto` asks for it.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

AUTO = "auto"
MOST = 5000  # trees
PATIENCE = 60  # trees without a better loss


class Boosting(NamedTuple):
    """One fold's fit.

    Attributes:
        estimator: fitted, with more trees than it needs.
        losses: on the fold's other rows, after each tree.
        is_cut_short: the time was over while the losses still got better.
    """

    estimator: Any
    losses: list[float]
    is_cut_short: bool


class Clock:
    """Tells when a fit has to end.

    Args:
        seconds: from now on; None for no end.
    """

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds
        self.has_ended = False

    def is_over(self) -> bool:
        """Whether the time is over, which is remembered."""
        self.has_ended = self._end is not None and time.monotonic() >= self._end
        return self.has_ended


def is_asked(estimator: Any) -> bool:
    """Whether the number of trees is to be found."""
    return bool(estimator.get_params().get("n_estimators") == AUTO)


def check(name: str, estimator: Any) -> None:
    """Refuse to look for the number of trees of what does not stop early.

    Args:
        name: PyCaret's id of the estimator.
        estimator: as it is to be tried.

    Raises:
        ValueError: the estimator is of no library that is used here.
    """
    if is_asked(estimator) and library(estimator) not in FITS:
        raise ValueError(
            f"train.models: {name}: n_estimators can be {AUTO!r} for {', '.join(FITS)} alone; "
            "give a number."
        )


def library(estimator: Any) -> str:
    """The package of an estimator's class, or of the first base of it that stops early."""
    packages = [kind.__module__.split(".")[0] for kind in type(estimator).__mro__]
    return next((one for one in packages if one in FITS), packages[0])


def fit(
    estimator: Any,
    X: pd.DataFrame,
    y: pd.Series,
    others: pd.DataFrame,
    truth: pd.Series,
    seconds: float | None = None,
) -> Boosting:
    """Fit on some rows until the loss on others gets no better, or the time is over."""
    estimator.set_params(n_estimators=MOST)
    clock = Clock(seconds)
    losses = FITS[library(estimator)](estimator, X, y, (others, truth), clock)
    return Boosting(estimator, losses, clock.has_ended)


def _lightgbm(estimator: Any, X: Any, y: Any, others: tuple[Any, Any], clock: Clock) -> list[float]:
    from lightgbm.callback import CallbackEnv, EarlyStopException

    losses: list[float] = []

    def stop(state: CallbackEnv) -> None:
        ((_, _, loss, _),) = state.evaluation_result_list
        losses.append(loss)
        if len(losses) - int(np.argmin(losses)) > PATIENCE or clock.is_over():
            # LightGBM's own callback forgets the trees after the best, which another fold may need
            raise EarlyStopException(state.iteration, state.evaluation_result_list)

    estimator.fit(X, y, eval_set=[others], callbacks=[stop])
    return losses


def _xgboost(estimator: Any, X: Any, y: Any, others: tuple[Any, Any], clock: Clock) -> list[float]:
    from xgboost.callback import TrainingCallback

    class Stop(TrainingCallback):
        def after_iteration(self, *_: Any) -> bool:
            return clock.is_over()

    estimator.set_params(early_stopping_rounds=PATIENCE, callbacks=[Stop()])
    estimator.fit(X, y, eval_set=[others], verbose=False)
    estimator.set_params(callbacks=None)  # it would be part of what is kept
    ((losses,),) = (one.values() for one in estimator.evals_result().values())
    return list(losses)


def _catboost(estimator: Any, X: Any, y: Any, others: tuple[Any, Any], clock: Clock) -> list[float]:
    class GoOn:
        def after_iteration(self, _: Any) -> bool:
            return not clock.is_over()

    estimator.fit(
        X,
        y,
        eval_set=others,
        early_stopping_rounds=PATIENCE,
        use_best_model=False,
        verbose=False,
        callbacks=[GoOn()],
    )
    losses = estimator.get_evals_result()["validation"]
    return list(losses[estimator.get_all_params()["loss_function"]])


FITS: dict[str, Callable[..., list[float]]] = {
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "catboost": _catboost,
}


def fewest(losses: Sequence[Sequence[float]]) -> int:
    """The number of trees with the least mean loss over the folds.

    No fold is asked for more trees than it has: each goes on for `PATIENCE` trees after its best,
    unless its time is over.
    """
    length = min(map(len, losses))
    mean = np.mean([one[:length] for one in losses], axis=0)
    return int(np.argmin(mean)) + 1


def settled(estimator: Any, trees: int) -> dict[str, Any]:
    """The hyperparameters with which a fit stops at a number of trees, and is else the same.

    Args:
        estimator: one fold's, fitted.
        trees: the number that the folds found.
    """
    settings = {"n_estimators": trees}
    if library(estimator) == "catboost":  # which chooses these by the number of trees asked for
        chosen = estimator.get_all_params()
        settings |= {name: chosen[name] for name in ("learning_rate", "leaf_estimation_iterations")}
    return settings


def limit(estimator: Any, trees: int) -> dict[str, Any]:
    """The option of `predict` that makes a fitted estimator use its first trees only."""
    options: dict[str, dict[str, Any]] = {
        "lightgbm": {"num_iteration": trees},
        "xgboost": {"iteration_range": (0, trees)},
        "catboost": {"ntree_end": trees},
    }
    return options[library(estimator)]
