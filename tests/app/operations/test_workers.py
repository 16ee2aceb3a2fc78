"""Several workers of one server: a full disk, a read-only cache, a killed worker."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.app.conftest import EXAMPLE, lock, publish, write_model
from tests.app.namespace import fill, read_only, skip_without_namespaces, small_folder
from tests.app.processes import Running, folder_with_model, started
from tests.app.waiting import wait_for

KEY = {"X-API-Key": "a key"}
TWO = {"SERVE_WORKERS": "2", "SERVE_API_KEY": "a key"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    return folder_with_model(tmp_path)


def workers(server: Running) -> set[int]:
    """The processes that answer."""
    answering = set()
    for child in psutil.Process(server.process.pid).children():
        with suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                answering.add(child.pid)
    return answering


def with_model(client: httpx.Client) -> dict[str, float]:
    """How many workers serve each version."""
    lines = re.findall(
        r'^serve_model_info\{.*version="(\w+)"\} (\S+)$', client.get("/metrics").text, re.M
    )
    return {version: float(count) for version, count in lines}


def requests_of_many_kinds(client: httpx.Client) -> Iterator[httpx.Response]:
    """Each on a connection of its own, so that all workers get some; with new numbers to keep."""
    for _ in range(8):
        for path in ("/live", "/ready", "/model", "/nowhere", "/metrics", "/ping", "/health"):
            yield client.get(path, headers={"Connection": "close"})
        bodies: list[dict[str, Any]]
        bodies = [{"records": [EXAMPLE]}, {"records": []}, {"records": [{}]}, {}]
        for body in bodies:
            yield client.post("/predict/records", json=body, headers={**KEY, "Connection": "close"})


@pytest.mark.parametrize("size", [16 * 1024**2, 256 * 1024], ids=["later", "from the start"])
def test_full_folder_of_temporary_files_ends_no_worker(folder: Path, size: int) -> None:
    skip_without_namespaces()
    temporary = folder / "tmp"
    settings = {**TWO, "TMPDIR": str(temporary)}
    prepare = small_folder(temporary, size)
    with started(folder, "app", settings=settings, prepare=prepare) as server:
        wait_for(lambda: len(workers(server)) == 2)
        wait_for(lambda: set(with_model(server.client).values()) <= {1.0, 2.0})
        before = workers(server)
        fill(server.process.pid, temporary)
        assert all(reply.status_code < 500 for reply in requests_of_many_kinds(server.client))
        assert workers(server) == before


def test_killed_worker_counts_no_more(folder: Path) -> None:
    with started(folder, "app", settings=TWO) as server:
        # A worker counts before it writes, and what it did not write dies with it
        wait_for(lambda: (folder / "log").read_text().count('"event":"model"') == 2)
        assert [*with_model(server.client).values()] == [2.0]
        victim = min(workers(server))
        os.kill(victim, signal.SIGKILL)
        # Its successor has the model, too.
        wait_for(lambda: (folder / "log").read_text().count('"event":"model"') == 3)
        assert [*with_model(server.client).values()] == [2.0]


def test_reload_with_a_read_only_cache_reaches_all_workers(folder: Path) -> None:
    skip_without_namespaces()
    second = publish(write_model(folder / "new", shift=1.0), folder / "cache", folder / "dvc.lock")
    first = publish(folder / "model", folder / "cache", folder / "dvc.lock")
    prepare = read_only(folder / "cache")
    with started(folder, "app", settings=TWO, prepare=prepare) as server:
        wait_for(lambda: with_model(server.client) == {first: 2.0})
        lock(second, folder / "dvc.lock")
        reply = server.client.post("/reload", headers=KEY)
        assert reply.status_code == 200
        assert reply.json()["model"]["version"] == second
        wait_for(lambda: with_model(server.client) == {first: 0.0, second: 2.0})
