"""Cross-validation that keeps what every fold answered.

PyCaret's own keeps the scores and throws the answers away. With the answers, a blend or a
threshold is scored without a further fit, the weights of a blend can be searched for, and the
errors on rows that a fold never saw tell how wide an honest prediction interval is.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest.mock import patch

import joblib
import numpy as np
import pandas as pd
from sklearn.base import clone

from stages.training import early_stopping
from stages.training.answers import (
    Answers,
    Fold,
    answer,
    at_threshold,
    is_threshold,
    mean,
    score,
)
from stages.training.early_stopping import Boosting
from stages.training.threads import quietly

SILENCE_SECONDS = 20.0  # after which one more fold is told of


@dataclass(frozen=True)
class Part:
    """A fold's rows as every estimator sees them.

    Attributes:
        rows: the positions of the rows to answer among the training rows, shape (answered,).
        preparation: PyCaret's preprocessing, fitted on the fold's other rows.
        X: the features of those other rows, which an estimator is fitted on.
        y: their targets.
        others: the features of the rows to answer.
        truth: their targets, as `y` is: transformed, if `train.preprocess` says so.
    """

    rows: np.ndarray
    preparation: Any
    X: pd.DataFrame
    y: pd.Series
    others: pd.DataFrame
    truth: pd.Series


@dataclass(frozen=True)
class Trial:
    """One estimator that was cross-validated.

    Attributes:
        estimator: not fitted.
        scores: PyCaret's table: a row for each fold, then `Mean` and `Std`.
        folds: what it answered.
        asked: it before early stopping found its number of trees.
        is_cut_short: early stopping had no time to find the best number.
    """

    estimator: Any
    scores: pd.DataFrame
    folds: Sequence[Fold]
    asked: Any
    is_cut_short: bool


@dataclass
class Trials:
    """Every estimator that PyCaret cross-validates, in order.

    Attributes:
        done: the trials.
        parts: the folds' rows, once something was tried.
        report: called with each new one.
        next_folds: the folds of the next estimator, where they are known.
        end: the moment at which boosting has to stop, of `time.monotonic`; None for no such moment.
        is_plain: the target is not transformed. Else a blend averages before the target is
            transformed back, and its members' answers are after that.
    """

    done: list[Trial] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    report: Callable[[Trial], None] | None = None
    next_folds: Sequence[Fold] | None = None
    end: float | None = None
    is_plain: bool = True

    @property
    def seconds_left(self) -> float | None:
        """Until boosting has to stop."""
        return None if self.end is None else self.end - time.monotonic()

    def of(self, estimator: Any) -> Trial:
        """The latest trial of an estimator with the same hyperparameters.

        Raises:
            KeyError: there is none.
        """
        return {identity(one.estimator): one for one in self.done}[identity(estimator)]

    def derived(self, estimator: Any) -> list[Fold] | None:
        """The folds of a blend or of a threshold, where those of its parts are done."""
        if not self.is_plain:
            return None
        try:
            if is_threshold(estimator):
                folds = self.of(estimator.classifier).folds
                return at_threshold(folds, estimator.probability_threshold)
            if is_mean(estimator):
                members = [self.of(one).folds for _, one in estimator.estimators]
                return [
                    Fold(folds[0].rows, mean(folds, estimator.weights))
                    for folds in zip(*members, strict=True)
                ]
        except KeyError:
            return None
        return None


def identity(estimator: Any) -> str:
    """What two equal estimators share: the class and all hyperparameters."""
    return f"{type(estimator).__name__} {estimator.get_params()}"


def is_mean(estimator: Any) -> bool:
    """Whether an estimator answers with the weighted mean of its members' answers."""
    name = type(estimator).__name__
    return name == "VotingRegressor" or getattr(estimator, "voting", None) == "soft"


@contextmanager
def keep_answers(experiment: Any) -> Iterator[Trials]:
    """Let PyCaret's functions cross-validate here, and keep what the folds answer.

    No estimator is fitted on all rows: that is for the one that is chosen in the end.
    """
    trials = Trials(is_plain="target_transformation" not in dict(experiment.pipeline.steps))
    pycarets = experiment._create_model_with_cv
    tell = partial(print, file=sys.stdout, flush=True)  # PyCaret hides what is printed later

    def cross_validate(**arguments: Any) -> Any:
        model = arguments["model"]
        asked = clone(model)
        folds: list[Fold] = []
        is_cut_short = False

        def folds_of(pipeline: Any, X: pd.DataFrame, y: pd.Series, **options: Any) -> Any:
            nonlocal is_cut_short
            known = trials.next_folds or trials.derived(model)
            trials.next_folds = None
            if known is None:
                n_jobs = options["n_jobs"]
                if not trials.parts:
                    cv, groups = options["cv"], options["groups"]
                    trials.parts = prepare_folds(pipeline, X, y, cv, groups, n_jobs)
                known, cut = fit_folds(model, trials.parts, n_jobs, trials.seconds_left, tell)
                is_cut_short = cut
            folds.extend(known)
            return score(folds, y, options["scoring"])

        with patch("sklearn.model_selection.cross_validate", folds_of):
            result = pycarets(**{**arguments, "refit": False})
        trials.done.append(Trial(model, result[2], folds, asked, is_cut_short))
        if trials.report:
            trials.report(trials.done[-1])
        return result

    with patch.object(experiment, "_create_model_with_cv", cross_validate):
        yield trials


