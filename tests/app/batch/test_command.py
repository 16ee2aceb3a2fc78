"""The command as people and schedulers run it."""

import json
import os
import pty
import random
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from tests.app.batch.conftest import answers, csv_text, records
from tests.app.conftest import publish, write_model
from tests.conftest import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory in which the tiny regression is locked."""
    publish(write_model(tmp_path / "model"), tmp_path / "cache", tmp_path / "dvc.lock")
    return tmp_path


def environment() -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS", "SERVE"))
    }
    return inherited | {
        "PYTHONPATH": str(ROOT),
        "SERVE_REMOTE": "s3://bucket/prefix",
        "SERVE_MODEL_CACHE": "cache",
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "app.batch", *arguments]


def batch(
    folder: Path, *arguments: str, stdin: str | bytes = ""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(),
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_one_event_through_a_pipe(folder: Path) -> None:
    (event,) = records(1)
    done = batch(folder, "-", "-", stdin=json.dumps(event))
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == event | {"prediction": pytest.approx(answers([event])[0])}


def test_one_event_waits_for_no_table_library(folder: Path) -> None:
    program = "import sys, app.batch.__main__ as batch; batch.main(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, "-", "-"],
        cwd=folder,
        env=environment(),
        input=json.dumps(records(1)[0]).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    modules = set(done.stdout.splitlines()[-1].decode().split())
    assert "onnxruntime" in modules
    assert not modules & {"pyarrow", "boto3", "fastapi"}


def test_an_event_that_does_not_fit(folder: Path) -> None:
    done = batch(folder, "-", "-", stdin=json.dumps(records(1)[0] | {"sold": 7}))
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"Line 1, column 'sold': 7 is not a date")


def test_tables_through_a_pipe(folder: Path) -> None:
    text = csv_text(records(10))
    done = batch(folder, "-", "-", stdin=text)
    (folder / "out.csv").write_bytes(done.stdout)
    assert arrow_csv.read_csv(folder / "out.csv").num_rows == 10
    parquet.write_table(arrow_csv.read_csv(folder / "out.csv"), folder / "in.parquet")
    done = batch(folder, "-", "out.parquet", stdin=(folder / "in.parquet").read_bytes())
    assert done.returncode == 0
    assert parquet.read_table(folder / "out.parquet").num_rows == 10


def test_the_exit_status_tells_all_some_none(folder: Path) -> None:
    text = csv_text(records(3))
    (folder / "in.csv").write_text(text)
    assert batch(folder, "in.csv", "out.csv").returncode == 0
    (folder / "in.csv").write_text(text.replace("row-1,", "row-1,heavy"))
    some = batch(folder, "in.csv", "out.csv")
    assert some.returncode == 3
    assert some.stderr.startswith(b"2 rows scored, 1 rejected; tiny ")
    assert batch(folder, "in.csv", "out.csv", "--strict").returncode == 1
    missing = batch(folder, "nothing.csv", "out.csv")
    assert missing.returncode == 1
    assert missing.stderr.startswith(b"There is no file at nothing.csv.")


def test_a_terminal_shows_how_far_it_is(folder: Path) -> None:
    (folder / "in.csv").write_text(csv_text(records(2_000)))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    done = subprocess.run(
        command("in.csv", "out.csv"), cwd=folder, env=environment(), stderr=theirs, check=False
    )
    os.close(theirs)
    screen = os.read(ours, 65_536).decode()
    os.close(ours)
    assert done.returncode == 0, screen
    assert "2,000 rows, " in screen
    assert " rows/s" in screen
    assert " left" in screen
    assert "\x1b[3" not in screen  # no colours


def test_killed_ten_times_it_leaves_nothing_half_written_and_goes_on(folder: Path) -> None:
    for number in range(8):
        (folder / "in").mkdir(exist_ok=True)
        (folder / f"in/{number}.csv").write_text(csv_text(records(10_000, number)))
    assert batch(folder, "in", "reference").returncode == 0
    reference = {path.name: path.read_bytes() for path in (folder / "reference").glob("*.csv")}
    assert len(reference) == 8
    draw = random.Random(1)
    kills = 0
    while kills < 10:
        process = subprocess.Popen(
            command("in", "out"), cwd=folder, env=environment(), stderr=subprocess.DEVNULL
        )
        begun = time.monotonic()
        # The output folder appears when the parts begin; the moment is drawn after that.
        while not (folder / "out" / "_batch.json").exists() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.15) if kills else 0)
        assert time.monotonic() - begun < 60
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        for path in (folder / "out").glob("*.csv"):
            assert path.read_bytes() == reference[path.name]
    assert batch(folder, "in", "out").returncode == 0
    assert {p.name: p.read_bytes() for p in (folder / "out").glob("*.csv")} == reference


def test_told_to_stop_it_takes_its_drafts_away(folder: Path) -> None:
    process = subprocess.Popen(
        command("-", "out.csv"), cwd=folder, env=environment(), stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(csv_text(records(10)).encode())
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while not list(folder.glob(".out.csv.*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.5)  # until it has locked the draft; before that, the next attempt takes it over
    process.terminate()
    process.stdin.close()
    assert process.wait(30) == 1
    assert not list(folder.glob("*out*"))


def metrics(path: Path) -> dict[str, float]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_prometheus_is_told_of_the_run(folder: Path) -> None:
    (folder / "in.csv").write_text(csv_text(records(3)).replace("row-1,", "row-1,heavy"))
    begun = time.time()
    assert batch(folder, "in.csv", "out.csv", "--metrics", "node/batch.prom").returncode == 3
    told = metrics(folder / "node" / "batch.prom")
    assert begun <= told.pop("batch_last_run_timestamp_seconds") <= time.time()
    assert 0 < told.pop("batch_duration_seconds") < 60
    (version,) = [path.name for path in (folder / "cache").iterdir()]
    assert told == {
        "batch_exit_status": 3,
        "batch_rows": 2,
        "batch_rejected_rows": 1,
        "batch_failed_parts": 0,
        "batch_skipped_parts": 0,
        f'batch_model_info{{name="tiny",version="{version}"}}': 1,
    }
    assert batch(folder, "nothing", "out", "--metrics", "node/batch.prom").returncode == 1
    assert metrics(folder / "node" / "batch.prom").keys() == {
        "batch_exit_status",
        "batch_last_run_timestamp_seconds",
    }
