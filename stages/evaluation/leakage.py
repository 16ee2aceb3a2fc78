"""What a careless validation would have promised, beside the honest one.

Where rows come in groups or in time, random folds let the model see the neighbours of each row
that it is asked about. The same pipeline is cross-validated both ways over all rows.
"""

from collections.abc import Mapping
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold

from stages.evaluation.metrics import METRICS, in_float64, score
from stages.schema import Schema, encode_target, model_frame
from stages.training.answers import Answers, Fold, answer
from stages.training.folds import Folds, honest_folds, unknown_label
from stages.training.steps.second import MissingLabelError, again, first_steps
from stages.training.threads import quietly


class IncomparableError(ValueError):
    """The two validations cannot be compared on this table; the message says why."""


def leakage(
    pipeline: Any, frame: pd.DataFrame, schema: Schema, folds: int, seed: int, n_jobs: int
) -> dict[str, Any]:
    """Cross-validate unfitted copies of a pipeline by the split's strategy, and by random folds.

    Args:
        pipeline: the candidate.
        frame: all prepared rows, by time where that is the strategy.
        schema: the tables' schema; its strategy is `group` or `time`.
        folds: number of folds, the same for both.
        seed: of the random folds.
        n_jobs: fits side by side, each on one thread; does not change the result.

    Returns:
        `honest` and `flattering`, each with `mean` and `std` over the folds and `pooled` (one
        score over all rows answered); `inflation_percent`: how much better the flattering mean
        looks, relative to the honest one.

    Raises:
        IncomparableError: there are fewer groups than folds, a fold would train without a class,
            or too few folds answer rows of one for a stack or a calibration.
    """
    groups = frame[schema.split_column].nunique(dropna=False)
    if schema.strategy == "group" and groups < folds:
        raise IncomparableError(f"{folds} folds need as many groups, there are {groups}")
    X, y = model_frame(frame, schema), encode_target(frame, schema)
    plans = {
        "honest": honest_folds(frame, schema, folds),
        "flattering": random_folds(y, schema, folds, seed),
    }
    if schema.task == "classification":
        for name, plan in plans.items():
            unknown = unknown_label(plan, frame[schema.target])
            if unknown is not None:
                number, label = unknown
                raise IncomparableError(f"{name} fold {number} would train without {label!r}")
    estimator = last_step(pipeline)
    firsts = [with_last_step(pipeline, one) for one in first_steps(estimator)]
    tasks = [
        (name, first, train, test)
        for name, plan in plans.items()
        for first in range(len(firsts))
        for train, test in plan
    ]
    answered = joblib.Parallel(n_jobs=n_jobs, max_nbytes=None)(
        joblib.delayed(quietly)(
            fold, clone(firsts[first]), X.iloc[train], y.iloc[train], X.iloc[test]
        )
        for _, first, train, test in tasks
    )
    report: dict[str, Any] = {}
    for name in plans:
        by_first: list[list[Fold]] = [[] for _ in firsts]
        for (other, first, _, test), answers in zip(tasks, answered, strict=True):
            if other == name:
                by_first[first].append(Fold(test, answers))
        try:
            # What `train` found on all these rows would know each fold's own labels
            folds_of = again(estimator, iter(by_first), y)
        except MissingLabelError as error:
            raise IncomparableError(f"by {name} folds {error}") from error
        report[name] = summary(
            [(y.to_numpy()[one.rows], *in_float64(one.answers)) for one in folds_of], schema
        )
    report["inflation_percent"] = percent(report["honest"]["mean"], report["flattering"]["mean"])
    return report


def random_folds(y: pd.Series, schema: Schema, count: int, seed: int) -> Folds:
    """Folds that know of no groups and no time."""
    kind = KFold if schema.task == "regression" else StratifiedKFold
    return list(kind(count, shuffle=True, random_state=seed).split(y, y))


def last_step(pipeline: Any) -> Any:
    """The estimator of a pipeline, or what is no pipeline."""
    return pipeline.steps[-1][1] if hasattr(pipeline, "steps") else pipeline


def with_last_step(pipeline: Any, estimator: Any) -> Any:
    """A pipeline, not fitted, with another estimator at its end."""
    if not hasattr(pipeline, "steps"):
        return clone(estimator)
    other = clone(pipeline)
    other.steps[-1] = (other.steps[-1][0], clone(estimator))
    return other


def fold(pipeline: Any, X: pd.DataFrame, y: pd.Series, test: pd.DataFrame) -> Answers:
    """Fit on a fold's training rows and answer its others."""
    pipeline.fit(X.reset_index(drop=True), y.reset_index(drop=True))
    return answer(pipeline, test.reset_index(drop=True))


def summary(
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]], schema: Schema
) -> dict[str, dict[str, float]]:
    """Scores of folds: `mean` and `std` (of those that have the metric) and `pooled`."""
    scores = pd.DataFrame([score(schema.task, *part) for part in parts])
    actual, predicted, probabilities = zip(*parts, strict=True)
    chances = None if probabilities[0] is None else np.concatenate(probabilities)
    pooled = score(schema.task, np.concatenate(actual), np.concatenate(predicted), chances)
    return {
        "mean": scores.mean().to_dict(),
        "std": scores.std(ddof=0).to_dict(),
        "pooled": pooled,
    }


def percent(honest: Mapping[str, float], flattering: Mapping[str, float]) -> dict[str, float]:
    """How much better each flattering score looks, in percent of the honest one."""
    percents = {}
    for metric, value in honest.items():
        if value and metric in flattering:
            gain = (flattering[metric] - value) / abs(value)
            percents[metric] = 100 * (gain if METRICS[metric].higher_is_better else -gain)
    return percents
