"""Try a grid of parameters as queued DVC experiments and rank them.

$ python -m lifecycle.sweep 'train.models=[lightgbm],[catboost]' train.folds=3,5

Each argument is one of `dvc exp run -S`: values with commas between them make a grid. The
experiments run up to `evaluate`, `--jobs` at a time, each in a copy of the work tree. The same
by hand: `dvc exp run --queue -S …`, `dvc queue start --jobs 2`, `dvc exp show`.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dvc.api
import yaml
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from lifecycle.restore import restore
from stages.evaluation.metrics import higher_is_better
from stages.tracking import CANDIDATE_TAG

POLL_SECONDS = 10.0
OVER = {"Success", "Failed"}


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
        shown = {  # DVC's numbers are floats
            key: f"{value:.15g}" if isinstance(value, float) else value
            for key, value in self.settings.items()
        }
        settings = "  ".join(f"{key}={value}" for key, value in shown.items())
        score = self.state.lower() if self.score is None else f"folds {self.score:.6g}"
        holdout = "" if self.holdout is None else f"  holdout {self.holdout:.6g}"
        return f"{self.name}  {score}{holdout}  {settings}"


def candidate(revision: str) -> str:
    """The md5 of model/candidate in the `dvc.lock` of an experiment's commit."""
    command = ["git", "show", f"{revision}:dvc.lock"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    return str(yaml.safe_load(text)["stages"]["train"]["outs"][0]["md5"])


def named(prefix: str) -> str:
    """A pattern for the experiments of one sweep: DVC numbers them unless there is just one."""
    return rf"{re.escape(prefix)}(?:-\d+)?"


def trials(
    shown: Sequence[dict[str, Any]], prefix: str, sort: str, metric: str, keys: Sequence[str]
) -> list[Trial]:
    """The experiments of one sweep, best first, those without a score last.

    The folds rank them: a holdout that picked the best of many would flatter it.

    Args:
        shown: from `dvc.api.exp_show`.
        prefix: as the sweep's experiments are called, but for their numbers.
        sort: one of PyCaret's metrics, as `train.sort` names it.
        metric: of the holdout, in the block `model` of reports/metrics.json.
        keys: the swept parameters, as `dvc exp run -S` takes them.
    """
    name = sort.lower().strip(".")
    ours = re.compile(named(prefix))
    found = [
        Trial(
            name=row["Experiment"],
            state=row["State"],
            score=row[f"folds.{name}.mean"] if row["State"] == "Success" else None,
            holdout=row[f"model.{metric}"] if row["State"] == "Success" else None,
            candidate=candidate(row["rev"]) if row["State"] == "Success" else None,
            settings=settings(row, keys),
        )
        for row in shown
        if ours.fullmatch(str(row["Experiment"]))
    ]
    sign = -1 if higher_is_better(name) else 1
    return sorted(found, key=lambda one: (one.score is None, sign * (one.score or 0.0), one.name))


def settings(row: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """What the swept keys stand for in an experiment's row.

    DVC shows a block as its leaves and a list as a whole: of `train.tune` there are its keys, and
    of `train.models.0.dt.max_depth` there is `train.models`.
    """
    paths = [key.rpartition(":")[2].replace("[", ".") for key in keys]  # params.yaml:train.blend
    return {
        name: value
        for name, value in row.items()
        if any(f"{path}.".startswith(f"{name}.") or name.startswith(f"{path}.") for path in paths)
    }


def run(*arguments: str) -> str:
    """Run a DVC command and return what it says; its failure ends the sweep."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"sweep: `dvc {' '.join(arguments)}` failed; see above.")
    return done.stdout


def states(status: str, prefix: str) -> dict[str, str]:
    """The state of each experiment of a sweep, from the table of `dvc queue status`."""
    line = re.compile(rf"\s({named(prefix)})\s.*\s(Queued|Running|Success|Failed)\s*$", re.M)
    return dict(line.findall(status))


def wait(prefix: str) -> dict[str, str]:
    """The experiments' states, once none is queued or running; tells each one's end."""
    told: set[str] = set()
    while True:
        # Not `dvc exp show`: it fails while an experiment's folder comes or goes
        now = states(run("queue", "status"), prefix)
        over = {name for name, state in now.items() if state in OVER}
        for name in sorted(over - told):
            print(f"{name}: {now[name].lower()}", flush=True)
        told |= over
        if over == now.keys():
            return now
        time.sleep(POLL_SECONDS)


def links(experiment: str, ranked: Sequence[Trial]) -> dict[str, str]:
    """Where MLflow shows each experiment's parent run; those it does not know are left out.

    An experiment whose training DVC restored from its cache has the run that did it.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return {}
    client = MlflowClient()
    known = client.get_experiment_by_name(experiment)
    if known is None:
        return {}
    server = os.environ["MLFLOW_TRACKING_URI"].rstrip("/")
    found = {}
    for one in ranked:
        for tag, value in (("dvc.experiment", one.name), (CANDIDATE_TAG, one.candidate)):
            runs = client.search_runs([known.experiment_id], f"tags.`{tag}` = '{value}'")
            if runs:
                run = runs[0].info.run_id
                found[one.name] = f"{server}/#/experiments/{known.experiment_id}/runs/{run}"
                break
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("grid", nargs="+", metavar="KEY=VALUES", help="as for `dvc exp run -S`")
    parser.add_argument("--jobs", type=int, default=2, help="experiments at the same time")
    asked = parser.parse_args()
    params = dvc.api.params_show()
    sort, metric = params["train"]["sort"], params["evaluate"]["gate"]["metric"]
    keys = [one.split("=")[0].lstrip("+~") for one in asked.grid]
    prefix = f"sweep-{datetime.now(UTC):%m%d-%H%M%S}"
    grid = [part for one in asked.grid for part in ("--set-param", one)]
    queue = ("exp", "run", "--queue", "--name", prefix, *grid, "evaluate")
    print(f"$ dvc {' '.join(queue)}\n{run(*queue)}", flush=True)
    if not states(run("queue", "status"), prefix):
        sys.exit(f"sweep: DVC queued no experiment named {prefix}; see above.")
    start = ("queue", "start", "--jobs", str(asked.jobs))
    print(f"$ dvc {' '.join(start)}\n{run(*start)}", flush=True)
    ended = wait(prefix)
    try:
        restored = restore(name for name, state in ended.items() if state == "Success")
    except LookupError as error:
        sys.exit(f"sweep: {error}")
    for name in restored:
        print(f"{name}: restored; DVC had its results, but not its name")
    ranked = trials(dvc.api.exp_show(), prefix, sort, metric, keys)
    try:
        addresses = links(params["base"]["name"], ranked)
    except MlflowException as error:
        print(f"MLflow does not answer, so no run is linked: {error}", file=sys.stderr)
        addresses = {}
    print(f"\nBy {sort}, its mean over the training folds; beside it {metric} on the holdout")
    for place, one in enumerate(ranked, start=1):
        where = addresses.get(one.name, "not in MLflow")
        print(f"{place:>3}  {one}\n     {where}")
        if one.score is None:
            print(f"     dvc queue logs {one.name}")
    if not ranked or ranked[0].score is None:
        sys.exit("sweep: no experiment succeeded.")
    print(
        f"""
Take the best: its parameters and results come into the work tree, `dvc repro` builds what is served
  dvc exp apply {ranked[0].name}
  dvc repro && dvc push
  git add --update && git commit"""
    )


if __name__ == "__main__":
    main()
