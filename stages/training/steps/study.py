"""One search for hyperparameters: Optuna proposes sets by what those before were worth.

A set whose first folds are worse than the median of those before is given up. What is proposed
depends on the seed and on the sets before alone: a search that was interrupted goes on where it
stopped, and comes to the same as one that was not.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from typing import Any

import joblib
import optuna
from catboost import CatBoostError
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sklearn.base import clone

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
SET = "hyperparameters"  # Optuna's attribute of what was tried
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
        return f"{self.score:.5g} {self.outcome}".rstrip()


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

    def study(self, name: str) -> optuna.Study:
        """Optuna's study of a name and the key: a new one, or as it was left."""
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            storage=f"sqlite:///{self.path}" if self.path else None,
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
        trials: the folds, and how much time is left.
        worth: of some folds' answers; more is better, not a number where there is none.
        sign: of a worth on the leaderboard.
        seed: of what is proposed.
        n_jobs: fits side by side; does not change the result.
        journal: where the sets are written.
    """

    start: Trial
    space: Space
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
        return create_trial(
            params=known,
            distributions={name: self.space[name] for name in known},
            value=self.worth(self.start.folds),
            intermediate_values={FIRST_FOLDS: self.worth(self.start.folds[:FIRST_FOLDS])},
        )

    def _tried(self, *states: TrialState) -> list[FrozenTrial]:
        return [one for one in self._study.get_trials(states=states) if SET in one.user_attrs]

    def _best(self) -> FrozenTrial | None:
        return max(self._tried(TrialState.COMPLETE), key=attrgetter("value"), default=None)

    @property
    def count(self) -> int:
        """How many sets were tried, with those of an earlier run that was interrupted."""
        return len(self._tried(TrialState.COMPLETE, TrialState.PRUNED))

    @property
    def best(self) -> tuple[Any, Sequence[Fold] | None] | None:
        """The best estimator, and its folds if this run has fitted them; None if none was."""
        best = self._best()
        if best is None:
            return None
        estimator = clone(self.start.asked).set_params(**best.user_attrs[SET])
        return estimator, self._folds.get(best.number)

    def run(self, iterations: int) -> None:
        """Try sets, until there are as many as asked for or `trials` has no time left.

        Raises:
            ValueError: the estimator takes none of the sets.
        """
        if self.count:
            print(f"train: tune      goes on after set {self.count}, where a run was interrupted")
        tried = None
        while self.count < iterations and (tried := self._try_next()):
            self.journal.log(tried)
            print(f"train: tune      set {tried.number} of {iterations}: {tried}", flush=True)
        if tried and self.best is None:
            raise ValueError(f"train.tune: no set could be fitted. The last one: {tried.outcome}.")

    def _try_next(self) -> Tried | None:
        """Try one more set; None where the time is over before it is tried."""
        begun, number = time.monotonic(), self.count + 1
        # A sampler of its own for each set: a run that goes on then proposes the same
        self._study.sampler = optuna.samplers.TPESampler(
            seed=self.seed + number, n_startup_trials=5
        )
        proposal = self._study.ask(dict(self.space))
        chosen = {name: _rounded(value) for name, value in proposal.params.items()}
        folds, worth, outcome = list[Fold](), math.nan, ""
        try:
            folds, settled, is_whole = self._evaluate(chosen, proposal)
            chosen |= settled
            worth = self.worth(folds)
            outcome = "" if is_whole else f"on its first {FIRST_FOLDS} folds, given up"
        except TimeoutError:
            self._study.tell(proposal, state=TrialState.FAIL)
            return None
        except (ValueError, CatBoostError) as error:
            outcome = f"failed: {error}"
        proposal.set_user_attr(SET, chosen)
        if outcome or math.isnan(worth):
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
            TimeoutError: the time is over.
            ValueError: a set that the estimator does not take.
        """
        parts, estimator = self.trials.parts, clone(self.start.asked).set_params(**chosen)
        # Where there is a core for each fold, waiting for the first ones saves nothing
        waits = joblib.effective_n_jobs(self.n_jobs) < len(parts)
        fits = self._fit(estimator, parts[:FIRST_FOLDS] if waits else parts)
        first, settled = answered(estimator, fits[:FIRST_FOLDS], parts[:FIRST_FOLDS])
        worth = self.worth(first)
        if not math.isnan(worth) and len(parts) > FIRST_FOLDS:
            proposal.report(worth, FIRST_FOLDS)
            if proposal.should_prune():
                return first, settled, False
        if waits:
            fits += self._fit(estimator, parts[FIRST_FOLDS:])
        return *answered(estimator, fits, parts), True

    def _fit(self, estimator: Any, parts: Sequence[Part]) -> list[Any]:
        left = self.trials.seconds_left
        if left is not None and left <= 0:
            raise TimeoutError
        fits = fit_parts(estimator, parts, self.n_jobs, left, tell=lambda _: None)
        if is_cut_short(fits):
            raise TimeoutError
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
