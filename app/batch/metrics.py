"""What Prometheus is told of the last run, in a text file for node_exporter's collector."""

import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from app.batch.run import Result


def write(path: Path, result: Result | None, status: int) -> None:
    """Write the file, whole.

    Args:
        path: a name in `--collector.textfile.directory`; it must end in .prom.
        result: what the run did; None where it could not begin.
        status: the exit status.
    """
    registry = CollectorRegistry()

    def gauge(name: str, meaning: str, value: float) -> None:
        Gauge(f"batch_{name}", meaning, registry=registry).set(value)

    gauge("last_run_timestamp_seconds", "When the last run ended.", time.time())
    gauge("exit_status", "Of the last run: 0 all scored, 3 some rejected, 1 failed.", status)
    if result is not None:
        gauge("rows", "Rows that the last run scored.", result.scored)
        gauge("rejected_rows", "Rows that could not be scored.", result.rejected)
        gauge("failed_parts", "Files that could not be scored.", len(result.failures))
        gauge("skipped_parts", "Files that an earlier run had scored.", result.skipped)
        gauge("duration_seconds", "How long the last run took.", result.seconds)
        info = Gauge("batch_model_info", "The model.", ["name", "version"], registry=registry)
        info.labels(result.name, result.version).set(1)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)
