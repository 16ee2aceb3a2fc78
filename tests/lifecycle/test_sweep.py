import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from lifecycle.sweep import main, states
from tests.conftest import S3
from tests.project import Project, create, houses

STATUS = """\
Task     Name                 Created    Status
2312da6  sweep-1122-203429-1  08:34 PM   Running
9ed7246  sweep-1122-203429-2  08:34 PM   Queued
2b0706b  sweep-1122-203429-12 Nov 22, 2026   Success
7fe1b99  sweep-1122-999999-1  08:20 PM   Failed
92ed9b0  weest-apex           07:59 PM   Success

Worker status: 2 active, 0 idle
"""


def test_the_states_of_one_sweep_are_read() -> None:
    assert states(STATUS, "sweep-1122-203429") == {
        "sweep-1122-203429-1": "Running",
        "sweep-1122-203429-2": "Queued",
        "sweep-1122-203429-12": "Success",
    }


def test_a_sweep_of_one_is_read_by_the_name_that_dvc_does_not_number() -> None:
    assert states(STATUS, "weest-apex") == {"weest-apex": "Success"}


def test_a_sweep_of_which_nothing_was_queued_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "lifecycle.sweep.dvc", lambda *command: "No experiment tasks in the queue.\n"
    )
    monkeypatch.setattr("sys.argv", ["sweep", "train.folds=3"])
    with pytest.raises(SystemExit, match="DVC queued no experiment named sweep-"):
        main()


@pytest.mark.long
def test_two_machines_share_what_they_try(s3: S3, mlflow_server: str, tmp_path: Path) -> None:
    """As docs/experiments.md says: one Git remote, one S3, one MLflow, an experiment on each."""
    mine = create(tmp_path / "mine", s3, mlflow_server, "machines", houses())
    mine.run("dvc", "repro")
    mine.commit("A version")
    mine.run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "git"))
    mine.run("git", "remote", "add", "origin", str(tmp_path / "git"))
    mine.run("git", "push", "--quiet", "--set-upstream", "origin", "main")
    mine.run("dvc", "push")
    mine.run("git", "clone", "--quiet", str(tmp_path / "git"), str(tmp_path / "theirs"))
    theirs = Project(tmp_path / "theirs", mine.environment)
    shutil.copy(mine.root / ".dvc" / "config.local", theirs.root / ".dvc")
    theirs.run("dvc", "pull")

    def experiment(project: Project, name: str, change: str) -> None:
        project.run("dvc", "exp", "run", "--name", name, "-S", change, "evaluate")
        project.run("dvc", "exp", "push", "origin", name)

    with ThreadPoolExecutor(2) as machines:
        tries = [
            machines.submit(experiment, mine, "linear", "train.models=[ridge]"),
            machines.submit(experiment, theirs, "trees", "train.models=[lightgbm]"),
        ]
        for one in tries:
            one.result()

    mine.run("dvc", "exp", "pull", "origin", "trees")
    shown = mine.run("dvc", "exp", "show", "--csv", "--hide-workspace").stdout
    assert {"linear", "trees"} <= set(shown.replace("\n", ",").split(","))
    mine.run("git", "checkout", "--quiet", ".")
    mine.run("dvc", "exp", "apply", "trees")
    for name in ("reports/metrics.json", "dvc.lock"):
        assert (mine.root / name).read_bytes() == (theirs.root / name).read_bytes()
    client = MlflowClient(mlflow_server)
    runs = client.search_runs([client.get_experiment_by_name("machines").experiment_id])
    assert {"linear", "trees"} <= {run.data.tags.get("dvc.experiment") for run in runs}
