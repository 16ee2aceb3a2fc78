"""Compare the candidate estimators, tune and blend the best, keep the fitted pipeline.

$ python -m stages.train

Reads prepared/; writes model/candidate/pipeline.pkl (preprocessing and estimator, fitted on the
training rows) and model/candidate/leaderboard.csv (fold means and deviations).
"""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import joblib
import numpy as np
import pandas as pd
from catboost import CatBoostError

from stages.files import md5
from stages.params import Params, Train, read
from stages.prepare import PREPARED
from stages.schema import SCHEMA, TEST, TRAIN, Schema, read_prepared
from stages.tracking import CANDIDATE, STAGES, PyCaretLogger, Tracking, flat, lineage_tags
from stages.training.experiment import cluster, one_thread, save, start, unrounded

CANDIDATE_FOLDER = Path("model/candidate")
# What is done with the best estimators, in this order; the last one made is the candidate.
STEPS = (
    "compare",
    "tune",
    "bagging",
    "boosting",
    "blend",
    "stack",
    "calibrate",
    "threshold",
)


class Leaderboard:
    """Every estimator tried, with the mean and deviation of each metric over the folds."""

    def __init__(self, experiment: Any, sort: str) -> None:
        known = experiment.get_metrics().set_index("Display Name")["Greater is Better"]
        if sort not in known:
            raise ValueError(f"train.sort: PyCaret has no {sort!r}. It has {list(known.index)}.")
        self.sort = sort
        self.higher_is_better = bool(known[sort])
        self.rows: list[dict[str, Any]] = []

    def add(self, estimator: str, step: str, scores: pd.DataFrame) -> None:
        """Add an estimator by PyCaret's table of its folds, and show it.

        Raises:
            ValueError: no fold could be scored by `sort`.
        """
        row: dict[str, Any] = {"estimator": estimator, "step": step}
        for metric in scores.columns:
            row[metric] = scores.loc["Mean", metric]
            row[f"{metric} std"] = scores.loc["Std", metric]
        self.rows.append(row)
        mean, deviation = row[self.sort], row[f"{self.sort} std"]
        if np.isnan(mean):
            raise ValueError(
                f"train.sort: {estimator} has no mean {self.sort} over the folds. The AUC needs "
                "probabilities and a fold validated on rows of every label, R2 two rows in each "
                "fold. Take another metric, or fewer folds."
            )
        print(
            f"train: {step:<9} {estimator:<12} {self.sort} {mean:.5g} ± {deviation:.2g}", flush=True
        )

    def ranking(self) -> list[int]:
        """Positions of the estimators in the order of their adding, best first."""
        scores = pd.Series([row[self.sort] for row in self.rows])
        return list(scores.sort_values(ascending=not self.higher_is_better, kind="stable").index)

    def table(self) -> pd.DataFrame:
        """One row per estimator, best first."""
        return pd.DataFrame(self.rows).iloc[self.ranking()].reset_index(drop=True)


