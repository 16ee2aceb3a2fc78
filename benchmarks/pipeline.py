"""`dvc repro` of everything beside PyCaret alone: what reproducibility costs.

$ python -m benchmarks.pipeline [--root FOLDER]

Prints one JSON line; docs/benchmarks.md says what each figure means.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.workspace import workspace_argument
from local import services


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    workspace_argument(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(given.root.resolve(), Path(folder))))


def measure(root: Path, folder: Path) -> dict[str, Any]:
    """Time both, in a clone of what is committed and with a tracking server of its own.

    Args:
        root: a repository whose `data/` is there.
        folder: empty; holds the clone and all that is written.
    """
    clone = folder / "clone"
    run(["git", "clone", "--quiet", str(root), str(clone)], folder, os.environ)
    shutil.copytree(root / "data", clone / "data")
    port = services.free_port()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}",
    }
    started, log = services.start_mlflow(folder, port, str(folder / "artifacts"), {})
    try:
        services.wait(started, f"{environment['MLFLOW_TRACKING_URI']}/health", log)
        plain = [sys.executable, "-m", "benchmarks.plain", str(clone), str(folder / "pipeline")]
        plain_seconds = run(plain, clone, environment)
        repro_seconds = run(["dvc", "repro", "--force"], clone, environment)
    finally:
        services.stop(started)
    return {
        "benchmark": "pipeline",
        "cores": len(os.sched_getaffinity(0)),
        "dvc_repro_seconds": repro_seconds,
        "plain_pycaret_seconds": plain_seconds,
        "plain_per_dvc_repro": plain_seconds / repro_seconds,
    }


def run(command: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> float:
    """Seconds that a command takes; its output goes to standard error.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    begun = time.perf_counter()
    subprocess.run(command, cwd=cwd, env=environment, stdout=sys.stderr, check=True)  # noqa: S603
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
