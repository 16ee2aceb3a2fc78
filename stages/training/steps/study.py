"""One search for hyperparameters: Optuna proposes sets by what those before were worth.

Once three were fitted on all folds, the start among them, a set whose first folds are worse than
the median of these is given up. What is proposed depends on the seed and on the sets before alone:
a search that was interrupted goes on where it stopped, and comes to the same as one that was not.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from typing import Any

import joblib
import optuna
from catboost import CatBoostError
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sklearn.base import clone
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from stages.training.answers import Fold
from stages.training.steps.spaces import Distribution, Space
from stages.training.validation import (
    Part,
    Trial,
    Trials,
    answered,
    fit_parts,
    identity,
    is_cut_short,
)

FIRST_FOLDS = 2  # after which a set may be given up
SET, OUTCOME = "hyperparameters", "outcome"  # Optuna's attributes of what was tried
DIGITS = 4  # of a number that is proposed; the leaderboard shows as many, so they can be copied


@dataclass(frozen=True)
class Tried:
    """A set that was tried.

    Attributes:
        number: from 1.
        hyperparameters: the set, with the number of trees that early stopping found.
        score: the mean of `train.sort` over the folds that were fitted, as on the leaderboard; not
            a number where the set failed.
        outcome: what became of it, for people.
        seconds: that it took.
    """

    number: int
    hyperparameters: Mapping[str, Any]
    score: float
    outcome: str
    seconds: float

    def __str__(self) -> str:
        known = "" if math.isnan(self.score) else f"{self.score:.5g} "
        return f"{known}{self.outcome}".rstrip()


class OutOfTimeError(Exception):
    """`train.budget_minutes` is over."""


@dataclass(frozen=True)
class Journal:
    """Where the sets are written, for a search that is interrupted.

    Attributes:
        path: of an SQLite file; None keeps the sets in memory.
        key: what the worth of a set depends on beside the set; with another key, all begins anew.
        log: is given each set that was tried.
    """

    path: Path | None = None
    key: str = ""
    log: Callable[[Tried], object] = lambda _: None

    def storage(self) -> Any:
        """Optuna's storage, with what an interrupted run left there.

        Raises:
            ValueError: the file cannot be opened or written.
        """
        if self.path is None:
            return optuna.storages.InMemoryStorage()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return optuna.storages.RDBStorage(f"sqlite:///{self.path}")
        except (OSError, OperationalError) as error:
            raise ValueError(
                f"{self.path}, where the search writes what it tries, cannot be opened: {error}. "
                "Make the folder writable."
            ) from error
        except (SQLAlchemyError, OptunaError, RuntimeError) as error:
            print(f"train: {self.path} cannot be read ({error}): the search begins anew")
            self.path.unlink()
            return self.storage()

    def study(self, name: str) -> optuna.Study:
        """Optuna's study of a name and the key: a new one, or as it was left."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            storage=self.storage(),
            study_name=sha256(f"{self.key} {name}".encode()).hexdigest(),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
            direction="maximize",
            load_if_exists=True,
        )
        for trial in study.get_trials(states=[TrialState.RUNNING]):  # it was interrupted
            study.tell(trial.number, state=TrialState.FAIL)
        return study

    def forget(self) -> None:
        """The search has ended, and what came of it is written elsewhere."""
        if self.path:
            self.path.unlink(missing_ok=True)