@unrounded()
def fit(experiment: Any, params: Train) -> tuple[Any, pd.DataFrame]:
    """Find the best estimator by cross-validation: compare, then what `params` asks for.

    Args:
        experiment: PyCaret's experiment, set up.
        params: the block `train`.

    Returns:
        The fitted pipeline of the last step, and the leaderboard of all.

    Raises:
        ValueError: PyCaret has no such estimator or metric.
        RuntimeError: an estimator cannot be fitted.
        TypeError: PyCaret cannot do the step with this estimator.
    """
    names, estimators = candidates(experiment, params.models)
    board = Leaderboard(experiment, params.sort)
    shown = sys.stderr.isatty()
    tried = experiment._master_model_container  # PyCaret's own record: estimator, fold scores

    selected = max(1, params.blend, params.stack)
    fitted_later = selected > 1 or params.tune.iterations or params.ensemble
    best = experiment.compare_models(
        include=estimators,
        n_select=0 if fitted_later else 1,  # how many PyCaret also fits on all training rows
        sort=params.sort,
        budget_time=params.budget_minutes,
        errors="raise",
        verbose=shown,
    )
    for name, entry in zip(names, tried, strict=False):  # fewer when time ran out
        board.add(name, "compare", entry["scores"])
    ranked = [tried[i]["model"] for i in board.ranking()[:selected]] if fitted_later else [best]
    if params.tune.iterations:
        ranked[0] = tune(experiment, ranked[0], params)
        board.add("best", "tune", scores_of(ranked[0], tried))
    best = ranked[0]
    if params.ensemble:
        best = experiment.ensemble_model(best, method=params.ensemble.capitalize(), verbose=shown)
        board.add("best", params.ensemble, tried[-1]["scores"])
        ranked[0] = best
    if params.blend > 1:
        best = experiment.blend_models(ranked, optimize=params.sort, verbose=shown)
        board.add(f"best {len(ranked)}", "blend", tried[-1]["scores"])
    if params.stack > 1:
        best = experiment.stack_models(ranked, optimize=params.sort, verbose=shown)
        board.add(f"best {len(ranked)}", "stack", tried[-1]["scores"])
    if params.calibrate:
        best = experiment.calibrate_model(best, method=params.calibrate, verbose=shown)
        board.add("best", "calibrate", tried[-1]["scores"])
    if params.threshold:
        best = optimize_threshold(experiment, best, params.sort)
        chosen = best.probability_threshold
        scores = next(
            entry["scores"]
            for entry in reversed(tried)
            if getattr(entry["model"], "probability_threshold", None) == chosen
        )
        board.add(f"at {chosen:.3f}", "threshold", scores)
    pipeline = experiment.pipeline
    return type(pipeline)([*pipeline.steps, ("actual_estimator", best)]), board.table()


def tune(experiment: Any, estimator: Any, params: Train) -> Any:
    """The best of `estimator` and of what the search for hyperparameters tries, fitted.

    Raises:
        ValueError: a hyperparameter of `train.models` is one that the search knows by another name.
    """
    known_models = experiment._all_models_internal
    for known in known_models.values():
        # CatBoost turns NumPy's numbers into Python's; scikit-learn then refuses to clone it
        known.tune_grid = {
            name: [value.item() if isinstance(value, np.generic) else value for value in values]
            for name, values in known.tune_grid.items()
        }
    try:
        return experiment.tune_model(
            estimator,
            n_iter=params.tune.iterations,
            search_library={"random": "scikit-learn", "optuna": "optuna"}[params.tune.library],
            optimize=params.sort,
            choose_better=True,
            verbose=sys.stderr.isatty(),
            tuner_verbose=False,
        )
    except CatBoostError as error:  # it takes no hyperparameter under two names
        raise ValueError(
            f"train.tune: {error} The search says {', '.join(known_models['catboost'].tune_grid)}: "
            "use these names in train.models."
        ) from error


