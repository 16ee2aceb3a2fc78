"""This project's first try at a table, as a new user has it: `new-data`, then `dvc repro`."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from app.formats.json import pack as pack_json
from app.formats.parquet import pack
from app.model.model import Model
from app.settings import Settings
from benchmarks.workspace import Workspace
from stages.evaluation.metrics import higher_is_better
from stages.schema import ROW, Schema

REPEATS = 5
ONE_ROW_CALLS = 200


@dataclass(frozen=True)
class Try:
    """What came of it.

    Attributes:
        figures: error, seconds, megabytes, bulk_us, one_row_us; as the peers'.
        refusal: what the gate said, if it refused.
        task: what a peer needs to know to do the same.
    """

    figures: dict[str, float]
    refusal: str | None
    task: dict[str, Any]


def first_try(
    clone: Path, environment: Mapping[str, str], table: Path, target: str, minutes: float
) -> Try:
    """Point the project at a table, run the pipeline, and time what it serves.

    Raises:
        subprocess.CalledProcessError: a command fails, and not because of the gate.
    """

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        print(f"$ {' '.join(command)}", file=sys.stderr, flush=True)
        done = subprocess.run(  # noqa: S603 - our own command line
            command,
            cwd=clone,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        sys.stderr.write(done.stdout)
        return done

    new_data = ("python", "-m", "lifecycle.new_data", str(table), target)
    run(*new_data, "--minutes", f"{minutes:g}").check_returncode()
    report = clone / "reports" / "metrics.json"
    report.unlink()
    begun = time.perf_counter()
    repro = run("dvc", "repro", "--force")
    seconds = time.perf_counter() - begun
    params = yaml.safe_load((clone / "params.yaml").read_text())
    metric = params["evaluate"]["gate"]["metric"]
    if not report.is_file():
        repro.check_returncode()
    value = json.loads(report.read_text())["model"][metric]
    schema = Schema.read(clone / "prepared" / "schema.json")
    task = {
        "train": str(clone / "prepared" / "train.parquet"),
        "test": str(clone / "prepared" / "test.parquet"),
        # The row's number tells the target wherever the table is sorted by it
        "drop": [one for one in (params["prepare"]["id"], schema.split_column, ROW) if one],
        "target": target,
        "task": schema.task,
        "metric": metric,
        "second": schema.classes[1] if len(schema.classes) == 2 else None,
        "seconds": seconds,
        "cores": len(os.sched_getaffinity(0)),
    }
    figures = {"error": 1 - value if higher_is_better(metric) else value, "seconds": seconds}
    if repro.returncode:
        lines = repro.stdout.splitlines()
        reason = next((one for one in lines if one.startswith(f"  {metric} ")), lines[-1])
        return Try(figures, reason.strip(), task)
    return Try(figures | speeds(Workspace(clone), clone / "prepared" / "test.parquet"), None, task)


def speeds(workspace: Workspace, rows: Path) -> dict[str, float]:
    """Size of what is served; microseconds from a file to its answers, and for one row."""
    settings = Settings(remote="s3://nowhere/models")
    model, content = Model.load(workspace.serving, settings.cores), rows.read_bytes()
    bulk, calls = [], []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        packed, _ = pack(content, model, settings.limits)
        model.predict(packed)
        bulk.append((time.perf_counter() - begun) / len(packed))
    alone = Model.load(workspace.serving)
    body = orjson.dumps({"records": [workspace.record()]})
    for _ in range(ONE_ROW_CALLS):
        begun = time.perf_counter()
        alone.predict(pack_json(body, alone, settings.limits)[0])
        calls.append(time.perf_counter() - begun)
    return {
        "megabytes": sum(one.stat().st_size for one in workspace.serving.rglob("*")) / 1e6,
        "bulk_us": statistics.median(bulk) * 1e6,
        "one_row_us": statistics.median(calls) * 1e6,
    }
