"""Faults of `dvc repro`: kills, altered inputs, an MLflow that comes and goes.

Whatever happened, the next run ends with the same bytes.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path

import yaml
from mlflow.tracking import MlflowClient

from local.processes import Service, free_port
from local.services import start_mlflow
from stages.deployment.registry import CHAMPION
from tests.app.namespace import small_folder
from tests.chaos.counts import Count, Fault
from tests.chaos.store import flipped
from tests.conftest import S3, running
from tests.project import Project, create, houses

NO_S3 = S3("http://127.0.0.1:9")
NAME = "chaos"
# Of the disk of `full_disk`, and the most that is free when `dvc repro` begins: enough for it.
SMALL_BYTES, MOST_ROOM = 100_000_000, 150_000
FULL = b"the disk is full"
DEPLOY = ("dvc", "repro", "--force", "--single-item", "deploy")


def killed_repro(tries: int, folder: Path) -> Count:
    """Kill all stages and DVC, run again, compare dvc.lock and the report."""
    generator = random.Random(0)
    made = Made(folder, f"sqlite:///{folder / 'mlflow.db'}")
    count = Count(note=f"one run takes {made.seconds:.0f} s")
    for _ in range(tries):
        with made.force() as process:
            time.sleep(generator.uniform(0, made.seconds))
            os.killpg(process.pid, signal.SIGKILL)
        done = made.project.run("dvc", "repro", check=False)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
        count.add(lost=done.returncode != 0, wrong=done.returncode == 0 and not made.is_same())
    return count


def gone_mlflow(tries: int, folder: Path) -> Count:
    """MLflow is down from the start, or dies: the same bytes, and what is missing is said."""
    generator = random.Random(0)
    port, whole = free_port(), 0
    made = Made(folder / "project", f"http://127.0.0.1:{port}")  # nothing listens yet
    longest = 1.2 * made.seconds
    count = Count()
    for number in range(tries):
        begun = time.time()
        with mlflow_at(port, folder) as service, made.force() as process:
            time.sleep(generator.uniform(0, longest) if number else 0)
            for one in service.processes():
                one.kill()
            code = process.wait()
        said = b"NOT LOGGED" in made.output.read_bytes()
        complete = is_complete(folder / "mlflow.db", begun)
        whole += complete
        count.add(lost=code != 0 or said == complete, wrong=not made.is_same())
    count.note = f"{whole} runs were logged whole before it died"
    return count


def two_deploys(tries: int, folder: Path) -> Count:
    """Two clones deploy one version at the same moment: it is registered once, as champion."""
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    count = Count()
    with mlflow_at(port, folder), ThreadPoolExecutor(2) as people:
        made = Made(folder / "project", uri)
        root = shutil.copytree(made.project.root, folder / "other")
        projects = (made.project, Project(root, made.project.environment))
        client = MlflowClient(uri, uri)
        for _ in range(tries):
            client.delete_registered_model(NAME)
            runs = [*people.map(lambda one: one.run(*DEPLOY, check=False), projects)]
            versions = client.search_model_versions(f"name = '{NAME}'")
            champion = client.get_model_version_by_alias(NAME, CHAMPION)
            count.add(
                lost=any(run.returncode or "NOT LOGGED" in run.stderr for run in runs),
                wrong=[one.version for one in versions] != [champion.version] or not made.is_same(),
            )
    return count


def full_disk(tries: int, folder: Path) -> Count:
    """The disk is full at a random moment: that is said; with room again, the same bytes."""
    generator = random.Random(0)
    made = Made(folder / "project", f"sqlite:///{folder / 'mlflow.db'}")
    small = folder / "small"
    small.mkdir()
    count, full = Count(), 0
    for _ in range(tries):
        room = generator.randrange(0, MOST_ROOM, 4_096)
        # One process: the file system ends with it.
        script = f"""
            set -e
            cp -r {made.project.root} {small}/tree && cd {small}/tree
            export TMPDIR={small}/tree/tmp && mkdir tmp
            head -c {room} /dev/zero > room
            dd if=/dev/zero of=fill bs=4096 status=none 2>/dev/null || rm room
            code=0; dvc repro --force > {folder}/first 2>&1 || code=$?
            echo $code > {folder}/code
            rm fill
            dvc repro > {folder}/second 2>&1
            git status --porcelain dvc.lock reports > {folder}/changed
        """
        done = subprocess.run(
            ["bash", "-c", script],
            env=made.project.environment,
            preexec_fn=small_folder(small, SMALL_BYTES),
            check=False,
        )
        failed = (folder / "code").read_text() != "0\n"
        said = FULL in (folder / "first").read_bytes()
        full += failed
        changed = (folder / "changed").read_bytes()
        count.add(lost=done.returncode != 0 or failed != said, wrong=changed != b"")
    count.note = f"{full} runs ended early"
    return count


def mlflow_at(port: int, folder: Path) -> AbstractContextManager[Service]:
    """An MLflow server that keeps everything in a folder."""
    service = start_mlflow(folder, port, str(folder / "artifacts"), {})
    return running(service, f"http://127.0.0.1:{port}/health")


def is_complete(database: Path, since: float) -> bool:
    """Whether MLflow holds a run since then to which every stage wrote."""
    client = MlflowClient(f"sqlite:///{database}")
    experiments = [one.experiment_id for one in client.search_experiments()]
    return any(
        run.info.status == "FINISHED"
        and run.info.start_time >= 1000 * since
        and {"evaluate", "deploy"} <= {*run.data.tags.get("stages", "").split()}
        for run in client.search_runs(experiments)
    )


def altered_input(tries: int, folder: Path) -> Count:
    """One bit of what a stage reads is another, which DVC does not see: it names the path."""
    generator = random.Random(0)
    made = Made(folder, f"sqlite:///{folder / 'mlflow.db'}")
    lock = yaml.safe_load((made.project.root / "dvc.lock").read_text())
    outputs = {out["path"] for stage in lock["stages"].values() for out in stage.get("outs", [])}
    inputs = [
        (stage, dep["path"], file)
        for stage, entry in lock["stages"].items()
        for dep in entry["deps"]
        if dep["path"] in outputs | {"data"}
        for file in files_below(made.project.root / dep["path"])
    ]
    count = Count()
    for _ in range(tries):
        stage, path, file = generator.choice(inputs)
        content, status = file.read_bytes(), file.stat()
        file.chmod(0o644)
        write_at(file, flipped(content, generator), status)
        done = made.project.run("dvc", "repro", "--force", "--single-item", stage, check=False)
        named = f"{stage}: {path} has md5" in done.stderr
        write_at(file, content, status)
        made.project.run("git", "checkout", "--quiet", ".")
        made.project.run("dvc", "checkout", "--quiet", "--force")  # DVC removed the stage's outputs
        count.add(lost=int(not named), wrong=int(done.returncode == 0))
    return count


def files_below(path: Path) -> list[Path]:
    """The file itself, or all below a folder, in order."""
    return [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())


def write_at(file: Path, content: bytes, status: os.stat_result) -> None:
    """Write a file that keeps the times of before."""
    file.write_bytes(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


class Made:
    """A project whose pipeline has run once.

    Attributes:
        project: its work tree.
        output: where the runs of `force` write.
    """

    def __init__(self, folder: Path, tracking: str) -> None:
        folder.mkdir(exist_ok=True)
        self.project = create(folder / "tree", NO_S3, tracking, NAME, houses())
        self.output = folder / "output"
        self.project.run("dvc", "repro")
        self._files = [self.project.root / name for name in ("dvc.lock", "reports/metrics.json")]
        self._bytes = [file.read_bytes() for file in self._files]
        self.project.commit("Made")

    @cached_property
    def seconds(self) -> float:
        """That a second run takes; the first also waits for what is made once."""
        begun = time.monotonic()
        self.project.run("dvc", "repro", "--force")
        return time.monotonic() - begun

    def is_same(self) -> bool:
        """Whether dvc.lock and the report are those of the first run."""
        return [one.read_bytes() for one in self._files if one.exists()] == self._bytes

    @contextmanager
    def force(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run everything again, in a group of processes of its own."""
        with (
            self.output.open("wb") as output,
            subprocess.Popen(
                ["dvc", "repro", "--force"],
                cwd=self.project.root,
                env=self.project.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            ) as process,
        ):
            yield process


FAULTS = (
    Fault("SIGKILL of `dvc repro` at a random moment", killed_repro, 0, 30),
    Fault("MLflow dies during `dvc repro`", gone_mlflow, 0, 6),
    Fault("one bit of a stage's input", altered_input, 0, 15),
    Fault("a disk that is full during `dvc repro`", full_disk, 0, 8),
    Fault("two deploys of one version at once", two_deploys, 0, 8),
)
