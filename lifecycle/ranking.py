"""The experiments of a sweep, ranked by their folds, and where MLflow shows their runs."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlflow.tracking import MlflowClient

from app.model.store import locked_output, parse_lock
from stages.evaluation.metrics import higher_is_better
from stages.files import CANDIDATE
from stages.repository import git
from stages.tracking import CANDIDATE_TAG


@dataclass(frozen=True)
class Trial:
    """One experiment of a sweep.

    Attributes:
        name: by which `dvc exp apply` and MLflow's tag `dvc.experiment` know it.
        state: `Success` or `Failed`, in DVC's words.
        score: mean of the ranking metric over the folds; None unless it succeeded.
        holdout: the gate's metric on the holdout, which ranks nothing; None unless it succeeded.
        candidate: the md5 of its fitted pipeline's folder; None unless it succeeded.
        settings: the swept parameters' values, by their dotted paths.
    """

    name: str
    state: str
    score: float | None
    holdout: float | None
    candidate: str | None
    settings: dict[str, Any]

    def __str__(self) -> str:
        settings = "  ".join(
            f"{key}={value:.15g}" if isinstance(value, float) else f"{key}={value}"  # DVC's numbers
            for key, value in self.settings.items()
        )
        score = self.state.lower() if self.score is None else f"folds {self.score:.6g}"
        holdout = "" if self.holdout is None else f"  holdout {self.holdout:.6g}"
        return f"{self.name}  {score}{holdout}  {settings}"


def candidate(revision: str) -> str:
    """The md5 of model/candidate in the `dvc.lock` of an experiment's commit."""
    name = f"dvc.lock of {revision[:10]}"
    lock = parse_lock(git("show", f"{revision}:dvc.lock"), name)
    return f"{locked_output(lock, name, 'train', str(CANDIDATE))}.dir"


def name_pattern(prefix: str) -> str:
    """A pattern for the experiments of one sweep: DVC numbers them unless there is just one."""
    return rf"{re.escape(prefix)}(?:-\d+)?"


def rank(
    rows: Sequence[dict[str, Any]], prefix: str, sort: str, metric: str, keys: Sequence[str]
) -> list[Trial]:
    """The experiments of one sweep, best first, those without a score last.

    The folds rank them: a holdout that picked the best of many would flatter it.

    Args:
        rows: from `dvc.api.exp_show`.
        prefix: as the sweep's experiments are called, but for their numbers.
        sort: one of PyCaret's metrics, as `train.sort` names it.
        metric: of the holdout, in the block `model` of reports/metrics.json.
        keys: the swept parameters, as `dvc exp run -S` takes them.
    """
    name = sort.lower().strip(".")
    pattern = re.compile(name_pattern(prefix))
    trials = []
    for row in rows:
        if not pattern.fullmatch(str(row["Experiment"])):
            continue
        succeeded = row["State"] == "Success"
        trials.append(
            Trial(
                name=row["Experiment"],
                state=row["State"],
                score=row[f"folds.{name}.mean"] if succeeded else None,
                holdout=row[f"model.{metric}"] if succeeded else None,
                candidate=candidate(row["rev"]) if succeeded else None,
                settings=settings(row, keys),
            )
        )
    sign = -1 if higher_is_better(name) else 1
    return sorted(
        trials, key=lambda trial: (trial.score is None, sign * (trial.score or 0.0), trial.name)
    )


def settings(row: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The values of the swept keys in an experiment's row.

    DVC shows a block as its leaves and a list as a whole: of `train.tune` there are its keys, and
    of `train.models.0.dt.max_depth` there is `train.models`.
    """
    paths = [key.rpartition(":")[2].replace("[", ".") for key in keys]  # params.yaml:train.blend
    return {
        name: value
        for name, value in row.items()
        if any(f"{path}.".startswith(f"{name}.") or name.startswith(f"{path}.") for path in paths)
    }


def links(experiment: str, ranked: Sequence[Trial]) -> dict[str, str]:
    """Where MLflow shows each experiment's parent run; those it does not know are left out.

    An experiment whose training DVC restored from its cache has the run that did it.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return {}
    client = MlflowClient()
    tracked = client.get_experiment_by_name(experiment)
    if tracked is None:
        return {}
    identity = tracked.experiment_id
    server = os.environ["MLFLOW_TRACKING_URI"].rstrip("/")
    addresses = {}
    for trial in ranked:
        for tag, value in (("dvc.experiment", trial.name), (CANDIDATE_TAG, trial.candidate)):
            runs = client.search_runs([identity], f"tags.`{tag}` = '{value}'")
            if runs:
                run = runs[0].info.run_id
                addresses[trial.name] = f"{server}/#/experiments/{identity}/runs/{run}"
                break
    return addresses
