"""`dvc repro` of everything beside one plain PyCaret script: what reproducibility costs.

$ python -m benchmarks.pipeline [--root FOLDER]

Prints one JSON line; docs/benchmarks.md says what each figure means.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.workspace import cloned, workspace_argument

STAGE = re.compile(r"Running stage '(.+)':")


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
    with cloned(root, folder) as (clone, environment):
        shutil.copytree(root / "data", clone / "data")
        plain = [sys.executable, "-m", "benchmarks.plain", str(clone), str(folder / "pipeline")]
        plain_seconds, _ = run(plain, clone, environment)
        one_job_seconds, _ = run([*plain, "--n-jobs", "1"], clone, environment)
        repro_seconds, stages = run(["dvc", "repro", "--force"], clone, environment)
        with busy(cores := len(os.sched_getaffinity(0))):
            busy_seconds, _ = run(["dvc", "repro", "--force"], clone, environment)
    return {
        "benchmark": "pipeline",
        "cores": cores,
        "dvc_repro_seconds": repro_seconds,
        "stage_seconds": stages,
        "busy_per_dvc_repro": busy_seconds / repro_seconds,
        "plain_seconds": plain_seconds,
        "plain_one_job_seconds": one_job_seconds,
        "plain_per_dvc_repro": plain_seconds / repro_seconds,
        "plain_one_job_per_dvc_repro": one_job_seconds / repro_seconds,
    }


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Let so many processes compute beside what is measured."""
    endless = [sys.executable, "-c", "while True: pass"]
    with ExitStack() as stack:
        for _ in range(processes):
            other = stack.enter_context(subprocess.Popen(endless))  # noqa: S603 - see above
            stack.callback(other.kill)
        yield


def run(
    command: Sequence[str], cwd: Path, environment: Mapping[str, str]
) -> tuple[float, dict[str, float]]:
    """Run a command, its output on standard error.

    Returns:
        The seconds that it took, and of each stage that DVC said it ran.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    begun = time.perf_counter()
    starts: dict[str, float] = {}
    with subprocess.Popen(  # noqa: S603 - our own command line
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        for line in process.stdout:
            sys.stderr.write(line)
            if stage := STAGE.match(line):
                starts[stage[1]] = time.perf_counter()
    ended = time.perf_counter()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    spans = itertools.pairwise([*starts.values(), ended])
    stages = {name: end - start for name, (start, end) in zip(starts, spans, strict=True)}
    return ended - begun, stages


if __name__ == "__main__":
    main()
