"""Every server is started, answers, is measured and is gone afterwards."""

import json

import psutil
import pytest

from benchmarks import load, serving
from benchmarks.workspace import Workspace


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # within MLflow
def test_all_figures_are_there(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--rounds=1", "--seconds=0.1", "--peer-seconds=0.1"]
    monkeypatch.setattr("sys.argv", ["serving", f"--root={workspace.root}", *arguments])
    monkeypatch.setattr(load, "tool", lambda: "python")  # wrk takes whole seconds only
    before = set(psutil.Process().children())
    serving.main()
    figures = json.loads(capsys.readouterr().out)
    assert figures["table_rows"] == 60
    assert set(figures["servers"]) == {"floor", "json_floor", "ours", "tutorial", "mlflow"}
    for name, server in figures["servers"].items():
        assert server["memory_mb"] > 10, name
        assert 0 < server["one_row_p50_ms"] <= server["one_row_p99_ms"], name
        assert server["requests_per_second"] > 0, name
    assert figures["cold_start"].keys() == {"on_disk_seconds", "pulled_from_s3_seconds"}
    assert all(value > 0 for value in figures["csv_in_process"].values())
    ours, tutorial = figures["servers"]["ours"], figures["servers"]["tutorial"]
    assert figures["ratios"]["ours_requests_per_second_per_tutorial"] == pytest.approx(
        ours["requests_per_second"] / tutorial["requests_per_second"]
    )
    assert set(psutil.Process().children()) == before
