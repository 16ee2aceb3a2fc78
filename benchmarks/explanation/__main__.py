"""Explained answers beside `shap`'s interventional TreeExplainer and beside plain answers.

$ python -m benchmarks.explanation [--root FOLDER] [--shap PYTHON]

Prints one JSON line; docs/benchmarks.md says what each figure means. `shap` is not among this
project's requirements: name the Python of an environment that has shap, lightgbm and
xgboost-cpu, or do without its figures.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa

from app.model.model import Model
from app.model.packing import pack
from app.model.runtime import Floats, Packed, open_session
from benchmarks import servers
from benchmarks.connection import Call
from benchmarks.workspace import Workspace, workspace_argument

ROWS = 10_000
REPEATS = 500  # of one row; medians are given
FILES = 5  # explained by a server, and as many whole tables answered with intervals
SETTLED_SECONDS = 4  # longer than a server's start takes to give back what it alone needed
# Runs in the other environment: explains each booster's part of the mean of both.
PEER = """
import sys, time
from pathlib import Path
import lightgbm, numpy as np, shap, xgboost
folder = Path(sys.argv[1])
arrays = np.load(folder / "rows.npz")
second = xgboost.Booster()
second.load_model(folder / "xgboost.json")
explainers = [
    shap.TreeExplainer(booster, arrays["background"], feature_perturbation="interventional")
    for booster in (lightgbm.Booster(model_file=folder / "lightgbm.txt"), second)
]
def explain(rows):
    return [explainer.shap_values(rows, check_additivity=False) for explainer in explainers]
explain(arrays["rows"][:1])  # what it prepares at first is not timed
begun = time.perf_counter()
values = explain(arrays["rows"])
seconds = time.perf_counter() - begun
np.savez(folder / "values.npz", values=np.mean(values, axis=0), seconds=seconds)
"""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    workspace_argument(parser)
    parser.add_argument("--shap", type=Path, help="Python of an environment that has shap")
    parser.add_argument(
        "--shap-rows",
        type=int,
        default=1_000,
        help="rows that shap explains; its time grows as they",
    )
    arguments = parser.parse_args()
    workspace = Workspace(arguments.root.resolve())
    print(json.dumps(measure(workspace, arguments.shap, arguments.shap_rows)))


def measure(workspace: Workspace, shap: Path | None, shap_rows: int) -> dict[str, Any]:
    """Time explanations of the served model.

    Args:
        workspace: where the model is.
        shap: Python with shap, or None.
        shap_rows: how many rows it explains.
    """
    model = Model.load(workspace.serving)
    parallel = Model.load(workspace.serving, len(os.sched_getaffinity(0)))
    table = pa.Table.from_pandas(workspace.table[:ROWS], preserve_index=False)
    rows = pack(table, workspace.manifest.features)
    one = Packed(rows.numeric[:1], rows.categorical[:1])
    plain = Model.load(workspace.serving)
    first = _seconds(lambda: model.explain(one))
    parallel.explain(one)
    predicted, unexplained = _medians(lambda: model.predict(one), lambda: plain.predict(one))
    (explained,) = _medians(lambda: model.explain(one))
    begun = time.thread_time()
    for _ in range(REPEATS):
        model.explain(one)
    processor = (time.thread_time() - begun) / REPEATS
    many = _seconds(lambda: model.explain(rows))
    many_parallel = _seconds(lambda: parallel.explain(rows))
    figures: dict[str, Any] = {
        "benchmark": "explanation",
        "cores": len(os.sched_getaffinity(0)),
        "first_row_ms": first * 1e3,
        "row_ms": explained * 1e3,
        "row_cpu_ms": processor * 1e3,
        "plain_row_per_before": predicted / unexplained,
        "rows": ROWS,
        "rows_s": many,
        "rows_all_cores_s": many_parallel,
        **memory(workspace),
    }
    if shap is None:
        print("No --shap PYTHON was named: its figures are left out.", file=sys.stderr)
        return figures
    seconds, difference = _shap(workspace, model, rows, shap, shap_rows)
    figures["shap_rows_s"] = seconds * ROWS / shap_rows
    figures["shap_per_rows"] = figures["shap_rows_s"] / many
    figures["largest_difference_to_shap"] = difference
    return figures


def memory(workspace: Workspace) -> dict[str, float]:
    """What a worker of the server has in memory: as it starts, and after ever larger requests."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "server"
        servers.prepare_with_model(workspace, folder)
        with servers.ours(workspace, folder) as server:
            file = server.url("/invocations")
            time.sleep(SETTLED_SECONDS)
            figures = {"memory_mb": server.memory_mb()}
            for _ in range(REPEATS):
                servers.answer(Call(f"{server.row.url}?explain=true&interval=0.9", server.row.body))
            figures["memory_mb_rows_explained"] = server.memory_mb()
            table = workspace.csv()
            some = b"".join(table.splitlines(keepends=True)[: ROWS + 1])
            for _ in range(FILES):
                servers.answer(Call(f"{file}?explain=true", some, "text/csv"))
                servers.answer(Call(f"{file}?interval=0.9", table, "text/csv"))
            time.sleep(SETTLED_SECONDS)
            figures["memory_mb_files_explained"] = server.memory_mb()
            return figures


def _shap(
    workspace: Workspace, model: Model, rows: Packed, python: Path, count: int
) -> tuple[float, float]:
    """Explain some of the rows with the same boosters against the same background.

    The default model is the mean of two boosters that read one column for each feature.

    Returns:
        Its seconds, and how far its values are from ours, relative to the largest of ours.
    """
    described = workspace.manifest.explanation
    assert described is not None  # noqa: S101 - rows were explained before
    archive = np.load(workspace.serving / described.file)
    session = open_session(archive["graph"].tobytes())
    order = np.argsort(archive["owner"])

    def matrix(packed: Packed) -> Floats:
        inputs = {"numeric": packed.numeric, "categorical": packed.categorical}
        columns: Floats = session.run(["matrix"], inputs)[0][:, order]
        return columns

    some = Packed(rows.numeric[:count], rows.categorical[:count])
    background = Packed(archive["numeric"], archive["categorical"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for booster in joblib.load(workspace.pipeline).steps[-1][1].estimators_:
            if hasattr(booster, "booster_"):
                booster.booster_.save_model(folder / "lightgbm.txt")
            else:
                booster.get_booster().save_model(folder / "xgboost.json")
        np.savez(folder / "rows.npz", rows=matrix(some), background=matrix(background))
        subprocess.run([python, "-c", PEER, folder], check=True)  # noqa: S603 - our own program
        values = np.load(folder / "values.npz")
        ours = model.explain(some).contributions
        difference = np.abs(values["values"] - ours).max() / np.abs(ours).max()
        return float(values["seconds"]), float(difference)


def _seconds(function: Callable[[], object]) -> float:
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def _medians(*functions: Callable[[], object]) -> list[float]:
    """Time functions in turn."""
    times = [[_seconds(function) for function in functions] for _ in range(REPEATS)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


if __name__ == "__main__":
    main()
