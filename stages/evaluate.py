"""Judge the candidate on the holdout, beside two baselines, and guard the way to deployment.

$ python -m stages evaluate

Reads prepared/ and model/candidate/; writes reports/metrics.json and reports/plots/*.csv. Ends
with an error, and so stops the pipeline, when the candidate misses `evaluate.gate`.
"""

import sys
from collections.abc import Mapping
from typing import Any

import joblib
import pandas as pd

from stages.arithmetic import launch
from stages.evaluation.gate import between, doubts_about, reasons_against, sureness
from stages.evaluation.leakage import IncomparableError, leakage
from stages.evaluation.plot_images import draw
from stages.evaluation.plot_tables import validation, write_tables
from stages.evaluation.report import Report, holdout_report
from stages.files import (
    CANDIDATE,
    FOLDS,
    LEADERBOARD,
    METRICS,
    PIPELINE,
    PLOTS,
    SCHEMA,
    TEST,
    TRAIN,
    md5,
    write_report,
)
from stages.params import Gate, Params, read
from stages.schema import Schema, read_prepared
from stages.tracking import NOTE_TAG, Tracking, add_figures, flat
from stages.training.leaderboard import fold_scores
from stages.training.note import page, title
from stages.training.threads import one_thread


def compare(
    pipeline: Any, train: pd.DataFrame, test: pd.DataFrame, schema: Schema, params: Params
) -> Report:
    """The honest and the flattering cross-validation, where the split knows groups or time."""
    if schema.strategy not in {"group", "time"}:
        return {}, {}
    rows = pd.concat([train, test])
    if schema.strategy == "group":
        # As in the raw table, so that the random folds are those that others publish
        rows = rows.sort_index()
    folds, n_jobs = params.train.folds, params.train.n_jobs
    try:
        report = leakage(pipeline, rows, schema, folds, params.base.seed, n_jobs)
    except IncomparableError as error:
        print(f"evaluate: the flattering score is not measured: {error}")
        return {}, {}
    return report, {"validation": validation(report, schema.strategy, params.evaluate.gate.metric)}


def main() -> None:
    """Run the stage."""
    params = read("evaluate")
    schema = Schema.read(SCHEMA)
    train = read_prepared(TRAIN, schema)
    test = read_prepared(TEST, schema)
    pipeline = joblib.load(PIPELINE)
    with one_thread():
        try:
            report, tables = holdout_report(
                pipeline,
                train,
                test,
                pd.read_csv(FOLDS),
                schema,
                params.evaluate.gate,
                params.base.seed,
            )
        except ValueError as error:
            sys.exit(f"evaluate: {error}")
        more, further = compare(pipeline, train, test, schema, params)
    leaderboard = pd.read_csv(LEADERBOARD)
    report["folds"] = fold_scores(leaderboard)
    report |= more
    tables |= further
    write_tables(tables, PLOTS)
    write_report(METRICS, report)
    log(params, report, tables, schema, pipeline.steps[-1][1], leaderboard)
    show(report, params.evaluate.gate)
    reasons = reasons_against(report, params.evaluate.gate)
    if reasons:
        sys.exit(
            "evaluate: the candidate is not good enough, and nothing is deployed:\n  "
            + "\n  ".join(reasons)
            + "\nFind a better one with train.models, train.preprocess or train.tune, or demand "
            "less with evaluate.gate."
        )


def show(report: Mapping[str, Any], gate: Gate) -> None:
    """Print the scores beside each other, and how sure they are."""
    scores = {"model": report["model"], **report["baseline"]}
    scores |= {name: report[name]["mean"] for name in ("honest", "flattering") if name in report}
    for name, values in scores.items():
        line = "  ".join(f"{metric} {value:.5g}" for metric, value in values.items())
        print(f"evaluate: {name:<10} {line}")
    for name, gain in report["gain"].items():
        print(
            f"evaluate: better than {name} by {gate.metric} {gain['value']:.5g}{between(gain, 1)}"
        )
    if "limit" in report:
        print(f"evaluate: {gate.metric} limit {gate.limit:.5g}{sureness(report)}")
    for doubt in doubts_about(report, gate):
        print(f"evaluate: WARNING: {doubt}")
    if "inflation_percent" in report:
        metric, value = next(iter(report["inflation_percent"].items()))
        side = "better" if value >= 0 else "worse"
        print(f"evaluate: random folds make {metric} look {abs(value):.1f} % {side} than it is")


def log(
    params: Params,
    report: dict[str, Any],
    tables: Mapping[str, pd.DataFrame],
    schema: Schema,
    estimator: Any,
    leaderboard: pd.DataFrame,
) -> None:
    """Add the holdout's metrics, plots and a page about all of it to the training's run."""
    tracking = Tracking(params.base.name)
    run = tracking.find(md5(CANDIDATE))
    if run is None:
        return
    run_id = run.info.run_id
    tracking.log(run_id, metrics=flat(report, "/"))
    tracking.log(run_id, tags={NOTE_TAG: page(leaderboard, run.data.tags, report)})
    metric = params.evaluate.gate.metric
    tracking.rename(run_id, f"{title(estimator)} · {metric} {report['model'][metric]:.4g}")
    tracking.log_file(run_id, METRICS)
    for path in sorted(PLOTS.glob("*.csv")):
        tracking.log_file(run_id, path, "plots")
    add_figures(tracking, run_id, draw(tables, schema))
    tracking.add_stage(run, "evaluate")


if __name__ == "__main__":
    launch("-m", "stages", "evaluate")
