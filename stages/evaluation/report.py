"""What the holdout tells of the candidate, and what the training folds told."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from app.model.manifest import Task
from stages.evaluation.baselines import baselines
from stages.evaluation.bootstrap import bootstrap, interval
from stages.evaluation.conformal import Answers, learn, measure, of_folds
from stages.evaluation.gate import better, kept, refuse_unmeasured
from stages.evaluation.importance import importance
from stages.evaluation.metrics import METRICS, Outcome, predictions, score, weighted
from stages.evaluation.plot_tables import calibration, labels, residuals
from stages.evaluation.slices import row_errors, worst_slices
from stages.params import Gate
from stages.schema import Schema, encode_target, model_frame

STRETCHES = 50  # of a holdout by time
SAMPLE = 1000  # rows drawn from the holdout for scatter plots and for permutation importance

Report = tuple[dict[str, Any], dict[str, pd.DataFrame]]


def holdout_report(
    pipeline: Any,
    train: pd.DataFrame,
    test: pd.DataFrame,
    folds: pd.DataFrame,
    schema: Schema,
    gate: Gate,
    seed: int,
) -> Report:
    """Everything that one set of answers on the holdout tells.

    Args:
        pipeline: the candidate, fitted on the training rows.
        train: prepared training rows, for the baselines.
        test: prepared holdout rows.
        folds: what the candidate answered in the folds of `train`; see `conformal.of_folds`.
        schema: the tables' schema.
        gate: the block `evaluate.gate`, whose metric tells the candidate from the baselines.
        seed: of the baselines and of every draw.

    Returns:
        The report (numbers only, nested) and the plot tables.

    Raises:
        ValueError: a prediction is missing, or the gate's metric is not measured.
    """
    X, y = model_frame(test, schema), encode_target(test, schema)
    actual = y.to_numpy()
    predicted, probabilities = predictions(pipeline, X)
    report: dict[str, Any] = {"model": score(schema.task, actual, predicted, probabilities)}
    refuse_unmeasured(report["model"], gate.metric)
    others = {}
    for name, baseline in baselines(schema.task, seed).items():
        baseline.fit(model_frame(train, schema), encode_target(train, schema))
        others[name] = Outcome(actual, *predictions(baseline, X))
    model = Outcome(actual, predicted, probabilities)
    units = drawn_units(test, schema)
    report |= comparison(schema.task, model, others, gate, units, seed)
    report["rows"] = {"train": len(train), "holdout": len(test)}
    sample = np.sort(np.random.default_rng(seed).permutation(len(test))[:SAMPLE])
    tables = {
        "importance": importance(pipeline, X.iloc[sample], y.iloc[sample], schema, seed),
        "slices": worst_slices(test, row_errors(actual, predicted, schema.task), schema),
    }
    if not tables["slices"].empty:
        worst = tables["slices"].iloc[0]
        # DVC takes a metric of the name `error` for its own failure to read the file
        report["worst_slice"] = {"loss": float(worst["error"])}
        report["worst_slice"] |= {key: float(worst[key]) for key in ("ratio", "rows")}
    intervals = learn(of_folds(folds, train, schema), schema.task)
    if intervals is not None:
        answers = Answers(actual, predicted, probabilities, group_numbers(test, schema))
        report["prediction_interval"] = measure(intervals, answers)
        report["prediction_interval"]["calibration_rows"] = len(folds)
    if schema.task == "regression":
        tables["residuals"] = residuals(actual[sample], predicted[sample])
    else:
        tables["labels"] = labels(actual, predicted, schema)
        if probabilities is not None:
            tables["calibration"] = calibration(actual, probabilities)
    return report, tables


def comparison(
    task: Task,
    model: Outcome,
    others: Mapping[str, Outcome],
    gate: Gate,
    units: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """The candidate beside the baselines, on the holdout and on resamples of it.

    Args:
        task: regression or classification.
        model: the candidate's answers.
        others: the baselines'.
        gate: whose metric and limit are looked at.
        units: of the bootstrap, shape (rows,).
        seed: of the bootstrap.

    Returns:
        `interval` of each metric; `baseline`: the metrics of each; `gain`: how much better than
        each baseline the candidate is by the gate's metric, with an interval; `limit`: the share
        of resamples that keep it, if there is one.
    """
    metric, formula = gate.metric, METRICS[gate.metric].formula

    def gains(values: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        return {
            name: better(metric, values, formula(other, weights)) for name, other in others.items()
        }

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        values = weighted(task, model, weights)
        return values | gains(values[metric], weights)

    resampled = bootstrap(measure, units, seed)
    whole = np.ones((1, len(units)))
    report: dict[str, Any] = {
        "interval": {
            name: interval(values) for name, values in resampled.items() if name not in others
        },
        "baseline": {
            name: score(task, other.actual, other.predicted, other.probabilities)
            for name, other in others.items()
        },
        "gain": {
            name: {"value": float(value)} | (interval(resampled[name]) if resampled else {})
            for name, (value,) in gains(formula(model, whole), whole).items()
        },
    }
    if gate.limit is not None and resampled:
        report["limit"] = {"kept": kept(resampled[metric], gate)}
    return report


def drawn_units(test: pd.DataFrame, schema: Schema) -> np.ndarray:
    """The number, from 0, of what is drawn with each row: its group, its stretch of time, itself.

    Rows near in time err alike, so whole stretches are drawn, as Künsch (1989) does for series.
    """
    if schema.strategy == "time":  # the holdout is in its order
        count = len(test)
        return np.arange(count) * min(STRETCHES, count) // count
    return group_numbers(test, schema)


def group_numbers(test: pd.DataFrame, schema: Schema) -> np.ndarray:
    """The number, from 0, of each row's group; of the row itself where there are none."""
    if schema.strategy == "group":
        return pd.factorize(test[schema.split_column], use_na_sentinel=False)[0]
    return np.arange(len(test))
