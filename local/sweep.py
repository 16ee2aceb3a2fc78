"""Try a grid of parameters as queued DVC experiments and rank them.

$ python -m local.sweep 'train.models=[lightgbm],[catboost]' train.preprocess.normalize=null,zscore

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

from stages.metrics import HIGHER_IS_BETTER
from stages.tracking import CANDIDATE

POLL_SECONDS = 10.0
OVER = {"Success", "Failed"}


@dataclass(frozen=True)
class Trial:
    """One experiment of a sweep.

    Attributes:
        name: by which `dvc exp apply` and MLflow's tag `dvc.experiment` know it.
        state: `Success` or `Failed`, in DVC's words.
        score: the gate's metric on the holdout; None unless it succeeded.
        candidate: the md5 of its fitted pipeline's folder; None unless it succeeded.
        settings: the swept keys' values.
    """

    name: str
    state: str
    score: float | None
    candidate: str | None
    settings: dict[str, Any]

    def __str__(self) -> str:
        settings = "  ".join(f"{key}={value}" for key, value in self.settings.items())
        score = self.state.lower() if self.score is None else f"{self.score:.6g}"
        return f"{self.name}  {score}  {settings}"


def candidate(revision: str) -> str:
    """The md5 of model/candidate in the `dvc.lock` of an experiment's commit."""
    command = ["git", "show", f"{revision}:dvc.lock"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    return str(yaml.safe_load(text)["stages"]["train"]["outs"][0]["md5"])


def trials(
    shown: Sequence[dict[str, Any]], prefix: str, metric: str, keys: Sequence[str]
) -> list[Trial]:
    """The experiments of one sweep, best first, those without a score last.

    Args:
        shown: from `dvc.api.exp_show`.
        prefix: with which the sweep's experiments' names start.
        metric: of the block `model` of reports/metrics.json.
        keys: dotted paths of the swept parameters.
    """
    found = [
        Trial(
            name=row["Experiment"],
            state=row["State"],
            score=row[f"model.{metric}"] if row["State"] == "Success" else None,
            candidate=candidate(row["rev"]) if row["State"] == "Success" else None,
            settings={key: row[key] for key in keys},
        )
        for row in shown
        if str(row["Experiment"]).startswith(f"{prefix}-")
    ]
    sign = -1 if HIGHER_IS_BETTER[metric] else 1
    return sorted(found, key=lambda one: (one.score is None, sign * (one.score or 0.0), one.name))


def run(*arguments: str) -> str:
    """Run a DVC command and return what it says; its failure ends the sweep."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"sweep: `dvc {' '.join(arguments)}` failed; see above.")
    return done.stdout


def states(status: str, prefix: str) -> dict[str, str]:
    """The state of each experiment of a sweep, from the table of `dvc queue status`."""
    line = re.compile(rf"({re.escape(prefix)}-\d+)\s.*\s(Queued|Running|Success|Failed)\s*$", re.M)
    return dict(line.findall(status))


def wait(prefix: str) -> None:
    """Until no experiment of the sweep is queued or running; tells each one's end."""
    told: set[str] = set()
    while True:
        # Not `dvc exp show`: it fails while an experiment's folder comes or goes
        now = states(run("queue", "status"), prefix)
        over = {name for name, state in now.items() if state in OVER}
        for name in sorted(over - told):
            print(f"{name}: {now[name].lower()}", flush=True)
        told |= over
        if over == now.keys():
            return
        time.sleep(POLL_SECONDS)


def links(experiment: str, ranked: Sequence[Trial]) -> dict[str, str]:
    """Where MLflow shows each experiment's parent run; those it does not know are left out.

    An experiment whose training DVC restored from its cache has the run that did it.
    """
    client = MlflowClient()
    known = client.get_experiment_by_name(experiment)
    if known is None:
        return {}
    server = os.environ["MLFLOW_TRACKING_URI"].rstrip("/")
    found = {}
    for one in ranked:
        for tag, value in (("dvc.experiment", one.name), (CANDIDATE, one.candidate)):
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
    metric = params["evaluate"]["gate"]["metric"]
    keys = [one.split("=")[0].lstrip("+~") for one in asked.grid]
    prefix = f"sweep-{datetime.now(UTC):%m%d-%H%M%S}"
    settings = [part for one in asked.grid for part in ("--set-param", one)]
    commands = (
        ("exp", "run", "--queue", "--name", prefix, *settings, "evaluate"),
        ("queue", "start", "--jobs", str(asked.jobs)),
    )
    for command in commands:
        print(f"$ dvc {' '.join(command)}\n{run(*command)}", flush=True)
    wait(prefix)
    ranked = trials(dvc.api.exp_show(), prefix, metric, keys)
    try:
        addresses = links(params["base"]["name"], ranked)
    except MlflowException as error:
        print(f"MLflow does not answer, so no run is linked: {error}", file=sys.stderr)
        addresses = {}
    print(f"\nBy {metric} on the holdout")
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
