"""Compare the candidate estimators, tune and blend the best, keep the fitted pipeline.

$ python -m stages.train

Reads prepared/; writes model/candidate/pipeline.pkl (preprocessing and estimator, fitted on the
training rows) and model/candidate/leaderboard.csv (fold means and deviations).
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from stages.experiment import one_thread, save, start
from stages.fingerprint import md5
from stages.params import Params, Train, read
from stages.prepare import PREPARED
from stages.schema import SCHEMA, TEST, TRAIN, Schema, read_prepared
from stages.tracking import CANDIDATE, STAGES, PyCaretLogger, Tracking, flat, lineage_tags

CANDIDATE_FOLDER = Path("model/candidate")


def fit(experiment: Any, params: Train) -> tuple[Any, pd.DataFrame]:
    """Find the best estimator by cross-validation.

    Args:
        experiment: PyCaret's experiment, set up.
        params: the block `train`.

    Returns:
        The fitted pipeline, and the leaderboard: one row per estimator tried, best first, with
        the mean and standard deviation of each metric over the folds.
    """
    known = experiment.models().index
    unknown = [name for name in params.models if name not in known]
    if unknown:
        raise ValueError(f"train.models: PyCaret has no {unknown}. It has {sorted(known)}.")
    metrics = experiment.get_metrics().set_index("Display Name")["Greater is Better"]
    if params.sort not in metrics:
        raise ValueError(
            f"train.sort: PyCaret has no {params.sort!r}. It has {list(metrics.index)}."
        )
    board: list[dict[str, Any]] = []

    def record(name: str, step: str, entry: dict[str, Any]) -> None:
        """Add an estimator's fold scores to the leaderboard and show them."""
        scores = entry["scores"]
        row = {"estimator": name, "step": step}
        for metric in scores.columns:
            row[metric] = scores.loc["Mean", metric]
            row[f"{metric} std"] = scores.loc["Std", metric]
        board.append(row)
        mean, deviation = row[params.sort], row[f"{params.sort} std"]
        print(f"train: {name:<12} {step:<8} {params.sort} {mean:.5g} ± {deviation:.2g}", flush=True)

    ranked = experiment.compare_models(
        include=params.models,
        n_select=max(1, params.blend),
        sort=params.sort,
        budget_time=params.budget_minutes,
        errors="raise",
        verbose=sys.stderr.isatty(),
    )
    ranked = ranked if isinstance(ranked, list) else [ranked]
    for name, entry in zip(params.models, experiment._master_model_container, strict=False):
        record(name, "compare", entry)
    if params.tune.iterations:
        library = {"random": "scikit-learn", "optuna": "optuna"}[params.tune.library]
        ranked[0] = experiment.tune_model(
            ranked[0],
            n_iter=params.tune.iterations,
            search_library=library,
            optimize=params.sort,
            choose_better=True,
            verbose=sys.stderr.isatty(),
            tuner_verbose=False,
        )
        record("tuned", "tune", experiment._master_model_container[-1])
    best = ranked[0]
    if params.blend > 1 and len(ranked) > 1:
        best = experiment.blend_models(
            ranked[: params.blend], optimize=params.sort, verbose=sys.stderr.isatty()
        )
        record("blend", "blend", experiment._master_model_container[-1])
    leaderboard = pd.DataFrame(board).sort_values(
        params.sort, ascending=not metrics[params.sort], kind="stable", ignore_index=True
    )
    pipeline = experiment.pipeline
    pipeline = type(pipeline)([*pipeline.steps, ("actual_estimator", best)])
    return pipeline, leaderboard


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
            pipeline, leaderboard = fit(experiment, params.train)
        except (ValueError, RuntimeError) as error:
            tracking.finish(run, "FAILED")
            sys.exit(f"train: {error}")
    CANDIDATE_FOLDER.mkdir(parents=True, exist_ok=True)
    save(experiment, pipeline, CANDIDATE_FOLDER / "pipeline.pkl")
    leaderboard.to_csv(CANDIDATE_FOLDER / "leaderboard.csv", index=False)
    log(tracking, run, leaderboard, params)


def log(tracking: Tracking, run: str | None, leaderboard: pd.DataFrame, params: Params) -> None:
    """Complete the parent run: the leader's fold scores, the leaderboard, the content's md5."""
    leader = leaderboard.iloc[0].drop(["estimator", "step"]).to_dict()
    tracking.log(run, metrics={f"cv_{key.replace(' ', '_')}": v for key, v in leader.items()})
    tracking.log_file(run, CANDIDATE_FOLDER / "leaderboard.csv")
    tracking.log(run, tags={CANDIDATE: md5(CANDIDATE_FOLDER), STAGES: "train"})
    tracking.finish(run)
    if run is not None and tracking.lost is None:
        print(f"train: MLflow run {tracking.address(run)}")


if __name__ == "__main__":
    main()
