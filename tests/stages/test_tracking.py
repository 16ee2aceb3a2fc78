import getpass
import math

import pytest
from mlflow.tracking import MlflowClient

from stages.tracking import CANDIDATE_TAG, Tracking, active, lineage_tags


def test_a_metric_without_a_value_is_left_out(
    mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    tracking = Tracking("no-value")
    run = tracking.start("train", {})
    assert run is not None
    tracking.log(run, metrics={"AUC": math.nan, "F1": 0.5})
    assert tracking.client.get_run(run).data.metrics == {"F1": 0.5}


def test_an_experiment_opens_on_training(
    mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    client = MlflowClient(mlflow_server)
    client.create_experiment("by-hand")
    for name in ("by-hand", "new"):
        Tracking(name)
        tags = client.get_experiment_by_name(name).tags
        assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_a_run_is_named_anew_also_when_it_is_closed(
    mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    tracking = Tracking("names")
    run = tracking.start("train", lineage_tags())
    tracking.finish(run)
    tracking.rename(run, "lightgbm+xgboost · rmse 527")
    assert run is not None
    info = tracking.client.get_run(run).info
    assert (info.run_name, info.status) == ("lightgbm+xgboost · rmse 527", "FINISHED")
    assert info.user_id == getpass.getuser()


def test_a_complete_run_is_found_also_while_another_deploy_writes_to_it(
    mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    tracking = Tracking("at-once")
    incomplete, complete = tracking.start("train", {}), tracking.start("train", {})
    assert incomplete is not None
    assert complete is not None
    tracking.log(complete, tags={CANDIDATE_TAG: "a candidate"})
    tracking.finish(complete)
    with active(tracking, complete):
        run = Tracking("at-once").find("a candidate")
    assert run is not None
    assert run.info.run_id == complete
    assert run.info.status == "RUNNING"
