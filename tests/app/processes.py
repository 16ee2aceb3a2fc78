"""The server as a process of its own."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.app.conftest import publish, write_model
from tests.conftest import ROOT


@dataclass(frozen=True)
class Running:
    """A server, and a client of it."""

    process: subprocess.Popen[bytes]
    client: httpx.Client


def folder_with_model(folder: Path) -> Path:
    """A serving machine: the package, the lock file and a cached model, nothing else."""
    shutil.copytree(ROOT / "app", folder / "app", ignore=shutil.ignore_patterns("__pycache__"))
    publish(write_model(folder / "model"), folder / "cache", folder / "dvc.lock")
    return folder


def environment(folder: Path, **settings: str) -> dict[str, str]:
    given = {
        "PYTHONPATH": str(folder),
        "SERVE_REMOTE": "s3://bucket/prefix",
        "SERVE_MODEL_CACHE": str(folder / "cache"),
        **settings,
    }
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SERVE_", "AWS_"))}
    return {**clean, **given}


@contextmanager
def started(
    folder: Path,
    *command: str,
    output: int | None = None,
    prepare: Callable[[], None] | None = None,
    until: str = "/ready",
    settings: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Run a server until the end of the block.

    Args:
        folder: where it runs; its log is the file `log` there.
        command: what comes after `python -m`; PORT stands for the port.
        output: a file descriptor for its standard output, instead of the log.
        prepare: what the new process does first.
        until: the route that must answer 200 before the block begins.
        settings: environment variables.
    """
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [argument.replace("PORT", str(port)) for argument in command]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=folder,
            env=environment(folder, SERVE_PORT=str(port), **(settings or {})),
            stdout=log if output is None else output,
            stderr=log,
            preexec_fn=prepare,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            deadline = time.monotonic() + 30
            while not _answers(client, until):
                text = (folder / "log").read_text()
                assert process.poll() is None, text
                assert time.monotonic() < deadline, text
                time.sleep(0.05)
            yield Running(process, client)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _answers(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def running(folder: Path, *command: str, **settings: str) -> Iterator[httpx.Client]:
    """A client of a server that runs until the end of the block."""
    with started(folder, *command, settings=settings) as server:
        yield server.client


def metric(client: httpx.Client, line: str) -> float:
    """The value of a metric, 0 where it does not exist yet."""
    found = re.search(rf"^{re.escape(line)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0
