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
import pandas as pd

from stages.evaluation.leakage import IncomparableError, inflation
from stages.evaluation.metrics import METRICS, gate
from stages.evaluation.plot_images import draw
from stages.evaluation.plot_tables import validation, write_tables
from stages.evaluation.report import Judgement, fold_scores, judge
from stages.files import md5
from stages.params import Params, read
from stages.prepare import PREPARED
from stages.schema import TEST, TRAIN, Schema, read_prepared
from stages.tracking import Tracking, add_figures, flat
from stages.train import CANDIDATE_FOLDER
from stages.training.experiment import one_thread

PLOTS = Path("reports/plots")


def compare(
    pipeline: Any, train: pd.DataFrame, test: pd.DataFrame, schema: Schema, params: Params
) -> Judgement:
    """The honest and the flattering cross-validation, where the split knows groups or time."""
    if schema.strategy not in {"group", "time"}:
        return {}, {}
    rows = pd.concat([train, test])
    if schema.strategy == "group":
        # As in the raw table, so that the random folds are those that others publish
        rows = rows.sort_index()
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
        try:
            reasons = gate(report, params.evaluate.gate)
        except ValueError as error:
            sys.exit(f"evaluate: {error}")
        more, further = compare(pipeline, train, test, schema, params)
    report["folds"] = fold_scores(pd.read_csv(CANDIDATE_FOLDER / "leaderboard.csv"))
    report |= more
    tables |= further
    write_tables(tables, PLOTS)
    METRICS.write_text(json.dumps(report, indent=2) + "\n")
    log(params.base.name, report, tables, schema)
    show(report)
    if reasons:
        sys.exit(
            "evaluate: the candidate is not good enough, and nothing is deployed:\n  "
            + "\n  ".join(reasons)
            + "\nFind a better one with train.models, train.preprocess or train.tune, or demand "
            "less with evaluate.gate."
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
        side = "better" if value >= 0 else "worse"
        print(f"evaluate: random folds make {metric} look {abs(value):.1f} % {side} than it is")


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
