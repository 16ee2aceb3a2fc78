import math

import pytest

from stages.tracking import Tracking


def test_a_metric_without_a_value_is_left_out(
    mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    tracking = Tracking("no-value")
    run = tracking.start("train", {})
    assert run is not None
    tracking.log(run, metrics={"AUC": math.nan, "F1": 0.5})
    assert tracking.client.get_run(run).data.metrics == {"F1": 0.5}
