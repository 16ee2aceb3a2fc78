"""MLflow beside the pipeline: one parent run per training, experiment again by content.

Nothing here is an input of a stage. Where the tracking server does not answer, the stage goes
on and says loudly what was not logged; a run that lost a write is never marked as finished.
"""

import getpass
import logging
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import mlflow
import yaml
from mlflow.entities import Dataset, DatasetInput, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.time import get_current_time_millis

from stages.repository import CommandError, git

Result = TypeVar("Result")

DEFAULTS = {
    # MLflow's own defaults retry for minutes; the pipeline must not hang on a dead server.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines a nested run
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
PARAM_LENGTH = 500
CANDIDATE_TAG = "candidate_md5"
STAGES_TAG = "stages"
NOTE_TAG = "mlflow.note.content"  # Markdown that MLflow's pages show
# What MLflow's pages show first: training, not the tracing of language models
KIND = {"mlflow.experimentKind": "custom_model_development"}


class Tracking:
    """Writes to MLflow that never stop a stage.

    Attributes:
        lost: why logging ended, once a write has failed; None while all is well.
    """

    def __init__(self, experiment: str) -> None:
        self.lost: str | None = None
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            self._lose(
                "MLFLOW_TRACKING_URI is not set (activate the environment: `. .venv/bin/activate`)"
            )
            return
        self.client = MlflowClient()
        self.experiment_id = self.attempt(lambda: self._experiment(experiment))

    def _experiment(self, name: str) -> str:
        experiment = self.client.get_experiment_by_name(name)
        if experiment is not None:
            for tag, value in KIND.items():
                if tag not in experiment.tags:  # made by an earlier version, or by hand
                    self.client.set_experiment_tag(experiment.experiment_id, tag, value)
            return str(experiment.experiment_id)
        try:
            return str(self.client.create_experiment(name, tags=KIND))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return str(self.client.get_experiment_by_name(name).experiment_id)  # another run's

    def attempt(self, write: Callable[[], Result]) -> Result | None:
        """Do one write; after the first failure, none."""
        if self.lost is not None:
            return None
        try:
            return write()
        except Exception as error:  # MLflow lets through whatever its stores raise
            self._lose(f"{type(error).__name__}: {error}".splitlines()[0])
            return None

    def _lose(self, reason: str) -> None:
        self.lost = reason
        print(
            f"MLFLOW: NOT LOGGED from here on: {reason}\n"
            "MLFLOW: the work goes on; its outputs do not depend on tracking. To log it, start "
            "the server (`make up`) and do it again: the pipeline with `dvc repro --force`.",
            file=sys.stderr,
        )

    def start(self, name: str, tags: Mapping[str, str], parent: str | None = None) -> str | None:
        """Open a run; returns its id, or None when tracking is lost."""
        if parent is not None:
            tags = {**tags, "mlflow.parentRunId": parent}
        run = self.attempt(
            lambda: self.client.create_run(self.experiment_id, tags=dict(tags), run_name=name)
        )
        return None if run is None else str(run.info.run_id)

    def log(
        self,
        run_id: str | None,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        step: int = 0,
    ) -> None:
        """Write params, tags and those metrics that have a value, in one request."""
        now = get_current_time_millis()
        measured = {k: float(v) for k, v in (metrics or {}).items() if not math.isnan(v)}
        self.attempt(
            lambda: self.client.log_batch(
                run_id,
                metrics=[Metric(k, v, now, step) for k, v in measured.items()],
                params=[Param(k, str(v)[:PARAM_LENGTH]) for k, v in (params or {}).items()],
                tags=[RunTag(k, v) for k, v in (tags or {}).items()],
            )
        )

    def rename(self, run_id: str | None, name: str) -> None:
        """Give a run a name that says what came of it."""
        self.attempt(lambda: self.client.update_run(run_id, name=name))

    def log_file(self, run_id: str | None, path: Path, folder: str | None = None) -> None:
        """Store a file as an artifact."""
        self.attempt(lambda: self.client.log_artifact(run_id, str(path), folder))

    def log_dataset(self, run_id: str | None, name: str, md5: str, schema: str, rows: int) -> None:
        """Record what a run read: hash, shape and schema; never the rows."""
        dataset = Dataset(
            name=name,
            digest=md5[:32],
            source_type="dvc",
            source=f'{{"path": "prepared", "md5": "{md5}"}}',
            schema=schema,
            profile=f'{{"num_rows": {rows}}}',
        )
        self.attempt(lambda: self.client.log_inputs(run_id, datasets=[DatasetInput(dataset)]))

    def address(self, run_id: str) -> str:
        """Where a person sees a run."""
        server = os.environ["MLFLOW_TRACKING_URI"].rstrip("/")
        return f"{server}/#/experiments/{self.experiment_id}/runs/{run_id}"

    def finish(self, run_id: str | None, status: str = "FINISHED") -> None:
        """Close a run; one that lost a write stays open and so never poses as complete."""
        self.attempt(lambda: self.client.set_terminated(run_id, status))

    def find(self, candidate_md5: str) -> Run | None:
        """The newest parent run that made a candidate; of this experiment if any did.

        The tag is the last thing that a training writes, so a run that has it is complete. Its
        status says less: `active` opens it again, for as long as another deploy logs its model.
        """
        runs = self.attempt(
            lambda: self.client.search_runs(
                [self.experiment_id],
                f"tags.{CANDIDATE_TAG} = '{candidate_md5}'",
                order_by=["attributes.start_time DESC"],
            )
        )
        if runs is None:
            return None
        if not runs:
            self._lose(f"no finished training run is tagged {CANDIDATE_TAG}={candidate_md5}")
            return None
        name = os.environ.get("DVC_EXP_NAME", "")
        return next(
            (run for run in runs if run.data.tags.get("dvc.experiment", "") == name), runs[0]
        )

    def add_stage(self, run: Run, stage: str) -> None:
        """Note on the parent run that a further stage has logged everything."""
        done = run.data.tags.get(STAGES_TAG, "").split()
        self.log(run.info.run_id, tags={STAGES_TAG: " ".join(dict.fromkeys([*done, stage]))})


@contextmanager
def active(tracking: Tracking, run_id: str) -> Iterator[None]:
    """MLflow's fluent functions write to a run that is already closed."""
    with mlflow.start_run(run_id=run_id, log_system_metrics=False):
        yield
    tracking.finish(run_id)


def lineage_tags() -> dict[str, str]:
    """Where a run comes from: who and what made it, DVC experiment, Git commit, the data's md5."""
    tags = {
        "mlflow.user": user(),
        "mlflow.source.name": "stages/train.py",
        "mlflow.source.type": "LOCAL",
        "dvc.experiment": os.environ.get("DVC_EXP_NAME", ""),
        "dvc.baseline": os.environ.get("DVC_EXP_BASELINE_REV", ""),
    }
    with suppress(CommandError):  # a folder that is no repository has no commit
        tags["mlflow.source.git.commit"] = git("rev-parse", "HEAD").strip()
        tags["git.dirty"] = str(bool(git("status", "--porcelain"))).lower()
    pin = Path("data.dvc")
    if pin.exists():
        tags["data_md5"] = yaml.safe_load(pin.read_text())["outs"][0]["md5"]
    return {key: value for key, value in tags.items() if value}


def user() -> str:
    """Who runs this; empty for a user without a name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def flat(block: Mapping[str, Any], separator: str = ".", prefix: str = "") -> dict[str, Any]:
    """Nested values as `train.tune.iterations`-like keys; MLflow groups metrics by a `/`."""
    result: dict[str, Any] = {}
    for key, value in block.items():
        if isinstance(value, Mapping):
            result.update(flat(value, separator, f"{prefix}{key}{separator}"))
        else:
            result[prefix + key] = value
    return result


def add_figures(tracking: Tracking, run_id: str, figures: Mapping[str, Any]) -> None:
    """Store Matplotlib figures as PNG artifacts under `plots/`."""
    with tempfile.TemporaryDirectory() as folder:
        for name, figure in figures.items():
            path = Path(folder) / f"{name}.png"
            figure.savefig(path, dpi=110, bbox_inches="tight")
            tracking.log_file(run_id, path, "plots")