def scores_of(estimator: Any, tried: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """PyCaret's table of the folds of the newest try with these hyperparameters.

    After a search the last try is the estimator that it began with, whichever of them won.
    """
    wanted = str(estimator.get_params())
    same = (entry for entry in reversed(tried) if str(entry["model"].get_params()) == wanted)
    scores: pd.DataFrame = next(same)["scores"]
    return scores


def candidates(
    experiment: Any, models: Sequence[str | dict[str, dict[str, Any]]]
) -> tuple[list[str], list[Any]]:
    """The names of `train.models`, and what PyCaret compares: a name, or an estimator made.

    Raises:
        ValueError: PyCaret has no such estimator, or the estimator no such hyperparameter.
    """
    known = experiment._all_models_internal
    names, estimators = [], []
    for model in models:
        name, own = (model, {}) if isinstance(model, str) else next(iter(model.items()))
        if name not in experiment.models().index:
            raise ValueError(
                f"train.models: PyCaret has no {name!r}. It has "
                f"{sorted(experiment.models().index)}."
            )
        names.append(name)
        if not own:
            estimators.append(name)
            continue
        try:
            estimators.append(known[name].class_def(**{**known[name].args, **own}))
        except TypeError as error:
            raise ValueError(f"train.models: {name}: {error}.") from error
    return names, estimators


def candidate(leaderboard: pd.DataFrame) -> pd.Series:
    """The candidate's row of the leaderboard, best first: its latest step's best."""
    return leaderboard.loc[leaderboard["step"].map(STEPS.index).idxmax()]


def optimize_threshold(experiment: Any, estimator: Any, sort: str) -> Any:
    """PyCaret's threshold search, without the browser window that it opens.

    It fits everything anew for each threshold, though only answers depend on it: what was fitted
    on the same rows is taken again.
    """
    from pycaret.internal.meta_estimators import CustomProbabilityThresholdClassifier

    fit, known = CustomProbabilityThresholdClassifier.fit, {}

    def fit_once(self: Any, X: pd.DataFrame, y: pd.Series, **how: Any) -> Any:
        rows = joblib.hash((X, y, how))
        if rows not in known:
            known[rows] = fit(self, X, y, **how).classifier_
        self.classifier_ = known[rows]
        return self

    with (
        patch("plotly.graph_objects.Figure.show"),
        patch.multiple(
            CustomProbabilityThresholdClassifier,
            fit=fit_once,
            __iter__=None,  # PyCaret puts it into a table, and pandas takes a forest for a list
            create=True,
        ),
        patch.object(experiment, "n_jobs_param", 1),  # other processes would know of no fit
    ):
        # Fitted before the search, which puts a RandomState of one seed in place of NumPy's: a
        # forest would have one tree again and again, a stack could not be fitted at all
        experiment._create_model(estimator, probability_threshold=0.5, verbose=False, system=False)
        return experiment.optimize_threshold(estimator, optimize=sort, verbose=False)


def main() -> None:
    """Run the stage."""
    params = read("train")
    schema = Schema.read(PREPARED)
    train = read_prepared(PREPARED / TRAIN, schema)
    test = read_prepared(PREPARED / TEST, schema)
    tracking = Tracking(params.base.name)
    run = tracking.start("train", {**lineage_tags(), "prepared_md5": md5(PREPARED)})
    tracking.log(run, params=flat(params.model_dump()))
    tracking.log_dataset(
        run, params.base.name, md5(PREPARED), (PREPARED / SCHEMA).read_text(), len(train)
    )
    warnings.filterwarnings("ignore", module="pycaret|sklearn|joblib")  # shown to no one's use
    with one_thread():
        logger = PyCaretLogger(tracking, run)
        try:
            experiment = start(train, test, schema, params.train, params.base.seed, logger)
            with cluster(params.train.parallel):
                pipeline, leaderboard = fit(experiment, params.train)
            if params.train.threshold:
                log_threshold(logger, pipeline, leaderboard)
        except (ValueError, RuntimeError, TypeError) as error:
            tracking.finish(run, "FAILED")
            sys.exit(f"train: {error}")
    CANDIDATE_FOLDER.mkdir(parents=True, exist_ok=True)
    save(experiment, pipeline, CANDIDATE_FOLDER / "pipeline.pkl")
    leaderboard.to_csv(CANDIDATE_FOLDER / "leaderboard.csv", index=False)
    log(tracking, run, leaderboard, params)


def log_threshold(logger: PyCaretLogger, pipeline: Any, leaderboard: pd.DataFrame) -> None:
    """Add the nested run of the search for a threshold, the one step that PyCaret does not log."""
    row = leaderboard[leaderboard["step"] == "threshold"].iloc[0]
    logger.init_experiment("threshold", setup=False)
    logger.log_params({"probability_threshold": pipeline.steps[-1][1].probability_threshold})
    logger.log_metrics({name: row[name] for name in row.index if f"{name} std" in row.index})
    logger.tracking.log(logger.run, tags={"step": "optimize_threshold"})
    logger.finish_experiment()


def log(tracking: Tracking, run: str | None, leaderboard: pd.DataFrame, params: Params) -> None:
    """Complete the parent run: the candidate's fold scores, the leaderboard, the content's md5."""
    scores = candidate(leaderboard).drop(["estimator", "step"]).to_dict()
    tracking.log(run, metrics={f"cv_{key.replace(' ', '_')}": v for key, v in scores.items()})
    tracking.log_file(run, CANDIDATE_FOLDER / "leaderboard.csv")
    tracking.log(run, tags={CANDIDATE: md5(CANDIDATE_FOLDER), STAGES: "train"})
    tracking.finish(run)
    if run is not None and tracking.lost is None:
        print(f"train: MLflow run {tracking.address(run)}")


if __name__ == "__main__":
    main()
