"""The log when nobody reads it, and when the disk is full."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.app.conftest import EXAMPLE
from tests.app.processes import folder_with_model, metric, started

LINES = 600  # of 200 bytes each: more than a pipe holds
QUIET = """
import os, sys, time
from app.operations import log
dropped = 0
def count(lines):
    global dropped
    dropped += lines
log.on_dropped(count)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_with_model(tmp_path)


def ask(client: httpx.Client, times: int) -> None:
    for _ in range(times):
        assert client.post("/predict/records", json={"records": [EXAMPLE]}).status_code == 200


def test_service_goes_on_when_nobody_reads_its_output(folder: Path) -> None:
    reading, writing = os.pipe()
    try:
        with started(folder, "app", output=writing) as server:
            client = server.client
            ask(client, LINES)
            assert client.get("/live").status_code == 200
    finally:
        os.close(writing)
        os.close(reading)


def limit_files(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_service_goes_on_when_the_disk_is_full(folder: Path) -> None:
    """A file that may not grow stands for it: the write fails in the same way."""
    with (folder / "full").open("wb") as output:
        prepare = limit_files(2_000)
        with started(folder, "app", output=output.fileno(), prepare=prepare) as server:
            client = server.client
            ask(client, 100)
            deadline = time.monotonic() + 10
            while not metric(client, "serve_log_lines_dropped_total"):
                assert time.monotonic() < deadline
            ready = client.get("/ready").json()
            assert ready["failed_tasks"] == {}


def run(script: str) -> bytes:
    command = [sys.executable, "-c", QUIET + script]
    return subprocess.run(command, check=True, timeout=60, capture_output=True).stdout


def test_lines_come_out_whole_and_in_order() -> None:
    output = run("for i in range(1000): log.write('line', number=i)")
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["number"] for line in lines] == list(range(1_000))


def test_waiting_lines_are_bounded_and_the_others_counted() -> None:
    """The end of such a process, too, waits for no reader."""
    script = """
log.STANDARD_OUTPUT = os.pipe()[1]
started = time.monotonic()
for i in range(20_000):
    log.write("line", text="x" * 1000)
print(dropped)
"""
    output = run(script)
    assert 14_000 < int(output) < 17_000


def test_after_a_failure_a_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    script = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
log.STANDARD_OUTPUT = os.open({str(path)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
log.write("first", text="x" * 200)
log.flush(5)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.write("second")
log.flush(5)
print(dropped)
"""
    output = run(script)
    cut, second = path.read_bytes().splitlines()
    assert len(cut) == 100
    assert json.loads(second)["event"] == "second"
    assert output == b"1\n"
