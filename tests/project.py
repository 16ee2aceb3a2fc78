"""A copy of this repository with a small table of its own, run as a user runs it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tests.conftest import ROOT, S3

OURS = ("AWS_", "DVC_", "GIT_", "MLFLOW_", "SERVE_")


@dataclass(frozen=True)
class Project:
    """A work tree, and the environment in which its commands run."""

    root: Path
    environment: dict[str, str]

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the work tree; with `check`, a failure shows what it said."""
        # Files, not pipes: `dvc queue start` leaves workers behind that would hold a pipe open
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            code = subprocess.run(
                command,
                cwd=self.root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                check=False,
                timeout=600,
            ).returncode
            output.seek(0)
            errors.seek(0)
            done = subprocess.CompletedProcess(command, code, output.read(), errors.read())
        assert not check or code == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done

    def set(self, **changes: Any) -> None:
        """Change keys of params.yaml, named with `__` for the dots."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for name, value in changes.items():
            *blocks, key = name.split("__")
            block = params
            for one in blocks:
                block = block[one]
            block[key] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def commit(self, message: str) -> None:
        """Commit everything that is not ignored."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def clone(self, root: Path) -> "Project":
        """A fresh clone, set up for the same services."""
        self.run("git", "clone", "--quiet", str(self.root), str(root))
        shutil.copy(self.root / ".dvc" / "config.local", root / ".dvc")
        return Project(root, self.environment)


def environment(s3: S3, tracking: str) -> dict[str, str]:
    """This process's environment with the tests' services in place of a user's."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    return {
        **inherited,
        **s3.environment(),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": tracking,
        "GIT_AUTHOR_NAME": "test",
        "GIT_AUTHOR_EMAIL": "test@example.org",
        "GIT_COMMITTER_NAME": "test",
        "GIT_COMMITTER_EMAIL": "test@example.org",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }


def dvc_config(s3: S3, prefix: str) -> dict[str, str]:
    """The committed configuration of DVC with its remote in the tests' S3, and the local one."""
    committed = (ROOT / ".dvc" / "config").read_text()
    moved = re.sub(r"url = s3://\S+", f"url = s3://{s3.bucket}/{prefix}", committed)
    assert moved != committed
    local = (
        f"['remote \"s3\"']\n    endpointurl = {s3.endpoint}\n"
        f"    access_key_id = {s3.key_id}\n    secret_access_key = {s3.secret}\n"
    )
    return {"config": moved, "config.local": local}


def create(
    root: Path, s3: S3, tracking: str, prefix: str, table: pd.DataFrame, file: str = "table.csv"
) -> Project:
    """A project over `table`, its DVC remote at `prefix` of the tests' bucket.

    The pipeline has not run yet; `params.yaml` asks for two cheap estimators.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and name not in {"dvc.lock", "data.dvc"}:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    project = Project(root, environment(s3, tracking))
    for name, text in dvc_config(s3, prefix).items():
        (root / ".dvc" / name).write_text(text)
    (root / "data").mkdir()
    table.to_csv(root / "data" / file, index=False)
    project.set(
        base__name=prefix,
        base__path=f"data/{file}",
        base__target=str(table.columns[-1]),
        train__models=["lightgbm", "ridge"],
        train__sort="RMSE",
        train__folds=2,
        train__blend=2,
        train__n_jobs=1,
        evaluate__gate__limit=None,
        deploy__about="",
        deploy__columns={},
    )
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.run("dvc", "add", "--quiet", "data")
    project.commit("A small table")
    return project


def houses(rows: int = 300) -> pd.DataFrame:
    """Numbers, categories, a boolean, a date and missing values; the target comes last."""
    generator = np.random.default_rng(7)
    area = generator.uniform(30, 200, rows).round(1)
    town = generator.choice(["Ulm", "Bonn", "Köln"], rows)
    new = generator.choice([True, False], rows)
    sold = pd.Timestamp("2020-01-01") + pd.to_timedelta(generator.integers(0, 1500, rows), "D")
    price = 1000 * area + 20_000 * (town == "Köln") + 9_000 * new + generator.normal(0, 2000, rows)
    table = pd.DataFrame(
        {
            "floor area": area,
            "town": town,
            "new": new,
            "sold": sold.strftime("%Y-%m-%d"),
            "price": price.round(2),
        }
    )
    table.loc[::17, "floor area"] = np.nan
    table.loc[::23, "town"] = None
    return table
