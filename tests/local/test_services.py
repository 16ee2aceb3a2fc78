import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
import httpx
import nats.errors
import pytest
from dotenv import dotenv_values
from mlflow.tracking import MlflowClient
from nats.aio.client import Client

from local import services
from local.processes import ServiceError, free_port, stop
from local.s3 import S3_PORTS, s3_client
from tests.conftest import ROOT, S3, free_ports


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


@pytest.fixture(autouse=True)
def no_settings_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in dotenv_values(ROOT / ".env.example"):
        monkeypatch.delenv(name, raising=False)


def test_an_s3_of_another_clone_is_shared_by_its_key(
    tmp_path: Path, s3: S3, capsys: pytest.CaptureFixture[str]
) -> None:
    write_env(tmp_path, s3.endpoint, "", s3)
    assert services.up(tmp_path) == []
    assert f"S3 answers at {s3.endpoint}, started elsewhere" in capsys.readouterr().out
    services.down(tmp_path)
    s3_client(s3.environment()).list_buckets()
    write_env(tmp_path, s3.endpoint, "")
    with pytest.raises(
        ServiceError, match=r"refuses its key\. To share it, copy AWS_ACCESS_KEY_ID"
    ):
        services.up(tmp_path)


def test_the_environment_goes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_env(tmp_path, "https://s3.example.org", "http://127.0.0.1:5000")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    assert services.up(tmp_path) == []
    assert "MLFLOW_TRACKING_URI=https://mlflow.example.org is not" in capsys.readouterr().out


def test_a_taken_port_is_named_with_its_owner(tmp_path: Path) -> None:
    base = free_ports(S3_PORTS)
    write_env(tmp_path, f"http://127.0.0.1:{base}", f"http://127.0.0.1:{free_port()}")
    with (
        socket.create_server(("127.0.0.1", base + 3)),
        pytest.raises(ServiceError, match=f"Port {base + 3}, .*S3.*process ") as refused,
    ):
        services.up(tmp_path)
    assert "AWS_ENDPOINT_URL" in str(refused.value)
    assert not (tmp_path / ".local" / "logs").exists()


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
    tracking = f"http://127.0.0.1:{free_port()}"
    write_env(tmp_path, endpoint, tracking, s3)
    started = services.up(tmp_path)
    try:
        assert [service.name for service in started] == ["MLflow"]
        assert f"MLflow answers at {tracking}\n" in capsys.readouterr().out
        assert services.up(tmp_path) == []
        client = MlflowClient(tracking)
        run = client.create_run(client.create_experiment("elsewhere"))
        client.log_text(run.info.run_id, "kept", "note.txt")
    finally:
        for service in started:
            stop(service)
    (stored,) = s3_client(s3.environment()).list_objects_v2(
        Bucket=s3.bucket, Prefix=f"mlflow/{run.info.experiment_id}/{run.info.run_id}/"
    )["Contents"]
    assert stored["Key"].endswith("/note.txt")


def test_an_mlflow_whose_parent_was_killed_is_replaced(tmp_path: Path) -> None:
    tracking = f"http://127.0.0.1:{free_port()}"
    write_env(tmp_path, "", tracking)
    try:
        (killed,) = services.up(tmp_path)
        assert killed.child is not None
        killed.child.send_signal(signal.SIGKILL)
        killed.child.wait()
        orphans = killed.processes()
        assert orphans
        (replaced,) = services.up(tmp_path)
        assert not any(orphan.is_running() for orphan in orphans)
        assert httpx.get(f"{tracking}/health").status_code == 200
        assert replaced.child is not None
        replaced.child.send_signal(signal.SIGKILL)
        replaced.child.wait()
    finally:
        services.down(tmp_path)
    with socket.create_server(("127.0.0.1", int(tracking.rsplit(":", 1)[1]))):
        assert replaced.processes() == []


def test_two_at_once_start_one_service_which_down_stops(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_ports(S3_PORTS)}"
    write_env(tmp_path, endpoint, "")
    command = [sys.executable, "-m", "local.services"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ups = [
        subprocess.Popen(
            [*command, "up"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    s3 = services.service(tmp_path / ".local", "S3")
    try:
        outputs = [up.communicate()[0] for up in ups]
        assert [up.returncode for up in ups] == [0, 0]
        assert [f"S3 answers at {endpoint}\n" in output for output in outputs] == [True, True]
        assert len(s3.processes()) == 1
        done = subprocess.run(
            [*command, "down"], cwd=tmp_path, env=environment, capture_output=True, check=True
        )
        assert done.stdout.decode().splitlines() == ["S3 stopped", "MLflow was not running"]
        assert s3.processes() == []
    finally:
        stop(s3)


def test_an_empty_endpoint_is_amazons(monkeypatch: pytest.MonkeyPatch, s3: S3) -> None:
    empty = {**s3.environment(), "AWS_ENDPOINT_URL": ""}
    assert s3_client(empty).meta.endpoint_url.endswith(".amazonaws.com")
    # What MLflow's server does with its environment
    for name, value in empty.items():
        monkeypatch.setenv(name, value)
    assert boto3.client("s3").meta.endpoint_url.endswith(".amazonaws.com")


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}])
def test_no_web_page_writes_to_mlflow(mlflow_server: str, headers: dict[str, str]) -> None:
    create = f"{mlflow_server}/api/2.0/mlflow/experiments/create"
    assert httpx.post(create, json={"name": "page"}, headers=headers).status_code == 403
    own = {"name": f"own {time.time_ns()}"}
    assert httpx.post(create, json=own).status_code == 200


def test_a_broker_is_started_when_asked_for_and_needs_its_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_env(tmp_path, "", "")
    port = free_port()
    with (tmp_path / ".env").open("a") as file:
        file.write(f"NATS_URL=nats://local:secret@127.0.0.1:{port}\n")
    assert services.up(tmp_path) == []
    (started,) = services.up(tmp_path, stream=True)
    try:
        assert f"NATS answers at nats://127.0.0.1:{port}\n" in capsys.readouterr().out
        assert services.up(tmp_path, stream=True) == []
        with pytest.raises(nats.errors.Error, match="Authorization"):
            asyncio.run(connect(f"nats://local:wrong@127.0.0.1:{port}"))
        asyncio.run(connect(f"nats://local:secret@127.0.0.1:{port}"))
        services.down(tmp_path)
        assert "NATS stopped" in capsys.readouterr().out
        assert started.first() is None
    finally:
        stop(started)


async def connect(url: str) -> None:
    async def ignore(error: Exception) -> None:
        pass

    client = Client()
    try:
        await client.connect(url, allow_reconnect=False, error_cb=ignore)
    finally:  # a refused connection is open, too
        await client.close()


def test_a_broker_without_a_password_is_refused(tmp_path: Path) -> None:
    write_env(tmp_path, "", "")
    with pytest.raises(ServiceError, match=r"NATS_URL in \.env is not nats://USER:PASSWORD"):
        services.up(tmp_path, stream=True)
