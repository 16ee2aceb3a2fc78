"""What the holdout tells of the candidate, and what the training folds told."""

from typing import Any

import numpy as np
import pandas as pd

from stages.evaluation.baselines import baselines
from stages.evaluation.bootstrap import bootstrap
from stages.evaluation.conformal import first_half, prediction_interval
from stages.evaluation.importance import importance
from stages.evaluation.metrics import predictions, score
from stages.evaluation.plot_tables import calibration, labels, residuals
from stages.evaluation.slices import row_errors, worst_slices
from stages.schema import Schema, encode_target, model_frame

SAMPLE = 1000  # rows drawn from the holdout for scatter plots and for permutation importance

Report = tuple[dict[str, Any], dict[str, pd.DataFrame]]


def holdout_report(
    pipeline: Any, train: pd.DataFrame, test: pd.DataFrame, schema: Schema, seed: int
) -> Report:
    """Everything that one set of answers on the holdout tells.

    Args:
        pipeline: the candidate, fitted on the training rows.
        train: prepared training rows, for the baselines.
        test: prepared holdout rows.
        schema: the tables' schema.
        seed: of the baselines and of every draw.

    Returns:
        The report (numbers only, nested) and the plot tables.
    """
    X, y = model_frame(test, schema), encode_target(test, schema)
    actual = y.to_numpy()
    predicted, probabilities = predictions(pipeline, X)
    units = drawn_units(test, schema)
    report: dict[str, Any] = {
        "model": score(schema.task, actual, predicted, probabilities),
        "interval": bootstrap(schema.task, actual, predicted, probabilities, units, seed),
        "baseline": {},
        "rows": {"train": len(train), "holdout": len(test)},
    }
    for name, baseline in baselines(schema.task, seed).items():
        baseline.fit(model_frame(train, schema), encode_target(train, schema))
        report["baseline"][name] = score(schema.task, actual, *predictions(baseline, X))
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
    if schema.task == "regression":
        first = first_half(units, seed=None if schema.strategy == "time" else seed)
        report["prediction_interval"] = prediction_interval(actual, predicted, first)
        tables["residuals"] = residuals(actual[sample], predicted[sample])
    else:
        tables["labels"] = labels(actual, predicted, schema)
        if probabilities is not None:
            tables["calibration"] = calibration(actual, probabilities)
    return report, tables


def drawn_units(test: pd.DataFrame, schema: Schema) -> np.ndarray:
    """The number, from 0, of each row's group; of the row itself where there are none."""
    if schema.strategy == "group":
        return pd.factorize(test[schema.split_column], use_na_sentinel=False)[0]
    return np.arange(len(test))
