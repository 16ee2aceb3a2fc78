"""The main job on a small table: rebuild, push, pull, compare, fail well."""

import json
import re
import shutil
import sys
from pathlib import Path

import joblib
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from mlflow.tracking import MlflowClient

from app.model.model import Model
from stages.files import md5, settled
from stages.schema import Schema, model_frame, read_prepared
from stages.training.note import title
from tests.conftest import S3
from tests.project import Project, create, houses


@pytest.fixture(scope="module")
def project(s3: S3, mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose pipeline ran once, was pushed and committed."""
    built = create(tmp_path_factory.mktemp("project"), s3, mlflow_server, "houses", houses())
    built.run("dvc", "repro")
    built.run("dvc", "push")
    built.commit("Run the pipeline")
    return built


@pytest.fixture
def client(mlflow_server: str) -> MlflowClient:
    return MlflowClient(mlflow_server)


def test_a_rebuild_on_a_fresh_clone_leaves_the_lock_as_it_was(
    project: Project, tmp_path: Path
) -> None:
    """Also while no tracking server answers, which is said loudly and stops nothing."""
    clone = project.clone(tmp_path / "clone")
    offline = Project(
        clone.root, {**clone.environment, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    )
    offline.run("dvc", "pull", "data.dvc")
    done = offline.run("dvc", "repro", "--force")
    assert "MLFLOW: NOT LOGGED" in done.stderr
    assert clone.run("git", "status", "--porcelain").stdout == ""
    assert not (clone.root / "logs.log").exists()  # PyCaret's, which Git ignores
    assert (clone.root / "dvc.lock").read_bytes() == (project.root / "dvc.lock").read_bytes()


def test_an_index_of_git_that_is_locked_stops_no_stage(project: Project, tmp_path: Path) -> None:
    """As after a SIGKILL, or while an editor looks at the work tree."""
    clone = project.clone(tmp_path / "clone")
    clone.run("dvc", "pull", "data.dvc")
    lock = clone.root / ".git" / "index.lock"
    lock.touch()
    clone.run("dvc", "repro", "--force", "prepare")
    lock.unlink()
    assert clone.run("git", "status", "--porcelain").stdout == ""


def test_everything_comes_back_from_s3(project: Project) -> None:
    for name in ("data", "model", "prepared", ".dvc/cache"):
        shutil.rmtree(project.root / name)
    project.run("dvc", "pull")
    assert "up to date" in project.run("dvc", "status").stdout
    assert "in sync" in project.run("dvc", "status", "-c").stdout


def test_notebook_shows_the_served_model_and_the_experiments(
    project: Project, s3: S3, tmp_path: Path
) -> None:
    settings = {
        "SERVE_REMOTE": f"s3://{s3.bucket}/houses",
        "SERVE_MODEL_CACHE": str(tmp_path / "cache"),
    }
    reader = Project(project.root, {**project.environment, **settings})
    page = reader.root / ".local" / "explore.html"
    alone = ("--no-print-directory", "--old-file=setup", f"BIN={Path(sys.executable).parent}")
    done = reader.run("make", "notebook", *alone)
    assert done.stdout.splitlines()[-1] == ".local/explore.html"
    assert done.stderr == ""
    text = page.read_text()
    assert md5(project.root / "model" / "serving").removesuffix(".dir") in text
    assert text.count("<img ") == 2
    assert " · rmse " in text
    assert re.search(r"<(script|link)[^>]*https?:", text) is None


@pytest.mark.filterwarnings("ignore:distutils Version:DeprecationWarning")  # within PyCaret
@pytest.mark.filterwarnings("ignore:Setuptools is replacing distutils:UserWarning")
def test_one_parent_run_holds_what_the_reports_hold(project: Project, client: MlflowClient) -> None:
    lock = yaml.safe_load((project.root / "dvc.lock").read_text())
    candidate = lock["stages"]["train"]["outs"][0]["md5"]
    experiment = client.get_experiment_by_name("houses")
    runs = client.search_runs(
        [experiment.experiment_id],
        f"tags.candidate_md5 = '{candidate}'",
        order_by=["attributes.start_time ASC"],
    )
    first = runs[0]
    assert first.info.status == "FINISHED"
    scores = json.loads((project.root / "reports" / "metrics.json").read_text())
    assert first.info.run_name.endswith(f" · rmse {scores['model']['rmse']:.4g}")
    fitted = joblib.load(project.root / "model" / "candidate" / "pipeline.pkl")
    assert first.info.run_name.startswith(f"{title(fitted.steps[-1][1])} · ")
    note = first.data.tags["mlflow.note.content"]
    assert "| ridge | compare |" in note
    assert first.data.tags["mlflow.source.git.commit"] in note
    assert first.data.tags["stages"] == "train evaluate deploy"
    assert first.data.tags["version_md5"] == lock["stages"]["deploy"]["outs"][1]["md5"]
    assert first.data.params["train.models"] == "['lightgbm', 'ridge']"
    for metric, value in scores["model"].items():
        assert settled(first.data.metrics[f"model/{metric}"]) == value
    (read,) = first.inputs.dataset_inputs
    assert lock["stages"]["prepare"]["outs"][0]["md5"].startswith(read.dataset.digest)
    nested = client.search_runs(
        [experiment.experiment_id], f"tags.`mlflow.parentRunId` = '{first.info.run_id}'"
    )
    assert {run.info.status for run in nested} == {"FINISHED"}
    assert sorted(run.data.tags["step"] for run in nested) == [
        "blend_models",
        "compare_models",
        "compare_models",
        "finalize_model",
    ]
    blend = next(run for run in nested if run.data.tags["step"] == "blend_models")
    folds = client.get_metric_history(blend.info.run_id, "each fold/RMSE")
    assert len(folds) == 2
    assert np.mean([fold.value for fold in folds]) == pytest.approx(
        blend.data.metrics["folds/RMSE"], rel=1e-3
    )
    plots = {file.path for file in client.list_artifacts(first.info.run_id, "plots")}
    assert {"plots/residuals.png", "plots/importance.csv"} <= plots


@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")  # within MLflow
def test_the_registered_champion_is_the_locked_version_and_answers(
    project: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = client.get_model_version_by_alias("houses", "champion")
    assert champion.tags["version_md5"] == md5(project.root / "model" / "serving")
    assert "On the holdout: rmse " in champion.description
    assert champion.tags["version_md5"] in champion.description
    assert "`floor area` (number)" in client.get_registered_model("houses").description
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    loaded = mlflow.pyfunc.load_model("models:/houses@champion")
    manifest = json.loads((project.root / "model/serving/manifest.json").read_text())
    answer = loaded.predict(pd.DataFrame([manifest["example"]["record"]]))
    assert answer["prediction"].tolist() == [pytest.approx(manifest["example"]["prediction"])]


@pytest.mark.filterwarnings("ignore:distutils Version:DeprecationWarning")  # within PyCaret
@pytest.mark.filterwarnings("ignore:Setuptools is replacing distutils:UserWarning")
def test_the_served_model_answers_as_the_fitted_pipeline(project: Project) -> None:
    prepared = project.root / "prepared"
    schema = Schema.read(prepared / "schema.json")
    holdout = read_prepared(prepared / "test.parquet", schema)
    pipeline = joblib.load(project.root / "model" / "final" / "pipeline.pkl")
    fitted = pipeline.predict(model_frame(holdout, schema))
    served = Model.load(project.root / "model" / "serving").predict_table(
        pa.Table.from_pandas(holdout)
    )
    np.testing.assert_allclose(served.values, fitted, rtol=1e-9)


def test_a_model_below_the_gate_is_not_deployed(project: Project, tmp_path: Path) -> None:
    clone = project.clone(tmp_path / "clone")
    clone.run("dvc", "pull")
    clone.set(evaluate__gate__limit=1.0)
    done = clone.run("dvc", "repro", check=False)
    assert done.returncode != 0
    assert "above the limit evaluate.gate.limit, 1, by" in done.stderr
    assert "Find a better one with train.models" in done.stderr
    before = yaml.safe_load((project.root / "dvc.lock").read_text())["stages"]["deploy"]
    assert yaml.safe_load((clone.root / "dvc.lock").read_text())["stages"]["deploy"] == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base__target": "prise"}, "base.target: the table has no column 'prise'"),
        ({"base__target": "new"}, "base.task is regression, but the target 'new'"),
        ({"prepare__drop": ["flor area"]}, "prepare.drop: the table has no column 'flor area'"),
        ({"prepare__drops": []}, "prepare.drops: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_parameter_ends_in_a_sentence_and_a_second_try_works(
    project: Project, changes: dict[str, object], message: str
) -> None:
    params = (project.root / "params.yaml").read_text()
    try:
        project.set(**changes)
        done = project.run("dvc", "repro", "prepare", check=False)
        assert done.returncode != 0
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        (project.root / "params.yaml").write_text(params)
    project.run("dvc", "repro")
    assert project.run("git", "status", "--porcelain").stdout == ""


def test_a_worse_model_stays_a_challenger_and_its_report_says_so(
    project: Project, client: MlflowClient, tmp_path: Path
) -> None:
    champion = client.get_model_version_by_alias("houses", "champion")
    params = (project.root / "params.yaml").read_text()
    try:
        project.set(train__models=["dummy"], train__blend=0, evaluate__gate__beat_baseline=False)
        done = project.run("dvc", "repro")
        assert "is a challenger, the champion stays: rmse" in done.stdout
        assert client.get_model_version_by_alias("houses", "champion") == champion
        challenger = client.get_model_version_by_alias("houses", "challenger")
        assert challenger.tags["version_md5"] == md5(project.root / "model" / "serving")
        assert "Challenger when it was deployed: rmse" in challenger.description
        project.run("python", "-m", "lifecycle.report", "--folder", str(tmp_path))
    finally:
        (project.root / "params.yaml").write_text(params)
        project.run("git", "checkout", "--", ".")
    project.run("dvc", "checkout")
    text = (tmp_path / "working-directory.md").read_text()
    assert ", worse than the version before (" in text.splitlines()[2]
    assert "| `train.models` | `['lightgbm', 'ridge']` | `['dummy']` |" in text
    assert "commit `not committed`" in text
    assert "The data are the same." in text
    runs = client.search_runs(
        [client.get_experiment_by_name("houses").experiment_id],
        f"tags.version_md5 = '{challenger.tags['version_md5']}'",
    )
    (run,) = [one for one in runs if "mlflow.parentRunId" not in one.data.tags]
    assert run.info.run_name.startswith("dummy · rmse ")
    logged = {file.path for file in client.list_artifacts(run.info.run_id, "report")}
    assert logged == {"report/working-directory.html", "report/working-directory.md"}


def test_a_report_of_a_commit_needs_no_working_directory(project: Project, tmp_path: Path) -> None:
    clone = project.clone(tmp_path / "clone")
    done = clone.run("python", "-m", "lifecycle.report", "HEAD", "--folder", str(tmp_path))
    assert len(done.stdout.splitlines()) == 2
    commit = clone.run("git", "rev-parse", "HEAD").stdout.strip()
    clone.run("python", "-m", "lifecycle.report", "--folder", str(tmp_path))
    assert f"commit `{commit}`" in (tmp_path / "working-directory.md").read_text()
    text = (tmp_path / "HEAD.html").read_text()
    assert f"make verify REV={commit}" in text
    assert "there is no other version to compare it with." in text
    refused = clone.run("python", "-m", "lifecycle.report", "no-such", check=False)
    assert refused.returncode == 1
    assert "'no-such' is no commit, branch, tag or DVC experiment" in refused.stderr


def test_a_report_stands_beside_a_version_of_the_same_model_alone(
    project: Project, tmp_path: Path
) -> None:
    clone = project.clone(tmp_path / "clone")
    lock = clone.root / "dvc.lock"
    now = lock.read_text()
    stages = yaml.safe_load(now)["stages"]
    outputs = {out["path"]: out["md5"] for one in stages.values() for out in one["outs"]}
    before = now.replace(outputs["prepared"], f"{0:032x}.dir")
    lock.write_text(before.replace(outputs["model/serving"], f"{1:032x}.dir"))
    clone.commit("Before, with tables that nobody pushed")
    lock.write_text(now)
    clone.commit("Now")
    report = ("python", "-m", "lifecycle.report", "HEAD", "--folder", str(tmp_path))
    assert "report: DVC has no longer the tables of " in clone.run(*report).stdout
    assert "the same as the version before." in (tmp_path / "HEAD.md").read_text()
    clone.set(base__name="another")
    clone.commit("Another model")
    clone.run(*report)
    assert "there is no other version to compare it with." in (tmp_path / "HEAD.html").read_text()
