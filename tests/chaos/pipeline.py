"""SIGKILL at random moments of `dvc repro`: the next run ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from tests.chaos.counts import Count, Fault
from tests.conftest import S3
from tests.project import create, houses

NO_S3 = S3("http://127.0.0.1:9")


def killed_repro(tries: int, folder: Path) -> Count:
    """Kill all stages and DVC, run again, compare dvc.lock and the report."""
    generator = random.Random(0)
    project = create(folder, NO_S3, f"sqlite:///{folder / 'mlflow.db'}", "chaos", houses())
    begun = time.monotonic()
    project.run("dvc", "repro")
    seconds = time.monotonic() - begun
    made = [project.root / name for name in ("dvc.lock", "reports/metrics.json")]
    reference = [file.read_bytes() for file in made]
    count = Count(note=f"one run takes {seconds:.0f} s")
    for _ in range(tries):
        with subprocess.Popen(
            ["dvc", "repro", "--force"],
            cwd=project.root,
            env=project.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            time.sleep(generator.uniform(0, 0.6 * seconds))  # the first run took longest
            os.killpg(process.pid, signal.SIGKILL)
        done = project.run("dvc", "repro", check=False)
        same = [file.read_bytes() for file in made if file.exists()] == reference
        count.add(lost=done.returncode != 0, wrong=done.returncode == 0 and not same)
    return count


FAULTS = (Fault("SIGKILL of `dvc repro` at a random moment", killed_repro, 0, 15),)
