"""Real services for the tests, on ports and in folders of their own."""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.processes import Service, free_port, stop, wait
from local.s3 import S3_PORTS, create_bucket, start_s3
from local.services import start_mlflow
from stages.arithmetic import CAP
from stages.params import Params, validate

ROOT = Path(__file__).parents[1]

# Before a test loads a library that counts to it: the tests run at the same time
os.environ.setdefault("GOMP_SPINCOUNT", CAP["GOMP_SPINCOUNT"])

KEY, SECRET, BUCKET = "test-key", "test-secret", "tests"


@dataclass(frozen=True)
class S3:
    """An S3 server of the tests' own."""

    endpoint: str
    bucket: str = BUCKET
    key_id: str = KEY
    secret: str = SECRET

    def environment(self) -> dict[str, str]:
        """The variables by which boto3, DVC and MLflow find it."""
        return {
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that are free now, below the ephemeral range."""
    for _ in range(100):
        base = random.randrange(12_000, 32_000 - count)
        with ExitStack() as stack:
            try:
                for port in range(base, base + count):
                    one = stack.enter_context(closing(socket.socket()))
                    one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    raise RuntimeError(f"no {count} neighbouring free ports found")


# Slow are the tests that need one of these services, and what trains models, starts servers of its
# own or runs DVC's commands.
SERVICES = {"s3", "azure", "google", "cloud", "mlflow_server"}
SLOW = (
    "app/batch/test_command.py",
    "app/http/test_memory.py",
    "app/operations/test_pull.py",
    "app/operations/test_workers.py",
    "app/test_start.py",
    "app/test_tls.py",
    "benchmarks",
    "chaos",
    "lifecycle/test_new_data.py",
    "local/test_demo.py",
    "local/test_policies.py",
    "local/test_s3.py",
    "local/test_services.py",
    "stages/deployment",
    "stages/onnx_writer/test_conversion.py",
    "stages/onnx_writer/test_convert.py",
    "stages/onnx_writer/test_edge_rows.py",
    "stages/test_main.py",
    "stages/training",
    "test_arithmetic.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, and begin with it, so that no worker is left with one of them."""
    slow_paths = [ROOT / "tests" / name for name in SLOW]
    for item in items:
        needs_service = SERVICES.intersection(getattr(item, "fixturenames", ()))
        if needs_service or any(item.path.is_relative_to(path) for path in slow_paths):
            item.add_marker("slow")
    slow_files = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow_files)


@contextmanager
def running(service: Service, url: str) -> Iterator[Service]:
    """A service that was started, once it answers at a URL; stopped at the end."""
    try:
        wait(service, url)
        yield service
    finally:
        stop(service)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """SeaweedFS with one bucket, for the whole session."""
    folder = tmp_path_factory.mktemp("s3")
    port = free_ports(S3_PORTS)
    service = start_s3(folder, port, KEY, SECRET)
    server = S3(f"http://127.0.0.1:{port}")
    with running(service, f"{server.endpoint}/healthz"):
        create_bucket(BUCKET, server.environment())
        yield server


@contextmanager
def running_mlflow(folder: Path, s3: S3, database: str = "") -> Iterator[str]:
    """The URL of an MLflow server with its artifacts in an S3, and SQLite unless given another."""
    port = free_port()
    artifacts = f"s3://{s3.bucket}/{folder.name}"
    service = start_mlflow(folder, port, artifacts, s3.environment(), database)
    url = f"http://127.0.0.1:{port}"
    with running(service, f"{url}/health"):
        yield url


@pytest.fixture(scope="session")
def mlflow_server(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an MLflow server with SQLite and its artifacts in the tests' S3."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow"), s3) as url:
        yield url


def params_with(changes: dict[str, Any]) -> Params:
    """The committed parameters with some keys, named by their dotted path, changed."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    for path, value in changes.items():
        *blocks, key = path.split(".")
        block = raw
        for name in blocks:
            block = block[name]
        block[key] = value
    return validate(raw)
