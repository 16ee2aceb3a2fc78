"""Compare the candidate estimators, tune and blend the best, keep the fitted pipeline.

$ python -m stages train

Reads prepared/; writes model/candidate/pipeline.pkl (preprocessing and estimator, fitted on the
training rows), model/candidate/leaderboard.csv (fold means and deviations) and
model/candidate/folds.csv (what the candidate answered in its folds, row by row). While it runs,
.local/tuning.db has the hyperparameters that were tried, for a run that goes on.
"""

import json
import sys
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from stages.arithmetic import launch
from stages.files import (
    CANDIDATE,
    FOLDS,
    LEADERBOARD,
    PIPELINE,
    PREPARED,
    SCHEMA,
    TEST,
    TRAIN,
    TUNING,
    md5,
    write_table,
)
from stages.params import Params, read
from stages.schema import Schema, read_prepared
from stages.tracking import CANDIDATE_TAG, NOTE_TAG, STAGES_TAG, Tracking, flat, lineage_tags
from stages.training.answers import fold_answers
from stages.training.experiment import save, start
from stages.training.logger import PyCaretLogger
from stages.training.note import page, title
from stages.training.search import search
from stages.training.steps.study import Journal, Tried
from stages.training.threads import cluster, one_thread
from stages.training.validation import Trial


def main() -> None:
    """Run the stage."""
    params = read("train")
    schema = Schema.read(SCHEMA)
    train = read_prepared(TRAIN, schema)
    test = read_prepared(TEST, schema)
    tracking = Tracking(params.base.name)
    run = begin_run(tracking, params, len(train))
    # PyCaret and its libraries warn of their own code, which no user of this project can change
    warnings.filterwarnings("ignore", module="pycaret|sklearn|joblib")
    with one_thread():
        logger = PyCaretLogger(tracking, run)
        journal = Journal(TUNING, study_key(params), partial(log_set, logger, params.train.sort))
        try:
            experiment = start(train, test, schema, params.train, params.base.seed, logger)
            with cluster(params.train.parallel):
                result = search(experiment, params.train, journal)
            if result.threshold:
                log_threshold(logger, result.threshold)
        except (ValueError, RuntimeError, TypeError) as error:
            tracking.finish(run, "FAILED")
            sys.exit(f"train: {error}")
    save(experiment, result.pipeline, PIPELINE)
    write_table(LEADERBOARD, result.leaderboard)
    write_table(FOLDS, fold_answers(result.trial.folds, train.index))
    journal.forget()
    end_run(tracking, run, result.leaderboard, title(result.pipeline.steps[-1][1]))


def begin_run(tracking: Tracking, params: Params, rows: int) -> str | None:
    """Open the parent run: lineage, parameters, and what it reads."""
    run = tracking.start("train", {**lineage_tags(), "prepared_md5": md5(PREPARED)})
    tracking.log(run, params=flat(params.model_dump()))
    tracking.log_dataset(run, params.base.name, md5(PREPARED), SCHEMA.read_text(), rows)
    return run


def study_key(params: Params) -> str:
    """What decides how good a set of hyperparameters is: the rows, the parameters, the code."""
    files = [PREPARED, Path("requirements.txt"), *sorted(Path(__file__).parent.rglob("*.py"))]
    never = {"budget_minutes", "n_jobs", "parallel"}  # these change no result
    values = params.train.model_dump(mode="json", exclude=never)
    del values["tune"]["iterations"]
    return json.dumps([params.base.seed, values, [md5(file) for file in files]])


def log_set(logger: PyCaretLogger, sort: str, tried: Tried) -> None:
    """Add the nested run of a set of hyperparameters, as the search tries it."""
    tags = {"step": "tune", "outcome": tried.outcome or "tried"}
    name, params, scores = f"set {tried.number}", tried.hyperparameters, {sort: tried.score}
    log_nested(logger, name, params, scores, tags, {"seconds": tried.seconds})


def log_threshold(logger: PyCaretLogger, trial: Trial) -> None:
    """Add the nested run of the search for a threshold, the one step that PyCaret does not log."""
    params = {"probability_threshold": trial.estimator.probability_threshold}
    scores, tags = trial.scores.loc["Mean"].to_dict(), {"step": "optimize_threshold"}
    log_nested(logger, "threshold", params, scores, tags)


def log_nested(
    logger: PyCaretLogger,
    name: str,
    params: Mapping[str, Any],
    scores: Mapping[str, float],
    tags: Mapping[str, str],
    metrics: Mapping[str, float] | None = None,
) -> None:
    """Add a nested run that PyCaret does not log; its scores are means over the folds."""
    logger.init_experiment(name, setup=False)
    logger.log_params(params)
    logger.log_metrics(scores)
    logger.tracking.log(logger.run, tags=tags, metrics=metrics)
    logger.finish_experiment()


def end_run(tracking: Tracking, run: str | None, leaderboard: pd.DataFrame, estimator: str) -> None:
    """Complete the parent run: the candidate's fold scores, the leaderboard, the content's md5."""
    best = leaderboard.select_dtypes("number").iloc[0]
    scores = {f"folds/{name}".replace(" ", "_"): value for name, value in best.items()}
    tracking.log(run, metrics=scores)
    tracking.log_file(run, LEADERBOARD)
    tags = {CANDIDATE_TAG: md5(CANDIDATE), STAGES_TAG: "train"}
    note = {NOTE_TAG: page(leaderboard, lineage_tags(), report={})}
    tracking.log(run, tags={**tags, **note})
    tracking.rename(run, estimator)
    tracking.finish(run)
    if run is not None and tracking.lost is None:
        print(f"train: MLflow run {tracking.address(run)}")


if __name__ == "__main__":
    launch("-m", "stages", "train")
