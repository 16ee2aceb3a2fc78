"""What Prometheus reads at `/metrics`."""

import os

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from app.model.model import Model

# One row takes a fraction of a millisecond, a large file seconds.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)

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
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
