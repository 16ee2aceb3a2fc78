"""Try a grid of parameters as queued DVC experiments and rank them.

$ python -m lifecycle.sweep 'train.models=[lightgbm],[catboost]' train.folds=3,5

Each argument is one of `dvc exp run -S`: values with commas between them make a grid. The
experiments run up to `evaluate`, `--jobs` at a time, each in a copy of the work tree. The same
by hand: `dvc exp run --queue -S …`, `dvc queue start --jobs 2`, `dvc exp show`.
"""

import argparse
import re
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from dvc.api import exp_show, params_show
from mlflow.exceptions import MlflowException

from lifecycle.ranking import Trial, links, name_pattern, rank
from lifecycle.restore import restore
from stages.repository import CommandError, dvc

POLL_SECONDS = 10.0
OVER = {"Success", "Failed"}
# What DVC says when no worker answers it: they have ended, or begin, or the machine is very busy.
ALONE = "Worker status: 0 active, 0 idle"
PATIENCE = 6  # polls in a row without a worker before others are started
MOST_STARTS = 3  # of workers, without an experiment that ends


def states(status: str, prefix: str) -> dict[str, str]:
    """The state of each experiment of a sweep, from the table of `dvc queue status`."""
    line = rf"\s({name_pattern(prefix)})\s.*\s(Queued|Running|Success|Failed)\s*$"
    return dict(re.findall(line, status, re.M))


def start(prefix: str, grid: Sequence[str], jobs: int) -> None:
    """Queue an experiment for each combination of a grid and start the queue's workers.

    Raises:
        CommandError: DVC refuses the grid.
        LookupError: it queued nothing.
    """
    settings = [part for values in grid for part in ("--set-param", values)]
    queue = ("exp", "run", "--queue", "--name", prefix, *settings, "evaluate")
    print(f"$ dvc {' '.join(queue)}\n{dvc(*queue)}", flush=True)
    if not states(dvc("queue", "status"), prefix):
        raise LookupError(f"DVC queued no experiment named {prefix}; see above.")
    workers = ("queue", "start", "--jobs", str(jobs))
    print(f"$ dvc {' '.join(workers)}\n{dvc(*workers)}", flush=True)


def wait(prefix: str, jobs: int) -> dict[str, str]:
    """The experiments' states, once none is queued or running; says when each one ends.

    Where the queue's workers are gone, it starts others.

    Raises:
        CommandError: DVC does not tell the states.
        LookupError: workers end again and again.
    """
    reported: set[str] = set()
    alone = starts = 0
    while True:
        # Not `dvc exp show`: it fails while an experiment's folder comes or goes
        status = dvc("queue", "status")
        now = states(status, prefix)
        over = {name for name, state in now.items() if state in OVER}
        for name in sorted(over - reported):
            print(f"{name}: {now[name].lower()}", flush=True)
            starts = 0
        reported |= over
        if over == now.keys():
            return now
        alone = alone + 1 if ALONE in status else 0
        if alone == PATIENCE:
            alone, starts = 0, starts + 1
            if starts > MOST_STARTS:
                raise LookupError(
                    "The queue's workers end again and again: see .dvc/tmp/exps/celery."
                )
            restart([name for name, state in now.items() if state == "Running"], jobs)
        time.sleep(POLL_SECONDS)


def restart(running: Sequence[str], jobs: int) -> None:
    """Start workers in place of those that were killed; what these had in work has failed."""
    lost = f"; {', '.join(running)} failed with them" if running else ""
    print(f"The queue's workers are gone: killed, perhaps for want of memory{lost}", flush=True)
    if running:
        dvc("queue", "kill", "--force", *running)
    dvc("queue", "start", "--jobs", str(jobs))


def reason(log: str) -> str:
    """What a failed experiment's stage said last, from the text of `dvc queue logs`.

    Empty where no stage failed, as when its worker was killed.
    """
    said, failed, _ = log.partition("ERROR: failed to reproduce")
    lines = said.rstrip().splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r"\w+: ", line)]
    return "\n".join(lines[starts[-1] :]) if failed and starts else ""


def report(ranked: Sequence[Trial], addresses: Mapping[str, str]) -> None:
    """Print the ranking, each experiment with its run's address, by its name, in MLflow."""
    for place, trial in enumerate(ranked, start=1):
        print(f"{place:>3}  {trial}\n     {addresses.get(trial.name, 'not in MLflow')}")
        if trial.score is None:
            try:
                said = reason(dvc("queue", "logs", trial.name))
            except CommandError as error:  # killed before it wrote one
                said = str(error)
            print(textwrap.indent(f"{said}\ndvc queue logs {trial.name}".strip(), "     "))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("grid", nargs="+", metavar="KEY=VALUES", help="as for `dvc exp run -S`")
    parser.add_argument("--jobs", type=int, default=2, help="experiments at the same time")
    arguments = parser.parse_args()
    params = params_show()
    sort, metric = params["train"]["sort"], params["evaluate"]["gate"]["metric"]
    keys = [values.split("=")[0].lstrip("+~") for values in arguments.grid]
    # To the millisecond: another machine may begin its part in the same second
    prefix = f"sweep-{datetime.now(UTC):%m%d-%H%M%S%f}"[:-3]
    try:
        start(prefix, arguments.grid, arguments.jobs)
        ended = wait(prefix, arguments.jobs)
        restored = restore(name for name, state in ended.items() if state == "Success")
        for name in restored:
            print(f"{name}: restored; DVC had its results, but not its name")
        ranked = rank(exp_show(), prefix, sort, metric, keys)
    except (CommandError, LookupError) as error:
        sys.exit(f"sweep: {error}")
    try:
        addresses = links(params["base"]["name"], ranked)
    except MlflowException as error:
        print(f"MLflow does not answer, so no run is linked: {error}", file=sys.stderr)
        addresses = {}
    print(f"\nBy {sort}, its mean over the training folds; beside it {metric} on the holdout")
    report(ranked, addresses)
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
