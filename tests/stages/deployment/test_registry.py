"""The registry beside `dvc.lock`, on a real MLflow server."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stages.deployment import registry
from stages.deployment.registry import CHAMPION, VERSION, Contender, register
from stages.tracking import Tracking
from tests.app.conftest import write_model


@pytest.mark.filterwarnings("ignore:.*Any type hint")
def test_version_that_two_deploy_at_once_is_registered_once(
    mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    folder = write_model(tmp_path / "serving")
    contender = Contender("mae", "better", pa.table({}))
    tracking = Tracking("twice")
    run = tracking.client.create_run(tracking.experiment_id)
    log = registry._log

    def log_after_another(*arguments: Any) -> str:
        monkeypatch.setattr(registry, "_log", log)
        register(tracking, run, folder, "a version", contender)
        return log(*arguments)

    monkeypatch.setattr(registry, "_log", log_after_another)
    register(tracking, run, folder, "a version", contender)
    assert tracking.lost is None
    (version,) = tracking.client.search_model_versions(f"tag.{VERSION} = 'a version'")
    champion = tracking.client.get_model_version_by_alias("tiny", CHAMPION)
    assert champion.version == version.version
