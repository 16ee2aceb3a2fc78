import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local import services
from local.services import ServiceError, Started
from tests.conftest import free_ports


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Started]:
    started = services.launch(
        "S3", [sys.executable, "-c", "import time; time.sleep(60)"], {}, tmp_path / "log"
    )
    yield started
    services.stop(started)


def write_env(folder: Path, s3_port: int, mlflow_port: int) -> None:
    (folder / ".env").write_text(
        "AWS_ACCESS_KEY_ID=k\nAWS_SECRET_ACCESS_KEY=s\nAWS_DEFAULT_REGION=us-east-1\n"
        f"AWS_ENDPOINT_URL=http://127.0.0.1:{s3_port}\n"
        f"MLFLOW_TRACKING_URI=http://127.0.0.1:{mlflow_port}\nSERVE_REMOTE=s3://bucket/dvc\n"
    )


def test_a_taken_port_is_named_with_its_owner(tmp_path: Path) -> None:
    base = free_ports(services.S3_PORTS)
    write_env(tmp_path, base, services.free_port())
    with (
        socket.create_server(("127.0.0.1", base + 3)),
        pytest.raises(ServiceError, match=f"Port {base + 3}, .*S3.*process ") as refused,
    ):
        services.up(tmp_path)
    assert "AWS_ENDPOINT_URL" in str(refused.value)
    assert not (tmp_path / ".local" / "services.json").exists()


def test_services_elsewhere_are_not_ours_to_start(tmp_path: Path) -> None:
    write_env(tmp_path, 1, 2)
    text = (tmp_path / ".env").read_text()
    (tmp_path / ".env").write_text(text.replace("http://127.0.0.1:1\n", "https://s3.example.org\n"))
    with pytest.raises(ServiceError, match=r"s3\.example\.org is not on this machine"):
        services.up(tmp_path)


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
