"""Parts on a Dask cluster: the bytes of one process, whatever becomes of the workers."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from local.processes import free_port
from tests.app.batch.conftest import csv_text, records
from tests.app.batch.test_command import batch, command, environment
from tests.app.conftest import publish, write_model

PARTS = 6
LOCAL = ("--host=127.0.0.1", "--no-dashboard")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a locked model, and a folder of parts, each with a faulty row."""
    publish(write_model(tmp_path / "model"), tmp_path / "cache", tmp_path / "dvc.lock")
    (tmp_path / "in").mkdir()
    for part in range(PARTS):
        rows = records(2_000, seed=part)
        rows[part]["sold"] = "never"
        (tmp_path / "in" / f"part-{part}.csv").write_text(csv_text(rows))
    return tmp_path


@contextmanager
def running(folder: Path, *module: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and workers of one thread each, as docs/clusters.md starts them."""
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rpartition(":")[2]
    with ExitStack() as stack:
        stack.enter_context(
            running(folder, "distributed.cli.dask_scheduler", *LOCAL, f"--port={port}")
        )
        worker = worker_command(address)
        yield address, [stack.enter_context(running(folder, *worker)) for _ in range(workers)]


def worker_command(address: str) -> tuple[str, ...]:
    return ("distributed.cli.dask_worker", address, "--nthreads=1", "--no-nanny", *LOCAL)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*.csv"))
    }


def test_two_processes_give_the_bytes_of_one(folder: Path) -> None:
    assert batch(folder, "in", "here/out").returncode == 3
    with cluster(folder, 2) as (address, _):
        done = batch(folder, "in", "there/out", "--engine", "dask", "--scheduler", address)
    assert done.returncode == 3, done.stderr
    assert b"11,994 rows scored, 6 rejected" in done.stderr
    here = contents(folder / "here")
    assert len(here) == 2 * PARTS  # with those of rejected rows
    assert contents(folder / "there") == here


def test_without_a_scheduler_the_cluster_is_in_the_process(folder: Path) -> None:
    assert batch(folder, "in", "here/out").returncode == 3
    done = batch(folder, "in", "there/out", "--engine", "dask")
    assert done.returncode == 3, done.stderr
    assert contents(folder / "there") == contents(folder / "here")


def test_the_part_of_a_killed_worker_is_scored_again(folder: Path) -> None:
    for part in range(PARTS):
        (folder / "in" / f"part-{part}.csv").write_text(csv_text(records(20_000, seed=part)))
    assert batch(folder, "in", "here/out").returncode == 0
    with cluster(folder, 1) as (address, (worker,)):
        process = subprocess.Popen(
            command("in", "there/out", "--engine", "dask", "--scheduler", address),
            cwd=folder,
            env=environment(),
        )
        deadline = time.monotonic() + 60
        while not (drafts := list((folder / "there/out").glob(".part-*.partial"))):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.001)
        worker.kill()
        worker.wait()
        assert drafts[0].exists()  # it was in the middle of the part
        with running(folder, *worker_command(address)):
            assert process.wait(120) == 0
    assert contents(folder / "there") == contents(folder / "here")


def test_the_standard_streams_are_refused(folder: Path) -> None:
    done = batch(folder, "-", "-", "--engine", "dask", stdin='{"carat weight": 1}')
    assert done.returncode == 1
    assert done.stderr.decode().startswith("A cluster scores files")


def test_a_scheduler_belongs_to_the_engine(folder: Path) -> None:
    done = batch(folder, "in", "out", "--scheduler", "tcp://127.0.0.1:1")
    assert done.returncode == 2
    assert b"--scheduler belongs to --engine dask" in done.stderr
