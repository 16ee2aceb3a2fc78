"""Judge the candidate on the holdout, beside two baselines, and guard the way to deployment.

$ python -m stages.evaluate

Reads prepared/ and model/candidate/; writes reports/metrics.json and reports/plots/*.csv. Ends
with an error, and so stops the pipeline, when the candidate misses `evaluate.gate`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from stages.baselines import baselines
from stages.conformal import first_half, prediction_interval
from stages.experiment import one_thread
from stages.figures import draw
from stages.fingerprint import md5
from stages.importance import importance
from stages.inflation import IncomparableError, inflation
from stages.metrics import METRICS, answers, gate, score
from stages.params import Params, read
from stages.plots import calibration, labels, residuals, validation, write_tables
from stages.prepare import PREPARED
from stages.resampling import bootstrap
from stages.schema import TEST, TRAIN, Schema, encode_target, model_frame, read_prepared
from stages.slices import row_errors, worst_slices
from stages.tracking import Tracking, add_figures, flat
from stages.train import CANDIDATE_FOLDER

PLOTS = Path("reports/plots")
# What `train` does with the best estimators, in this order; the last one made is the candidate.
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
SAMPLE = 1000  # rows drawn from the holdout for scatter plots and for permutation importance

Judgement = tuple[dict[str, Any], dict[str, pd.DataFrame]]


def judge(
    pipeline: Any, train: pd.DataFrame, test: pd.DataFrame, schema: Schema, seed: int
) -> Judgement:
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
    predicted, probabilities = answers(pipeline, X)
    units = drawn_units(test, schema)
    report: dict[str, Any] = {
        "model": score(schema.task, actual, predicted, probabilities),
        "interval": bootstrap(schema.task, actual, predicted, probabilities, units, seed),
        "baseline": {},
        "rows": {"train": len(train), "holdout": len(test)},
    }
    for name, baseline in baselines(schema.task, seed).items():
        baseline.fit(model_frame(train, schema), encode_target(train, schema))
        report["baseline"][name] = score(schema.task, actual, *answers(baseline, X))
    sample = np.sort(np.random.default_rng(seed).permutation(len(test))[:SAMPLE])
    tables = {
        "importance": importance(pipeline, X.iloc[sample], y.iloc[sample], schema, seed),
        "slices": worst_slices(test, row_errors(actual, predicted, schema.task), schema),
    }
    if not tables["slices"].empty:
        worst = tables["slices"].iloc[0]
        report["worst_slice"] = {key: float(worst[key]) for key in ("error", "ratio", "rows")}
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


def fold_scores(leaderboard: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Mean and deviation of the candidate's scores over the training folds, by PyCaret's names.

    Args:
        leaderboard: from `train`, best first. The candidate is its latest step's best row.
    """
    latest = leaderboard["step"].map({step: i for i, step in enumerate(STEPS)}).idxmax()
    candidate = leaderboard.loc[latest]
    return {
        name.lower().strip("."): {
            "mean": float(candidate[name]),
            "std": float(candidate[f"{name} std"]),
        }
        for name in leaderboard.columns
        if f"{name} std" in leaderboard.columns
    }


def compare(
    pipeline: Any, train: pd.DataFrame, test: pd.DataFrame, schema: Schema, params: Params
) -> Judgement:
    """The honest and the flattering cross-validation, where the split knows groups or time."""
    if schema.strategy not in {"group", "time"}:
        return {}, {}
    rows = pd.concat([train, test], ignore_index=True)
    folds, n_jobs = params.train.folds, params.train.n_jobs
    try:
        report = inflation(pipeline, rows, schema, folds, params.base.seed, n_jobs)
    except IncomparableError as error:
        print(f"evaluate: the flattering score is not measured: {error}")
        return {}, {}
    return report, {"validation": validation(report, schema.strategy, params.evaluate.gate.metric)}


def main() -> None:
    """Run the stage."""
    params = read("evaluate")
    schema = Schema.read(PREPARED)
    train = read_prepared(PREPARED / TRAIN, schema)
    test = read_prepared(PREPARED / TEST, schema)
    pipeline = joblib.load(CANDIDATE_FOLDER / "pipeline.pkl")
    with one_thread():
        report, tables = judge(pipeline, train, test, schema, params.base.seed)
        more, further = compare(pipeline, train, test, schema, params)
    report["folds"] = fold_scores(pd.read_csv(CANDIDATE_FOLDER / "leaderboard.csv"))
    report |= more
    tables |= further
    write_tables(tables, PLOTS)
    METRICS.write_text(json.dumps(report, indent=2) + "\n")
    log(params.base.name, report, tables, schema)
    show(report)
    try:
        reasons = gate(report, params.evaluate.gate)
    except ValueError as error:
        sys.exit(f"evaluate: {error}")
    if reasons:
        sys.exit(
            "evaluate: the candidate is not good enough, and nothing is deployed:\n  "
            + "\n  ".join(reasons)
        )


def show(report: Mapping[str, Any]) -> None:
    """Print the scores beside each other."""
    scores = {"model": report["model"], **report["baseline"]}
    scores |= {name: report[name]["mean"] for name in ("honest", "flattering") if name in report}
    for name, values in scores.items():
        shown = "  ".join(f"{metric} {value:.5g}" for metric, value in values.items())
        print(f"evaluate: {name:<10} {shown}")
    if "inflation_percent" in report:
        metric, value = next(iter(report["inflation_percent"].items()))
        print(f"evaluate: random folds make {metric} look {value:.1f} % better than it is")


def log(
    experiment: str, report: dict[str, Any], tables: Mapping[str, pd.DataFrame], schema: Schema
) -> None:
    """Add the holdout's metrics and plots to the training's run."""
    tracking = Tracking(experiment)
    run = tracking.find(md5(CANDIDATE_FOLDER))
    if run is None:
        return
    run_id = run.info.run_id
    tracking.log(run_id, metrics=flat(report))
    tracking.log_file(run_id, METRICS)
    for path in sorted(PLOTS.glob("*.csv")):
        tracking.log_file(run_id, path, "plots")
    add_figures(tracking, run_id, draw(tables, schema))
    tracking.add_stage(run, "evaluate")


if __name__ == "__main__":
    main()
