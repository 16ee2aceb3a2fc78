"""The search for the best estimator: compare the candidates, then tune, ensemble and so on."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from catboost import CatBoostError
from sklearn.model_selection import GroupKFold, TimeSeriesSplit

from stages.params import OF_PROBABILITIES, Train
from stages.training import repairs
from stages.training.answers import Fold, cost, mean_score, select
from stages.training.experiment import candidates
from stages.training.leaderboard import Leaderboard, differences
from stages.training.steps.second import MissingLabelError, calibrated, stacked
from stages.training.steps.spaces import space
from stages.training.steps.study import Journal, Tuning
from stages.training.validation import Trial, Trials, identity, keep_answers


@dataclass(frozen=True)
class Entry:
    """One row of the leaderboard.

    Attributes:
        name: the candidate that it began with, or the blend's.
        kind: PyCaret's id of that candidate; empty for what is made of several.
        trial: its folds.
    """

    name: str
    kind: str
    trial: Trial


@dataclass(frozen=True)
class Result:
    """What the search came to.

    Attributes:
        pipeline: of preprocessing and the candidate, fitted on the training rows.
        leaderboard: of everything tried, best first.
        trial: the candidate's.
        threshold: the best threshold's, if one was searched for.
    """

    pipeline: Any
    leaderboard: pd.DataFrame
    trial: Trial
    threshold: Trial | None


@repairs.unrounded()
def search(experiment: Any, params: Train, journal: Journal | None = None) -> Result:
    """Find the best estimator by cross-validation: compare, then what `params` asks for.

    Each step begins with the best so far, and the best of all that was tried is the candidate.

    Args:
        experiment: PyCaret's experiment, set up.
        params: the block `train`.
        journal: where a search by Optuna writes what it tries; None keeps it in memory.

    Raises:
        ValueError: PyCaret has no such estimator or metric.
        RuntimeError: an estimator cannot be fitted.
        TypeError: PyCaret cannot do the step with this estimator.
    """
    journal = journal or Journal()
    if params.tune.iterations and params.tune.library == "optuna":
        journal.storage()  # what cannot be written is better known before the comparison
    with keep_answers(experiment) as trials:
        steps = Search(experiment, params, trials, journal)
        steps.compare()
        if params.tune.iterations and steps.has_time("tune"):
            steps.tune()
        if params.ensemble and steps.has_time(params.ensemble):
            steps.ensemble(params.ensemble)
        if params.blend:
            steps.blend()
        if params.stack > 1 and steps.has_time("stack"):
            steps.stack()
        if params.calibrate and steps.has_time("calibrate"):
            steps.calibrate(params.calibrate)
        if params.threshold and steps.has_time("threshold"):
            steps.threshold()
    if steps.is_cut_short:
        print(
            "train: what was tried depends on the speed of this machine, so another one may come "
            "to another candidate. To get the same everywhere, keep in params.yaml what was tried "
            "and set train.budget_minutes to null.",
            flush=True,
        )
    best = steps.best.trial
    print(f"train: the candidate is {steps.best.name}; fitting it on all training rows", flush=True)
    fitted, _ = experiment._create_model(
        best.estimator, cross_validation=False, predict=False, verbose=False, system=False
    )
    pipeline = experiment.pipeline
    whole = type(pipeline)([*pipeline.steps, ("actual_estimator", fitted)])
    return Result(whole, steps.board.table(), best, steps.threshold_trial)


class Search:
    """The steps, each of which adds to the leaderboard."""

    def __init__(self, experiment: Any, params: Train, trials: Trials, journal: Journal) -> None:
        self.experiment = experiment
        self.params = params
        self.trials = trials
        self.journal = journal
        self.board = Leaderboard(experiment, params.sort)
        self.entries: list[Entry] = []
        self.threshold_trial: Trial | None = None
        if params.budget_minutes is not None:
            trials.end = time.monotonic() + 60 * params.budget_minutes
        self.is_cut_short = False
        self.verbose = sys.stderr.isatty()

    @property
    def best(self) -> Entry:
        """The best so far."""
        return self.entries[self.board.ranking()[0]]

    def has_time(self, step: str) -> bool:
        """Whether the budget allows a further step; says so if not."""
        left = self.trials.seconds_left
        if left is None or left > 0:
            return True
        self.skip(step)
        return False

    def skip(self, what: str) -> None:
        """Say that something is not tried, for want of time."""
        print(f"train: {what:<9} not tried: train.budget_minutes is over", flush=True)
        self.is_cut_short = True

    def add(self, step: str, entry: Entry, note: str = "") -> None:
        """Put a trial on the leaderboard."""
        if entry.trial.is_cut_short:
            self.is_cut_short = True
            note += ": train.budget_minutes was over"
        self.board.add(entry.name, step, entry.trial.scores, note)
        self.entries.append(entry)

    def members(self) -> list[Entry]:
        """The best that was made of each candidate so far, best first."""
        best_of: dict[str, Entry] = {}
        for position in self.board.ranking():
            best_of.setdefault(self.entries[position].name, self.entries[position])
        return [one for one in best_of.values() if one.kind]

    def compare(self) -> None:
        """Cross-validate the candidates of `train.models`."""
        chosen = candidates(self.experiment, self.params.models)
        by_identity = {identity(one.estimator): one for one in chosen}

        def report(trial: Trial) -> None:
            one = by_identity[identity(trial.asked)]
            self.add("compare", Entry(one.name, one.kind, trial), one.note(trial.estimator))

        self.trials.report = report
        self.experiment.compare_models(
            include=[one.estimator for one in chosen],
            n_select=0,  # how many PyCaret also fits on all training rows
            sort=self.params.sort,
            budget_time=self.params.budget_minutes,
            errors="raise",
            verbose=self.verbose,
        )
        self.trials.report = None
        if self.params.models != "all":
            self.board.refuse_unscored()
        for one in chosen[len(self.entries) :]:
            self.skip(f"compare   {one.name}")

    def tune(self) -> None:
        """Search for hyperparameters, beginning with the best."""
        best, options = self.best, self.params.tune
        is_random = options.library == "random"
        tune = self.tune_at_random if is_random else self.tune_by_optuna
        if tune(best, options.iterations):
            trial = self.trials.done[-1]
            note = differences(best.trial.estimator, trial.estimator)
            self.add("tune", Entry(best.name, best.kind, trial), note)

    def tune_at_random(self, best: Entry, iterations: int) -> bool:
        """PyCaret's own search, over its own lists of values; true, for it tries some."""
        grid = repairs.plain_grid(self.experiment, best.kind)
        try:
            self.experiment.tune_model(
                best.trial.estimator,
                n_iter=iterations,
                custom_grid=grid,
                search_library="scikit-learn",
                optimize=self.params.sort,
                choose_better=False,
                verbose=self.verbose,
                tuner_verbose=False,
            )
        except CatBoostError as error:  # it takes no hyperparameter under two names
            raise ValueError(
                f"train.tune: {error} The search says {', '.join(grid)}: "
                "use these names in train.models."
            ) from error
        return True

    def tune_by_optuna(self, best: Entry, iterations: int) -> bool:
        """A search that learns from the sets before; returns whether a set was tried whole."""
        experiment = self.experiment
        scorer = experiment._get_metric_by_name_or_id(self.params.sort).scorer
        y = experiment.y_train

        def worth(folds: Sequence[Fold]) -> float:
            # As on the leaderboard: such a metric is of the folds whose rows have every label
            if self.params.sort in OF_PROBABILITIES:
                folds = [one for one in folds if y.iloc[one.rows].nunique() == y.nunique()]
            return mean_score(folds, y, scorer)

        features = self.trials.parts[0].X.shape[1]
        values = space(experiment, best.kind, best.trial.asked, features)
        if not values:
            print(f"train: tune      not tried: {best.name} has no hyperparameters", flush=True)
            return False
        tuning = Tuning(
            start=best.trial,
            space=values,
            trials=self.trials,
            iterations=iterations,
            worth=worth,
            sign=1 if self.board.higher_is_better else -1,
            seed=experiment.seed,
            n_jobs=self.params.n_jobs,
            journal=self.journal,
        )
        tuning.run()
        if tuning.count < iterations:
            self.skip(f"tune      sets {tuning.count + 1} to {iterations}")
        if tuning.best is None:
            return False
        # Where an earlier run fitted them, the folds are fitted anew
        estimator, self.trials.next_folds = tuning.best
        experiment.create_model(estimator, verbose=self.verbose)
        return True

    def ensemble(self, method: str) -> None:
        """Fit the best on many samples of the rows."""
        best = self.best
        self.experiment.ensemble_model(
            best.trial.estimator, method=method.capitalize(), verbose=self.verbose
        )
        self.add(method, Entry(best.name, best.kind, self.trials.done[-1]))

    def blend(self) -> None:
        """Average the best: a number of them, or those that a greedy selection takes."""
        members, weights = self.members(), None
        if self.params.blend == "greedy":
            members, weights = self.select(members)
        else:
            members = members[: self.params.blend]
        if len(members) < 2:
            print("train: blend     not tried: it would have one member", flush=True)
            return
        self.experiment.blend_models(
            [one.trial.estimator for one in members],
            weights=weights,
            optimize=self.params.sort,
            verbose=self.verbose,
        )
        shares = [f"{one:g} " for one in weights] if weights else [""] * len(members)
        note = ", ".join(f"{w}{one.name}" for w, one in zip(shares, members, strict=True))
        self.add("blend", Entry("blend", "", self.trials.done[-1]), note)

    def select(self, members: list[Entry]) -> tuple[list[Entry], list[float]]:
        """The members and weights of a greedy blend, whose folds are given to its trial."""
        experiment = self.experiment
        # The others can only vote, and PyCaret then lets all of them vote
        if any("predict_proba" in one.trial.folds[0].answers for one in members):
            members = [one for one in members if "predict_proba" in one.trial.folds[0].answers]
        scorer = experiment._get_metric_by_name_or_id(self.params.sort).scorer
        costs = [cost(one.trial.estimator, *experiment.X_train.shape) for one in members]
        taken, folds = select(
            [one.trial.folds for one in members], experiment.y_train, scorer, costs
        )
        if np.count_nonzero(taken) > 1 and self.trials.is_plain:
            self.trials.next_folds = folds
        pairs = [(one, int(times)) for one, times in zip(members, taken, strict=True) if times]
        return [one for one, _ in pairs], [times / taken.sum() for _, times in pairs]

    def stack(self) -> None:
        """Let a linear model weigh the best."""
        members = self.members()[: self.params.stack]
        if self.has_honest_folds:
            named = [(one.name, one.trial.estimator) for one in members]
            folds = [one.trial.folds for one in members]
            if not self.try_fixed("stack", partial(stacked, named, folds)):
                return
        else:
            self.experiment.stack_models(
                [one.trial.estimator for one in members],
                optimize=self.params.sort,
                verbose=self.verbose,
            )
        names = ", ".join(one.name for one in members)
        self.add("stack", Entry("stack", "", self.trials.done[-1]), names)

    def calibrate(self, method: str) -> None:
        """Make the probabilities of the best honest."""
        best = self.best
        if self.has_honest_folds:
            find = partial(calibrated, best.trial.estimator, best.trial.folds, method=method)
            if not self.try_fixed("calibrate", find):
                return
        else:
            self.experiment.calibrate_model(
                best.trial.estimator, method=method, verbose=self.verbose
            )
        self.add("calibrate", Entry(best.name, best.kind, self.trials.done[-1]), method)

    @property
    def has_honest_folds(self) -> bool:
        """The folds keep groups whole or follow time, which those inside scikit-learn do not."""
        return isinstance(self.experiment.fold_generator, GroupKFold | TimeSeriesSplit)

    def try_fixed(self, step: str, find: Callable[..., tuple[Any, list[Fold]]]) -> bool:
        """Try an estimator whose second step is found on its first step's folds, if it can be."""
        try:
            estimator, self.trials.next_folds = find(y=self.experiment.y_train)
        except MissingLabelError as error:
            print(f"train: {step:<9} not tried: {error}", flush=True)
            return False
        self.experiment.create_model(estimator, verbose=self.verbose)
        return True

    def threshold(self) -> None:
        """Search for the probability from which the best says the second class."""
        best = self.best
        estimator = repairs.optimize_threshold(
            self.experiment, best.trial.estimator, self.params.sort
        )
        trial = self.trials.of(estimator)
        self.add(
            "threshold",
            Entry(best.name, best.kind, trial),
            f"from {estimator.probability_threshold:.3f}",
        )
        self.threshold_trial = trial
