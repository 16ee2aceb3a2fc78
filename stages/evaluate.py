"""Judge the candidate on the holdout, beside two baselines, and guard the way to deployment.

$ python -m stages.evaluate

Reads prepared/ and model/candidate/; writes reports/metrics.json and reports/plots/*.csv. Ends
with an error, and so stops the pipeline, when the candidate misses `evaluate.gate`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from stages.experiment import one_thread
from stages.fingerprint import md5
from stages.metrics import gate, score
from stages.params import read
from stages.prepare import PREPARED
from stages.schema import TEST, TRAIN, Schema, encode_target, model_frame, read_prepared
from stages.tracking import Tracking, add_figures, flat
from stages.train import CANDIDATE_FOLDER

REPORTS = Path("reports")
METRICS = REPORTS / "metrics.json"
PLOTS = REPORTS / "plots"
SAMPLE = 1000  # rows drawn from the holdout for plots and for permutation importance
REPEATS = 3


def answers(pipeline: Any, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray | None]:
    """Predictions, and probabilities of shape (rows, classes) where the estimator has them."""
    probabilities = pipeline.predict_proba(X) if hasattr(pipeline, "predict_proba") else None
    return np.asarray(pipeline.predict(X)), probabilities


def baselines(schema: Schema, seed: int) -> dict[str, Pipeline]:
    """What any model must beat: a constant, and a linear model on plainly encoded features."""
    numbers = make_pipeline(
        SimpleImputer(strategy="mean", keep_empty_features=True), StandardScaler()
    )
    encode = ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            (
                "categories",
                OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=50),
                make_column_selector(dtype_include=object),
            ),
        ]
    )
    if schema.task == "regression":
        return {
            "dummy": make_pipeline(DummyRegressor()),
            "linear": make_pipeline(encode, RidgeCV()),
        }
    linear = LogisticRegression(max_iter=1000, random_state=seed)
    return {
        "dummy": make_pipeline(DummyClassifier(strategy="prior")),
        "linear": make_pipeline(encode, linear),
    }


def importance(
    pipeline: Any, X: pd.DataFrame, y: pd.Series, schema: Schema, seed: int
) -> pd.DataFrame:
    """How much worse the model gets when one feature's values are shuffled.

    Returns:
        One row per feature, most important first: `feature` (its name in the table),
        `importance` (mean rise of the RMSE, or fall of the accuracy) and `deviation`.
    """
    scoring = "neg_root_mean_squared_error" if schema.task == "regression" else "accuracy"
    result = permutation_importance(
        pipeline, X, y, scoring=scoring, n_repeats=REPEATS, random_state=seed
    )
    table = pd.DataFrame(
        {
            "feature": schema.names,
            "importance": result.importances_mean,
            "deviation": result.importances_std,
        }
    )
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def holdout_table(schema: Schema, actual: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """The holdout's answers for plotting: actual, predicted and, for a number, the residual."""
    if schema.task == "regression":
        return pd.DataFrame(
            {"actual": actual, "predicted": predicted, "residual": actual - predicted}
        )
    labels = np.array(schema.classes, dtype=object)
    return pd.DataFrame({"actual": labels[actual], "predicted": labels[predicted]})


def draw(tables: dict[str, pd.DataFrame], schema: Schema) -> dict[str, Figure]:
    """The plot tables as figures, for MLflow."""
    figures = {}
    top = tables["importance"].head(20)[::-1]
    figure = Figure(figsize=(7, 0.35 * len(top) + 1))
    axes = figure.subplots()
    axes.barh(top["feature"], top["importance"], xerr=top["deviation"])
    axes.set_xlabel("permutation importance")
    figures["importance"] = figure
    if schema.task == "regression":
        figure = Figure(figsize=(7, 5))
        axes = figure.subplots()
        axes.axhline(0, color="0.6", linewidth=1)
        axes.scatter(tables["holdout"]["predicted"], tables["holdout"]["residual"], s=6)
        axes.set_xlabel(f"predicted {schema.target}")
        axes.set_ylabel("actual - predicted")
        figures["residuals"] = figure
    else:
        counts = pd.crosstab(tables["holdout"]["actual"], tables["holdout"]["predicted"])
        figure = Figure(figsize=(6, 5))
        axes = figure.subplots()
        axes.imshow(counts, cmap="Blues")
        axes.set_xticks(range(counts.shape[1]), [str(label) for label in counts.columns])
        axes.set_yticks(range(counts.shape[0]), [str(label) for label in counts.index])
        for (row, column), count in np.ndenumerate(counts.to_numpy()):
            axes.text(column, row, str(count), ha="center", va="center")
        axes.set_xlabel("predicted")
        axes.set_ylabel("actual")
        figures["confusion"] = figure
    return figures


def main() -> None:
    """Run the stage."""
    params = read("evaluate")
    schema = Schema.read(PREPARED)
    train = read_prepared(PREPARED / TRAIN, schema)
    test = read_prepared(PREPARED / TEST, schema)
    pipeline = joblib.load(CANDIDATE_FOLDER / "pipeline.pkl")
    X, y = model_frame(test, schema), encode_target(test, schema)
    seed = params.base.seed
    with one_thread():
        predicted, probabilities = answers(pipeline, X)
        report: dict[str, Any] = {
            "model": score(schema.task, y.to_numpy(), predicted, probabilities),
            "baseline": {},
            "rows": {"train": len(train), "holdout": len(test)},
        }
        for name, baseline in baselines(schema, seed).items():
            baseline.fit(model_frame(train, schema), encode_target(train, schema))
            report["baseline"][name] = score(schema.task, y.to_numpy(), *answers(baseline, X))
        sample = np.sort(np.random.default_rng(seed).permutation(len(test))[:SAMPLE])
        tables = {
            "holdout": holdout_table(schema, y.to_numpy()[sample], predicted[sample]),
            "importance": importance(pipeline, X.iloc[sample], y.iloc[sample], schema, seed),
        }
    PLOTS.mkdir(parents=True, exist_ok=True)
    METRICS.write_text(json.dumps(report, indent=2) + "\n")
    for name, table in tables.items():
        table.to_csv(PLOTS / f"{name}.csv", index=False)
    log(params.base.name, report, draw(tables, schema))
    for name, scores in {"model": report["model"], **report["baseline"]}.items():
        shown = "  ".join(f"{metric} {value:.5g}" for metric, value in scores.items())
        print(f"evaluate: {name:<7} {shown}")
    try:
        reasons = gate(report, params.evaluate.gate)
    except ValueError as error:
        sys.exit(f"evaluate: {error}")
    if reasons:
        sys.exit(
            "evaluate: the candidate is not good enough, and nothing is deployed:\n  "
            + "\n  ".join(reasons)
        )


def log(experiment: str, report: dict[str, Any], figures: dict[str, Figure]) -> None:
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
    add_figures(tracking, run_id, figures)
    tracking.add_stage(run, "evaluate")


if __name__ == "__main__":
    main()
