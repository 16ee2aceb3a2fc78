"""A cache that cannot be written: nothing is counted, and all else goes on."""

from pathlib import Path

from tests.app.conftest import EXAMPLE, publish, write_model
from tests.app.drift.conftest import reference
from tests.app.namespace import read_only, skip_without_namespaces
from tests.app.processes import folder_with_model, started


def test_a_cache_that_cannot_be_written_costs_only_the_counts(tmp_path: Path) -> None:
    skip_without_namespaces()
    folder = folder_with_model(tmp_path)
    counted = write_model(tmp_path / "counted", reference=reference("regression"))
    publish(counted, folder / "cache", folder / "dvc.lock")
    with started(folder, "app", prepare=read_only(folder / "cache")) as server:
        reply = server.client.post("/predict/records", json={"records": [EXAMPLE]})
        assert reply.status_code == 200
        metrics = server.client.get("/metrics")
        assert metrics.status_code == 200
        assert "serve_rows_total" in metrics.text
        for reply in (
            server.client.get("/drift"),
            server.client.post("/truth", json={"truths": [{"id": "x", "value": 1}]}),
        ):
            assert reply.status_code == 503
            assert "Read-only file system" in reply.json()["detail"]
