"""Files scored by `python -m app.batch`, beside the least that must be done and two peers.

$ python -m benchmarks.batch [--root FOLDER] [--rows N] [--large N] [--rounds N] [--only PART]

Prints one JSON line; docs/benchmarks.md says what each figure means.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import orjson

from benchmarks import servers
from benchmarks.batch import tables
from benchmarks.batch.process import Run, run
from benchmarks.workspace import Workspace, workspace_argument

PROJECT = Path(__file__).parents[2]
EVENTS = 5
MODULES = {"PYTHONPATH": str(PROJECT), "PYCARET_CUSTOM_LOGGING_PATH": os.devnull}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    workspace_argument(parser)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the smaller files")
    parser.add_argument("--large", type=int, default=10_000_000, help="rows of the large files")
    parser.add_argument("--peer-rows", type=int, default=200_000, help="scored by the slow peers")
    parser.add_argument("--rounds", type=int, default=3, help="turns of the smaller files")
    parser.add_argument("--only", choices=("csv", "parquet", "peers"), help="a part of it alone")
    given = parser.parse_args()
    workspace = Workspace(given.root.resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        servers.prepare_with_model(workspace, folder)
        figures: dict[str, Any] = {"benchmark": "batch", "cores": len(os.sched_getaffinity(0))}
        for kind in ("csv", "parquet"):
            if given.only in (None, kind):
                figures[kind] = beside_the_limit(workspace, folder, kind, given)
        if given.only in (None, "peers"):
            figures |= peers(workspace, folder, given.peer_rows)
            figures["one_event_seconds"] = one_event(workspace, folder)
    print(json.dumps(figures))


def beside_the_limit(
    workspace: Workspace, folder: Path, kind: str, given: argparse.Namespace
) -> dict[str, float]:
    """The smaller file and the limit in turn, the large file in their midst."""
    small = tables.write(workspace, given.rows, folder / f"small.{kind}")
    limits: list[dict[str, float]] = []
    smalls: list[Run] = []

    def turn() -> None:
        command = [sys.executable, "-m", "benchmarks.batch.limit", str(workspace.serving)]
        limits.append(json.loads(run([*command, str(small)], folder, MODULES).output))
        smalls.append(_score(folder, small))

    for _ in range(given.rounds):
        turn()
    large = tables.write(workspace, given.large, folder / f"large.{kind}")
    scored = _score(folder, large)
    large.unlink()
    turn()
    wall = statistics.median(one["wall"] for one in limits) / given.rows
    cpu = statistics.median(one["cpu"] for one in limits) / given.rows
    small_peak = statistics.median(one.peak_mb for one in smalls)
    return {
        "rows": given.rows,
        "large_rows": given.large,
        "limit_rows_s": 1 / wall,
        "rows_s": given.rows / statistics.median(one.wall for one in smalls),
        "large_rows_s": given.large / scored.wall,
        "rate_per_limit": wall * given.large / scored.wall,
        "limit_cpu_us_row": cpu * 1e6,
        "cpu_us_row": scored.cpu / given.large * 1e6,
        "limit_cpu_per_ours": cpu * given.large / scored.cpu,
        "peak_mb": small_peak,
        "large_peak_mb": scored.peak_mb,
        "large_peak_per_small": scored.peak_mb / small_peak,
    }


def peers(workspace: Workspace, folder: Path, rows: int) -> dict[str, Any]:
    """PyCaret in chunks and `mlflow models predict`, on a CSV file of their own."""
    file = tables.write(workspace, rows, folder / "peers.csv")
    ours = _score(folder, file)
    command = [sys.executable, "-m", "benchmarks.batch.pycaret_chunks", str(workspace.root)]
    pycaret = json.loads(
        run([*command, str(file), str(folder / "chunks.csv")], folder, MODULES).output
    )
    saved = servers.save_for_mlflow(workspace, folder)
    named = folder / "named.csv"  # the fitted pipeline's names of the columns
    with file.open("rb") as source, named.open("wb") as target:
        source.readline()
        target.write(",".join(workspace.columns).encode() + b"\n")
        while piece := source.read(1024**2):
            target.write(piece)
    command = [sys.executable, "-m", "mlflow", "models", "predict", f"--model-uri={saved}"]
    command += [f"--input-path={named}", f"--output-path={folder / 'mlflow.json'}"]
    mlflow = run([*command, "--content-type=csv", "--env-manager=local"], folder, MODULES)
    return {
        "peer_rows": rows,
        "ours_seconds": ours.wall,
        "mlflow_models_predict_seconds": mlflow.wall,
        "pycaret_chunks_seconds": {rows: one["wall"] for rows, one in pycaret.items()},
        "pycaret_chunks_per_ours": {rows: one["wall"] / ours.wall for rows, one in pycaret.items()},
        "pycaret_chunks_cpu_per_ours": {
            rows: one["cpu"] / ours.cpu for rows, one in pycaret.items()
        },
        "mlflow_models_predict_per_ours": mlflow.wall / ours.wall,
        "mlflow_models_predict_cpu_per_ours": mlflow.cpu / ours.cpu,
    }


def one_event(workspace: Workspace, folder: Path) -> float:
    """Median seconds from the shell's command to its end, with the model in the cache."""
    event = orjson.dumps(workspace.record())
    return statistics.median(_score(folder, "-", event).wall for _ in range(EVENTS))


def _score(folder: Path, file: Path | str, stdin: bytes = b"") -> Run:
    """Run `python -m app.batch` on a file, or `-`."""
    target = "-" if file == "-" else f"scored{Path(file).suffix}"
    settings = {"SERVE_REMOTE": "s3://nowhere/models", "SERVE_MODEL_CACHE": "models"}
    return run([sys.executable, "-m", "app.batch", str(file), target], folder, settings, stdin)


if __name__ == "__main__":
    main()
