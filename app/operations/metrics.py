"""What Prometheus reads at `/metrics`.

Several workers keep their numbers in files, through which each tells those of all. Prometheus'
client maps them into memory, and a write for which the disk has no room would end the worker. So
the room is taken at the start; where there is none, the worker counts for itself alone.
"""

import os
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

from app.model.model import Model
from app.operations import log

# The client's variable: the folder that the workers of one server share.
SHARED = "PROMETHEUS_MULTIPROC_DIR"
KINDS = ("counter", "histogram", "gauge_livesum")  # each in a file of its own
RESERVED = 1024**2  # bytes for each, enough for thousands of numbers

# One row takes a fraction of a millisecond, a large file seconds.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


def shared_folder() -> Path | None:
    """The folder that the workers of one server share; None where there is only one."""
    return Path(os.environ[SHARED]) if SHARED in os.environ else None


def _shares() -> bool:
    """Take the room for this worker's numbers; whether there is any, and other workers."""
    folder = shared_folder()
    if folder is None:
        return False
    files = [folder / f"{kind}_{os.getpid()}.db" for kind in KINDS]
    try:
        for file in files:
            with file.open("ab") as output:
                os.posix_fallocate(output.fileno(), 0, RESERVED)
    except OSError as error:
        for file in files:
            file.unlink(missing_ok=True)
        values.ValueClass = values.MutexValue  # what the client takes where nothing is shared
        log.write("metrics-alone", error=str(error), detail=f"{folder} has no room; set TMPDIR")
        return False
    return True


# Before the first metric: its value is in a file from the beginning, or in none.
IS_SHARED = _shares()
REQUESTS = Counter("serve_requests_total", "Requests answered.", ["route", "status"])
LATENCY = Histogram("serve_request_seconds", "Time to answer.", ["route"], buckets=SECONDS)
ROWS = Counter("serve_rows_total", "Rows predicted.", ["version"])
ERRORS = Counter("serve_errors_total", "Requests refused, by kind of problem.", ["kind"])
RELOADS = Counter("serve_reloads_total", "Attempts to take a version over.", ["outcome"])
RESTARTS = Counter("serve_task_restarts_total", "Background tasks that ended.", ["task"])
DROPPED = Counter("serve_log_lines_dropped_total", "Lines of the log that nobody could take.")
MODEL = Gauge(
    "serve_model_info",
    "Workers that serve this model version.",
    ["name", "version"],
    multiprocess_mode="livesum",
)


def model_taken_over(model: Model, previous: Model | None) -> None:
    """Count a successful change of version."""
    RELOADS.labels("done").inc()
    if previous is not None:
        MODEL.labels(previous.interface.name, previous.version).set(0)
    MODEL.labels(model.interface.name, model.version).set(1)


def render() -> bytes:
    """Write all metrics as Prometheus reads them; of all workers, where there are several."""
    folder = shared_folder()
    if folder is None or not IS_SHARED:
        return generate_latest(REGISTRY)
    _forget_dead_workers(folder)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _forget_dead_workers(folder: Path) -> None:
    """Remove what dead workers say of their state; what they counted stays counted."""
    for file in folder.glob("gauge_live*_*.db"):
        try:
            os.kill(int(file.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            file.unlink(missing_ok=True)