def prepare_folds(
    pipeline: Any, X: pd.DataFrame, y: pd.Series, cv: Any, groups: Any, n_jobs: int
) -> list[Part]:
    """Fit the preprocessing on each fold's training rows, once for all estimators.

    Args:
        pipeline: of preprocessing and some estimator.
        X: the features, shape (rows, features).
        y: the targets, shape (rows,).
        cv: scikit-learn's object that makes the folds.
        groups: of the rows, for folds by groups; else None.
        n_jobs: fits side by side; does not change the result.
    """
    parts: list[Part] = joblib.Parallel(n_jobs=n_jobs)(
        joblib.delayed(quietly)(prepare, clone(pipeline[:-1]), X, y, training, rows)
        for training, rows in cv.split(X, y, groups)
    )
    return parts


def prepare(
    preparation: Any, X: pd.DataFrame, y: pd.Series, training: np.ndarray, rows: np.ndarray
) -> Part:
    """Fit the preprocessing on the known rows of a fold."""
    prepared = preparation.fit_transform(X.iloc[training], y.iloc[training])
    return Part(rows, preparation, *prepared, *preparation.transform(X.iloc[rows], y.iloc[rows]))


def fit_folds(
    estimator: Any,
    parts: Sequence[Part],
    n_jobs: int,
    seconds: float | None,
    tell: Callable[[str], object],
) -> tuple[list[Fold], bool]:
    """Fit a copy of an estimator on each fold's training rows, and ask it about the others.

    Args:
        estimator: is given the number of trees that early stopping finds, if it asks for one.
        parts: of `prepare_folds`.
        n_jobs: fits side by side; does not change the result.
        seconds: for all folds, after which early stopping stops whatever the losses; None for
            no limit.
        tell: is given a line, now and then, where it takes long.

    Returns:
        The folds, and whether the time cut the boosting short.
    """
    fits = fit_parts(estimator, parts, n_jobs, seconds, tell)
    folds, settled = answered(estimator, fits, parts)
    estimator.set_params(**settled)
    return folds, is_cut_short(fits)


def fit_parts(
    estimator: Any,
    parts: Sequence[Part],
    n_jobs: int,
    seconds: float | None,
    tell: Callable[[str], object],
) -> list[Boosting] | list[Answers]:
    """A copy of an estimator fitted on the rows of each part, for `answered`; see `fit_folds`."""
    if not early_stopping.is_asked(estimator):
        return fit_each(fit_and_answer, estimator, parts, n_jobs, tell=tell)
    turns = math.ceil(len(parts) / joblib.effective_n_jobs(n_jobs))
    share = None if seconds is None else seconds / turns
    return fit_each(early_stopping.fit, estimator, parts, n_jobs, share, tell=tell)


def answered(
    estimator: Any, fits: Sequence[Any], parts: Sequence[Part]
) -> tuple[list[Fold], dict[str, Any]]:
    """What the copies answer, and the hyperparameters that early stopping settled.

    Args:
        estimator: as it was asked for.
        fits: of `fit_parts`.
        parts: the same.
    """
    settled: dict[str, Any] = {}
    done = fits
    if early_stopping.is_asked(estimator):
        trees = early_stopping.fewest([fit.losses for fit in fits])
        settled = early_stopping.settled(fits[0].estimator, trees)
        done = [
            answer(fit.estimator, part.others, **early_stopping.limit(fit.estimator, trees))
            for fit, part in zip(fits, parts, strict=True)
        ]
    return [
        Fold(part.rows, {**answers, "predict": untransformed(part, answers["predict"])})
        for answers, part in zip(done, parts, strict=True)
    ], settled


def untransformed(part: Part, values: np.ndarray) -> np.ndarray:
    """Targets in their own unit, where `train.preprocess` transforms them."""
    return np.asarray(part.preparation.inverse_transform(values))


def is_cut_short(fits: Sequence[Any]) -> bool:
    """Whether the time was over before early stopping had ended."""
    return any(isinstance(fit, Boosting) and fit.is_cut_short for fit in fits)


def fit_each(
    fit: Callable[..., Any],
    estimator: Any,
    parts: Sequence[Part],
    n_jobs: int,
    *options: Any,
    tell: Callable[[str], object],
) -> list[Any]:
    """What `fit` gives for a copy of the estimator and each fold's rows; long work tells of it."""
    fits: list[Any] = Told(n_jobs, type(estimator).__name__, len(parts), tell)(
        joblib.delayed(quietly)(
            fit, clone(estimator), part.X, part.y, part.others, part.truth, *options
        )
        for part in parts
    )
    return fits


class Told(joblib.Parallel):
    """Work side by side that tells how far it is, where that takes long.

    Args:
        n_jobs: fits side by side.
        name: what is fitted.
        total: how often.
        tell: is given a line.
    """

    def __init__(self, n_jobs: int, name: str, total: int, tell: Callable[[str], object]) -> None:
        super().__init__(n_jobs=n_jobs)
        self._name, self._total, self._tell = name, total, tell
        self._last = time.monotonic()

    def print_progress(self) -> None:
        """Called by joblib when a fit is done."""
        now, done = time.monotonic(), self.n_completed_tasks
        if done < self._total and now - self._last > SILENCE_SECONDS:
            self._last = now
            self._tell(f"train: {self._name}: {done} of {self._total} folds are fitted")


def fit_and_answer(
    estimator: Any, X: pd.DataFrame, y: pd.Series, others: pd.DataFrame, _: pd.Series
) -> Answers:
    """Fit on some rows and answer others."""
    return answer(estimator.fit(X, y), others)
