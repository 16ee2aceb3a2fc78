"""The search for the best estimator: compare the candidates, then tune, ensemble and so on."""

import sys
from collections.abc import Sequence
from typing import Any

import pandas as pd
from catboost import CatBoostError

from stages.params import Train
from stages.training import repairs
from stages.training.leaderboard import Leaderboard

Tries = Sequence[dict[str, Any]]  # PyCaret's own record: each estimator and its fold scores


@repairs.unrounded()
def search(experiment: Any, params: Train) -> tuple[Any, pd.DataFrame]:
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
    verbose = sys.stderr.isatty()
    tries: Tries = experiment._master_model_container

    members = max(1, params.blend, params.stack)
    fitted_later = members > 1 or params.tune.iterations or params.ensemble
    best = experiment.compare_models(
        include=estimators,
        n_select=0 if fitted_later else 1,  # how many PyCaret also fits on all training rows
        sort=params.sort,
        budget_time=params.budget_minutes,
        errors="raise",
        verbose=verbose,
    )
    for name, entry in zip(names, tries, strict=False):  # fewer when time ran out
        board.add(name, "compare", entry["scores"])
    ranking = board.ranking()
    ranked = [tries[i]["model"] for i in ranking[:members]] if fitted_later else [best]
    if params.tune.iterations:
        ranked[0] = tune(experiment, names[ranking[0]], ranked[0], params)
        board.add("best", "tune", scores_of(ranked[0], tries))
    best = ranked[0]
    if params.ensemble:
        best = experiment.ensemble_model(best, method=params.ensemble.capitalize(), verbose=verbose)
        board.add("best", params.ensemble, tries[-1]["scores"])
        ranked[0] = best
    if params.blend > 1:
        best = experiment.blend_models(ranked, optimize=params.sort, verbose=verbose)
        board.add(f"best {len(ranked)}", "blend", tries[-1]["scores"])
    if params.stack > 1:
        best = experiment.stack_models(ranked, optimize=params.sort, verbose=verbose)
        board.add(f"best {len(ranked)}", "stack", tries[-1]["scores"])
    if params.calibrate:
        best = experiment.calibrate_model(best, method=params.calibrate, verbose=verbose)
        board.add("best", "calibrate", tries[-1]["scores"])
    if params.threshold:
        best = repairs.optimize_threshold(experiment, best, params.sort)
        threshold = best.probability_threshold
        scores = next(
            entry["scores"]
            for entry in reversed(tries)
            if getattr(entry["model"], "probability_threshold", None) == threshold
        )
        board.add(f"at {threshold:.3f}", "threshold", scores)
    pipeline = experiment.pipeline
    return type(pipeline)([*pipeline.steps, ("actual_estimator", best)]), board.table()


def candidates(
    experiment: Any, models: Sequence[str | dict[str, dict[str, Any]]]
) -> tuple[list[str], list[Any]]:
    """The names of `train.models`, and what PyCaret compares: a name, or an estimator made.

    Raises:
        ValueError: PyCaret has no such estimator, or the estimator no such hyperparameter.
    """
    library = experiment._all_models_internal
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
            estimators.append(library[name].class_def(**{**library[name].args, **own}))
        except TypeError as error:
            raise ValueError(f"train.models: {name}: {error}.") from error
    return names, estimators


def tune(experiment: Any, name: str, estimator: Any, params: Train) -> Any:
    """The best of `estimator` and of what the search for hyperparameters tries, fitted.

    Args:
        experiment: PyCaret's experiment, set up.
        name: of the estimator, as `train.models` has it.
        estimator: where the search begins.
        params: the block `train`.

    Raises:
        ValueError: a hyperparameter of `train.models` is one that the search knows by another name.
    """
    is_random = params.tune.library == "random"
    grid = repairs.plain_grid(experiment, name)
    try:
        return experiment.tune_model(
            estimator,
            n_iter=params.tune.iterations,
            custom_grid=grid if is_random else None,
            search_library="scikit-learn" if is_random else "optuna",
            optimize=params.sort,
            choose_better=True,
            verbose=sys.stderr.isatty(),
            tuner_verbose=False,
        )
    except CatBoostError as error:  # it takes no hyperparameter under two names
        raise ValueError(
            f"train.tune: {error} The search says {', '.join(grid)}: "
            "use these names in train.models."
        ) from error


def scores_of(estimator: Any, tries: Tries) -> pd.DataFrame:
    """PyCaret's table of the folds of the newest try with these hyperparameters.

    After a search the last try is the estimator that it began with, whichever of them won.
    """
    hyperparameters = str(estimator.get_params())
    same = (
        entry for entry in reversed(tries) if str(entry["model"].get_params()) == hyperparameters
    )
    scores: pd.DataFrame = next(same)["scores"]
    return scores
