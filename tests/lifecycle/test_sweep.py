import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from mlflow.tracking import MlflowClient

from lifecycle.sweep import MOST_STARTS, main, reason, start, states, wait
from stages.repository import dvc
from tests.app.waiting import wait_for
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


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            "Running stage 'evaluate':\nevaluate: rmse 9\nevaluate: not good enough:\n  rmse 9\n"
            "ERROR: failed to reproduce 'evaluate': failed to run: python -m stages.evaluate\n",
            "evaluate: not good enough:\n  rmse 9",
        ),
        (
            "Traceback (most recent call last):\n  File\nKeyError: 'a'\n"
            "ERROR: failed to reproduce 'train': exited with 1\n",
            "KeyError: 'a'",
        ),
        ("Running stage 'train':\ntrain: fold 1 of 3\n", ""),
        ("", ""),
    ],
    ids=["a refusal", "a traceback", "killed", "nothing"],
)
def test_what_a_failed_experiment_said_last(log: str, expected: str) -> None:
    assert reason(log) == expected


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project of one stage that waits for a file named `go`; the working directory."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "params.yaml").write_text("a: 1\n")
    go = tmp_path / "go"
    (root / "dvc.yaml").write_text(
        f"stages: {{evaluate: {{cmd: 'until [ -e {go} ]; do sleep 0.1; done', params: [a]}}}}\n"
    )
    monkeypatch.chdir(root)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)  # the queue's workers look for `dvc` there
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "test")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "test@example.org")
    for command in (
        "git init --quiet",
        f"{sys.executable} -m dvc init --quiet",
        "git add --all",
        "git commit --quiet --message A",
    ):
        subprocess.run(command.split(), check=True)
    return root


def workers(root: Path) -> list[psutil.Process]:
    """Those of the project's queue, and what they run."""
    return [
        one
        for one in psutil.process_iter(["cwd"])
        if (one.info["cwd"] or "").startswith(str(root)) and one.pid != os.getpid()
    ]


@pytest.mark.long
def test_sweep_goes_on_when_its_workers_are_killed(
    queue: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lifecycle.sweep.POLL_SECONDS", 1.0)
    start("sweep", ["a=2,3"], 1)
    wait_for(lambda: "Running" in states(dvc("queue", "status"), "sweep").values(), seconds=60)
    while running := workers(queue):
        for process in running:
            with suppress(psutil.NoSuchProcess):  # it has ended with the one that started it
                process.kill()
    (queue.parent / "go").touch()
    ended = wait("sweep", 1)
    assert sorted(ended.values()) == ["Failed", "Success"]
    (failed,) = [name for name, state in ended.items() if state == "Failed"]
    assert f"for want of memory; {failed} failed with them" in capsys.readouterr().out


def test_workers_that_end_again_and_again_end_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[str, ...]] = []

    def dvc(*command: str) -> str:
        commands.append(command)
        return STATUS.replace("2 active", "0 active").replace("Running", "Queued")

    monkeypatch.setattr("lifecycle.sweep.dvc", dvc)
    monkeypatch.setattr("lifecycle.sweep.POLL_SECONDS", 0.0)
    with pytest.raises(LookupError, match="end again and again"):
        wait("sweep-1122-203429", 2)
    assert commands.count(("queue", "start", "--jobs", "2")) == MOST_STARTS
    assert all(command[:2] != ("queue", "kill") for command in commands)


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
