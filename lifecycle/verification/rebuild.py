"""A commit rebuilt in an empty folder, from its raw data and nothing else."""

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from lifecycle.progress import step

PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)", re.M)


class RebuildError(Exception):
    """A commit cannot be rebuilt; the message says why."""


def rebuild(root: Path, commit: str, folder: Path) -> Path:
    """Clone a commit and run its whole pipeline.

    The clone has a cache of its own, so that neither DVC's run cache nor a model comes from
    elsewhere, and writes to no MLflow.

    Args:
        root: the repository, set up (`.dvc/config.local`).
        commit: any of its commits, an experiment's too.
        folder: empty.

    Returns:
        The clone, its `dvc.lock` written anew.

    Raises:
        RebuildError: a step fails.
    """
    clone = folder / "clone"
    # Shared: so that commits which no branch leads to, such as experiments, are there as well
    run(folder, "git", "clone", "--quiet", "--no-checkout", "--shared", str(root), str(clone))
    run(clone, "git", "checkout", "--quiet", "--detach", commit)
    local = root / ".dvc" / "config.local"
    if local.exists():
        shutil.copy(local, clone / ".dvc" / "config.local")
    python = environment(clone)
    dvc = (str(python), "-m", "dvc")
    run(clone, *dvc, "cache", "dir", "--local", str(clone / ".dvc" / "cache"))
    run(clone, *dvc, "pull", "data.dvc")
    with step("verify: running all stages"):
        run(clone, *dvc, "repro", "--force", "--no-run-cache")
    return clone


def environment(clone: Path) -> Path:
    """The Python that has the libraries which a commit pins; made in the clone where needed."""
    pins = dict(PIN.findall((clone / "requirements.txt").read_text()))
    if all(installed(name) == version for name, version in pins.items()):
        return Path(sys.executable)
    with step("verify: installing the libraries that this commit pins"):
        run(
            clone,
            "make",
            ".venv/installed",
            f"PYTHON={Path(sys.base_prefix) / 'bin' / 'python3.11'}",
        )
    return clone / ".venv" / "bin" / "python"


def installed(name: str) -> str | None:
    """The version of a package in this environment; None where it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def run(folder: Path, *command: str) -> None:
    """Run a command in a folder, without MLflow.

    Raises:
        RebuildError: it fails; the message holds the end of what it said.
    """
    programs = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - our own command lines
        command,
        cwd=folder,
        env={**os.environ, "PATH": programs, "MLFLOW_TRACKING_URI": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-15:])
        raise RebuildError(f"`{' '.join(command)}` failed in {folder}:\n{said}")