@dataclass
class Tuning:
    """A search that begins with an estimator.

    Attributes:
        start: the estimator that it begins with, and its folds.
        space: the hyperparameters to search for.
        iterations: how many sets are to be tried, with those of a run that was interrupted.
        trials: the folds, and how much time is left.
        worth: of some folds' answers; more is better, not a number where there is none.
        sign: of a worth on the leaderboard.
        seed: of what is proposed.
        n_jobs: fits side by side; does not change the result.
        journal: where the sets are written.
    """

    start: Trial
    space: Space
    iterations: int
    trials: Trials
    worth: Callable[[Sequence[Fold]], float]
    sign: int
    seed: int
    n_jobs: int
    journal: Journal

    def __post_init__(self) -> None:
        self._study = self.journal.study(identity(self.start.asked))
        self._folds: dict[int, Sequence[Fold]] = {}  # of the best set alone, by Optuna's number
        if not self._study.trials:
            self._study.add_trial(self._first())

    def _first(self) -> FrozenTrial:
        """What the search begins with, in Optuna's words: the start, or what is nearest to it."""
        own = self.start.estimator.get_params()
        nearest = {name: _nearest(values, own.get(name)) for name, values in self.space.items()}
        known = {name: value for name, value in nearest.items() if value is not None}
        first = self.worth(self.start.folds[:FIRST_FOLDS])
        return create_trial(
            params=known,
            distributions={name: self.space[name] for name in known},
            value=self.worth(self.start.folds),
            intermediate_values={} if math.isnan(first) else {FIRST_FOLDS: first},
        )

    def _tried(self) -> list[FrozenTrial]:
        """Optuna's record of each set; of an earlier run that was to try more, the first ones."""
        ended = self._study.get_trials(states=[TrialState.COMPLETE, TrialState.PRUNED])
        return [one for one in ended if SET in one.user_attrs][: self.iterations]

    def _best(self) -> FrozenTrial | None:
        complete = [one for one in self._tried() if one.state is TrialState.COMPLETE]
        return max(complete, key=attrgetter("value"), default=None)

    @property
    def count(self) -> int:
        """How many sets were tried."""
        return len(self._tried())

    @property
    def best(self) -> tuple[Any, Sequence[Fold] | None] | None:
        """The best estimator, and its folds if this run has fitted them; None if none was."""
        best = self._best()
        if best is None:
            return None
        estimator = clone(self.start.asked).set_params(**best.user_attrs[SET])
        return estimator, self._folds.get(best.number)

    def run(self) -> None:
        """Try the sets, as far as there is time.

        Raises:
            ValueError: the estimator takes none of the sets.
        """
        if self.count:
            print(f"train: tune      goes on after set {self.count} of a run that did not end")
        while self.count < self.iterations and (tried := self._try_next()):
            self.journal.log(tried)
            print(f"train: tune      set {tried.number} of {self.iterations}: {tried}", flush=True)
        if self.count and self.best is None:
            self.journal.forget()
            last, names = self._tried()[-1].user_attrs[OUTCOME], ", ".join(self.space)
            raise ValueError(
                f"train.tune: no set could be fitted. The last one {last}. The search says "
                f"{names}: use these names in train.models, or set train.tune.iterations to 0."
            )

    def _try_next(self) -> Tried | None:
        """Try one more set; None where the time is over before it is tried."""
        begun, number = time.monotonic(), self.count + 1
        # A sampler of its own for each set: a run that goes on then proposes the same
        self._study.sampler = optuna.samplers.TPESampler(
            seed=self.seed + number, n_startup_trials=5
        )
        proposal = self._study.ask(dict(self.space))
        chosen = {name: _rounded(value) for name, value in proposal.params.items()}
        folds, worth, outcome = list[Fold](), math.nan, "has no score"
        try:
            folds, settled, is_whole = self._evaluate(chosen, proposal)
            chosen |= settled
            worth = self.worth(folds)
            if not is_whole:
                outcome = f"on its first {FIRST_FOLDS} folds, given up"
            elif not math.isnan(worth):
                outcome = ""
        except OutOfTimeError:
            self._study.tell(proposal, state=TrialState.FAIL)
            return None
        except (ValueError, CatBoostError) as error:
            outcome = f"failed: {str(error).rstrip('.')}"
        proposal.set_user_attr(SET, chosen)
        proposal.set_user_attr(OUTCOME, outcome)
        if outcome:
            self._study.tell(proposal, state=TrialState.PRUNED)
        else:
            self._study.tell(proposal, worth)
            best = self._best()
            if best and best.number == proposal.number:
                self._folds = {proposal.number: folds}
        return Tried(number, chosen, self.sign * worth, outcome, time.monotonic() - begun)

    def _evaluate(
        self, chosen: Mapping[str, Any], proposal: optuna.Trial
    ) -> tuple[list[Fold], dict[str, Any], bool]:
        """The folds of a set, what early stopping settled, and whether these are all folds.

        Raises:
            OutOfTimeError: the time is over.
            ValueError: a set that the estimator does not take.
        """
        parts, estimator = self.trials.parts, clone(self.start.asked).set_params(**chosen)
        # Where there is a core for each fold, waiting for the first ones saves nothing
        waits = FIRST_FOLDS < len(parts) > joblib.effective_n_jobs(self.n_jobs)
        fits = self._fit(estimator, parts[:FIRST_FOLDS] if waits else parts)
        first, settled = answered(estimator, fits[:FIRST_FOLDS], parts[:FIRST_FOLDS])
        worth = self.worth(first)
        if not math.isnan(worth):
            proposal.report(worth, FIRST_FOLDS)
            if proposal.should_prune():
                return first, settled, False
        if waits:
            fits += self._fit(estimator, parts[FIRST_FOLDS:])
        return *answered(estimator, fits, parts), True

    def _fit(self, estimator: Any, parts: Sequence[Part]) -> list[Any]:
        left = self.trials.seconds_left
        if left is not None and left <= 0:
            raise OutOfTimeError
        fits = fit_parts(estimator, parts, self.n_jobs, left, tell=partial(print, flush=True))
        if is_cut_short(fits):
            raise OutOfTimeError
        return fits


def _nearest(values: Distribution, value: Any) -> Any:
    """The nearest value of a space to an estimator's own; None where that is not to be told."""
    if isinstance(values, CategoricalDistribution):
        return value if value in values.choices else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None  # a library's word for a value of its own choice
    return min(max(value, values.low), values.high)


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
