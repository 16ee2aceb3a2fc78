"""Eight queued experiments, two at a time, against one tracking server: nothing is lost."""

import json
import re
import time
from typing import Any

import dvc.api
import pytest
from mlflow.tracking import MlflowClient

from lifecycle.ranking import rank
from lifecycle.sweep import OVER, states
from stages.files import settled
from tests.conftest import S3
from tests.project import Project, create, houses

pytestmark = pytest.mark.long

GRID = ("train.models=[ridge],[lasso]", "train.folds=2,3", "train.preprocess.normalize=null,zscore")
EXPERIMENTS = 8
PATIENCE_SECONDS = 540


@pytest.fixture(scope="module")
def project(s3: S3, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline ran once, with a change that is not committed."""
    built = create(tmp_path_factory.mktemp("sweep"), s3, mlflow_server, "sweep", houses(80))
    built.set(train__models=["lr"], train__blend=0, evaluate__gate__beat_baseline=False)
    built.run("dvc", "repro")
    built.commit("Run the pipeline")
    with (built.root / "Makefile").open("a") as file:
        file.write("# Not committed\n")
    return built


def wait(project: Project) -> dict[str, str]:
    """The experiments' states, once none is queued or running."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        now = states(project.run("dvc", "queue", "status").stdout, "eight")
        if len(now) == EXPERIMENTS and set(now.values()) <= OVER:
            return now
        assert time.monotonic() < deadline, now
        time.sleep(5)


def shown(project: Project) -> dict[str, dict[str, Any]]:
    """What `dvc exp show` has of each experiment."""
    baselines = json.loads(project.run("dvc", "exp", "show", "--json").stdout)
    return {
        experiment["name"]: experiment["revs"][0]["data"]
        for baseline in baselines
        for experiment in baseline["experiments"] or []
    }


@pytest.fixture(scope="module")
def swept(project: Project) -> Project:
    """The project after the eight experiments."""
    settings = [part for one in GRID for part in ("--set-param", one)]
    project.run("dvc", "exp", "run", "--queue", "--name", "eight", *settings, "evaluate")
    project.run("dvc", "queue", "start", "--jobs", "2")
    ended = wait(project)
    assert set(ended.values()) == {"Success"}
    project.run("python", "-m", "lifecycle.restore", *ended)  # DVC's workers may have met
    return project


def test_eight_queued_experiments_are_eight_complete_runs(
    swept: Project, mlflow_server: str
) -> None:
    client = MlflowClient(mlflow_server)
    experiment = client.get_experiment_by_name("sweep")
    runs = client.search_runs([experiment.experiment_id], "tags.`dvc.experiment` LIKE 'eight-%'")
    parents = {run.data.tags["dvc.experiment"]: run for run in runs}
    experiments = shown(swept)
    assert len(runs) == EXPERIMENTS
    assert parents.keys() == experiments.keys()
    baseline = swept.run("git", "rev-parse", "HEAD").stdout.strip()
    seen = set()
    for name, data in experiments.items():
        run = parents[name]
        assert (run.info.status, run.data.tags["stages"]) == ("FINISHED", "train evaluate")
        assert run.data.tags["dvc.baseline"] == baseline
        for metric, value in data["metrics"]["reports/metrics.json"]["data"]["model"].items():
            assert settled(run.data.metrics[f"model/{metric}"]) == value
        train = data["params"]["params.yaml"]["data"]["train"]
        for key in ("models", "folds"):
            assert run.data.params[f"train.{key}"] == str(train[key])
        seen.add((str(train["models"]), train["folds"], train["preprocess"]["normalize"]))
    assert len(seen) == EXPERIMENTS
    assert (swept.root / "Makefile").read_text().endswith("# Not committed\n")


def test_the_folds_rank_the_experiments(swept: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(swept.root)
    ranked = rank(dvc.api.exp_show(), "eight", "R2", "rmse", ["train.folds"])
    reports = {
        name: data["metrics"]["reports/metrics.json"]["data"] for name, data in shown(swept).items()
    }
    assert len(ranked) == EXPERIMENTS
    assert [one.score for one in ranked] == sorted(
        (report["folds"]["r2"]["mean"] for report in reports.values()), reverse=True
    )
    assert {one.name: one.holdout for one in ranked} == {
        name: report["model"]["rmse"] for name, report in reports.items()
    }


def test_an_experiment_that_lost_its_name_gets_it_back(swept: Project) -> None:
    ref = swept.run("git", "for-each-ref", "--format=%(refname)", "refs/exps/*/*/eight-3").stdout
    commit = swept.run("git", "rev-parse", ref.strip()).stdout
    swept.run("git", "update-ref", "-d", ref.strip())
    assert "eight-3" not in shown(swept)
    said = swept.run("python", "-m", "lifecycle.restore", "eight-2", "eight-3").stdout
    assert said == "eight-3: restored; `dvc exp show` has it again.\n"
    assert swept.run("git", "rev-parse", ref.strip()).stdout == commit
    assert len([name for name in shown(swept) if name.startswith("eight-")]) == EXPERIMENTS
    said = swept.run("python", "-m", "lifecycle.restore", "eight-2", "eight-3").stdout
    assert said == "Nothing to restore: `dvc exp show` has each of them.\n"


def test_what_the_queue_does_not_know_is_not_restored(project: Project) -> None:
    refused = project.run("python", "-m", "lifecycle.restore", "nine", check=False)
    assert refused.returncode == 1
    assert refused.stderr == "restore: nine is no success of the queue; see `dvc queue status`.\n"


def test_a_sweep_of_one_experiment_is_ranked(project: Project) -> None:
    said = project.run("python", "-m", "lifecycle.sweep", "train.folds=5").stdout
    assert re.search(
        r"By RMSE, its mean over the training folds; beside it rmse on the holdout\n"
        r"  1  sweep-\d+-\d+  folds [\d.]+  holdout [\d.]+  train\.folds=5\n"
        r" +http://\S+/runs/",
        said,
    ), said


def test_an_experiment_that_the_gate_refuses_says_why(project: Project) -> None:
    swept = project.run("python", "-m", "lifecycle.sweep", "evaluate.gate.limit=1", check=False)
    assert swept.returncode == 1
    assert swept.stderr == "sweep: no experiment succeeded.\n"
    assert re.search(
        r"  1  (sweep-\d+-\d+)  failed  evaluate\.gate\.limit=1\n"
        r"     not in MLflow\n"  # the training came from DVC's cache
        r"     evaluate: the candidate is not good enough, and nothing is deployed:\n"
        r"       rmse [\d.]+ is above the limit evaluate\.gate\.limit, 1, .*\n"
        r"     Find a better one .*\n"
        r"     dvc queue logs \1\n",
        swept.stdout,
    ), swept.stdout


def test_an_experiment_beside_a_dirty_tree_leaves_the_tree_alone(
    project: Project, mlflow_server: str
) -> None:
    before = project.run("git", "diff").stdout
    assert "# Not committed" in before
    project.run(
        *("dvc", "exp", "run", "--temp", "--name", "aside"),
        *("--set-param", "train.models=[ridge]", "--set-param", "train.folds=4", "evaluate"),
    )
    assert project.run("git", "diff").stdout == before
    client = MlflowClient(mlflow_server)
    experiment = client.get_experiment_by_name("sweep")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`dvc.experiment` = 'aside'")
    model = shown(project)["aside"]["metrics"]["reports/metrics.json"]["data"]["model"]
    assert (run.info.status, run.data.params["train.folds"]) == ("FINISHED", "4")
    assert {name: settled(run.data.metrics[f"model/{name}"]) for name in model} == model


def test_an_experiment_is_applied_and_branched(swept: Project) -> None:
    model = shown(swept)["eight-1"]["metrics"]["reports/metrics.json"]["data"]["model"]
    swept.run("git", "checkout", "--", "Makefile")
    swept.run("dvc", "exp", "branch", "eight-1", "kept")
    scores = json.loads(swept.run("git", "show", "kept:reports/metrics.json").stdout)
    assert scores["model"] == model
    swept.run("dvc", "exp", "apply", "eight-1")
    assert json.loads((swept.root / "reports" / "metrics.json").read_text()) == scores
    assert re.search(r"models:\s*\[?\s*-?\s*ridge", (swept.root / "params.yaml").read_text())
