import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import psutil
import pytest
from mlflow.tracking import MlflowClient

from local import services
from local.services import ServiceError, Started
from tests.conftest import S3, free_ports


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Started]:
    started = services.launch(
        "S3", [sys.executable, "-c", "import time; time.sleep(60)"], {}, tmp_path / "log"
    )
    yield started
    services.stop(started)


def write_env(folder: Path, endpoint: str, tracking: str, s3: S3 | None = None) -> None:
    keys = s3.environment() if s3 else {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    values = {
        **keys,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "MLFLOW_TRACKING_URI": tracking,
        "SERVE_REMOTE": f"s3://{s3.bucket if s3 else 'bucket'}/dvc",
    }
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def test_a_taken_port_is_named_with_its_owner(tmp_path: Path) -> None:
    base = free_ports(services.S3_PORTS)
    mlflow = f"http://127.0.0.1:{services.free_port()}"
    write_env(tmp_path, f"http://127.0.0.1:{base}", mlflow)
    with (
        socket.create_server(("127.0.0.1", base + 3)),
        pytest.raises(ServiceError, match=f"Port {base + 3}, .*S3.*process ") as refused,
    ):
        services.up(tmp_path)
    assert "AWS_ENDPOINT_URL" in str(refused.value)
    assert not (tmp_path / ".local" / "services.json").exists()


def test_services_elsewhere_are_not_ours_to_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_env(tmp_path, "https://s3.example.org", "")
    assert services.up(tmp_path) == []
    assert capsys.readouterr().out.splitlines() == [
        "S3 is not started: AWS_ENDPOINT_URL=https://s3.example.org is not http://127.0.0.1:PORT",
        "MLflow is not started: MLFLOW_TRACKING_URI= is not http://127.0.0.1:PORT",
    ]


def test_mlflow_beside_an_s3_elsewhere_keeps_its_artifacts_there(
    tmp_path: Path, s3: S3, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = s3.endpoint.replace("127.0.0.1", "localhost")
    tracking = f"http://127.0.0.1:{services.free_port()}"
    write_env(tmp_path, endpoint, tracking, s3)
    started = services.up(tmp_path)
    try:
        assert [one.name for one in started] == ["MLflow"]
        assert f"MLflow answers at {tracking}\n" in capsys.readouterr().out
        assert services.up(tmp_path) == []
        client = MlflowClient(tracking)
        run = client.create_run(client.create_experiment("elsewhere"))
        client.log_text(run.info.run_id, "kept", "note.txt")
    finally:
        for one in started:
            services.stop(one)
    bucket = services.s3_client(s3.environment())
    (stored,) = bucket.list_objects_v2(
        Bucket=s3.bucket, Prefix=f"mlflow/{run.info.experiment_id}/{run.info.run_id}/"
    )["Contents"]
    assert stored["Key"].endswith("/note.txt")


def test_an_empty_endpoint_is_amazons(monkeypatch: pytest.MonkeyPatch, s3: S3) -> None:
    empty = {**s3.environment(), "AWS_ENDPOINT_URL": ""}
    assert services.s3_client(empty).meta.endpoint_url.endswith(".amazonaws.com")
    # What MLflow's server does with its environment
    for name, value in empty.items():
        monkeypatch.setenv(name, value)
    assert boto3.client("s3").meta.endpoint_url.endswith(".amazonaws.com")


def test_a_server_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    started = services.launch("S3", [sys.executable, "-c", "exit('no disk')"], {}, log)
    with pytest.raises(ServiceError, match=r"S3 server ended(.|\n)*no disk"):
        services.wait(started, "http://127.0.0.1:9/", log)


def test_only_listens_on_loopback(s3: object) -> None:
    weeds = [p for p in psutil.process_iter(["name"]) if p.info["name"] == "weed"]
    listening = [c for p in weeds for c in p.net_connections("tcp") if c.status == "LISTEN"]
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}


def test_down_stops_what_up_started_and_nothing_else(tmp_path: Path, sleeper: Started) -> None:
    state = tmp_path / ".local" / "services.json"
    state.parent.mkdir()
    stranger = Started("MLflow", psutil.Process().pid, created=0.0)
    services.write_state(state, [sleeper, stranger])
    services.down(tmp_path)
    assert sleeper.process() is None
    assert psutil.pid_exists(stranger.pid)
    assert not state.exists()
