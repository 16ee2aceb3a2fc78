"""What a revision holds: its files in Git, and those that DVC keeps for it."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from dvc.api import DVCFileSystem
from dvc_data.index import DataIndexDirError

from app.model.store import StoreError, locked_output, parse_lock
from lifecycle.history import DeploymentError
from stages.evaluation.plot_tables import COLUMNS
from stages.files import CANDIDATE, LEADERBOARD, METRICS, PLOTS, PREPARED, SCHEMA, SERVING
from stages.repository import git
from stages.schema import Schema
from stages.tracking import flat

OUTPUTS = {
    "version": ("deploy", SERVING),
    "candidate": ("train", CANDIDATE),
    "prepared": ("prepare", PREPARED),
}


@dataclass(frozen=True)
class Revision:
    """A revision as far as Git knows it.

    Attributes:
        name: as it was asked for; of a commit, its first ten digits.
        commit: None for the files of the working directory.
        subject: of the commit.
        report: reports/metrics.json.
        params: params.yaml, by dotted paths.
        md5: of the data and of what the stages made: `data`, `prepared`, `candidate` and, where
            the gate let it pass, `version`.
    """

    name: str
    commit: str | None
    subject: str
    report: dict[str, Any]
    params: dict[str, Any]
    md5: dict[str, str]


def read(name: str, commit: str | None) -> Revision:
    """Read a revision.

    Args:
        name: what to call it.
        commit: None for the working directory.

    Raises:
        DeploymentError: its pipeline has not run.
    """

    def content(path: Path) -> str:
        return git("show", f"{commit}:{path}") if commit else path.read_text()

    if not commit and not (METRICS.exists() and Path("dvc.lock").exists()):
        raise DeploymentError("The pipeline has not run here. Run `dvc repro`.")
    lock = parse_lock(content(Path("dvc.lock")), f"dvc.lock of {name}")
    outputs = {"data": yaml.safe_load(content(Path("data.dvc")))["outs"][0]["md5"]}
    for key, (stage, path) in OUTPUTS.items():
        try:
            outputs[key] = locked_output(lock, f"dvc.lock of {name}", stage, str(path))
        except StoreError as error:
            if key != "version":  # the gate refused it
                raise DeploymentError(f"{name}: {error}") from error
    return Revision(
        name=name,
        commit=commit,
        subject=git("log", "-1", "--format=%s", commit).strip() if commit else "",
        report=json.loads(content(METRICS)),
        params=flat(yaml.safe_load(content(Path("params.yaml")))),
        md5=outputs,
    )


def read_predecessor(revision: Revision) -> Revision | None:
    """The last other version of the same model that the checked-out branch locked."""
    same = ("base.name", "base.target")
    for commit in git("rev-list", "HEAD", "--", "dvc.lock").split():
        try:
            earlier = read(commit[:10], commit)
        except (DeploymentError, KeyError):  # a commit from before the pipeline had these files
            continue
        if any(earlier.params.get(key) != revision.params.get(key) for key in same):
            continue  # the scores of two tables say nothing of each other
        if "version" in earlier.md5 and earlier.md5["version"] != revision.md5.get("version"):
            return earlier
    return None


@dataclass(frozen=True)
class Tables:
    """What DVC keeps of a revision, as far as a report needs it.

    Attributes:
        leaderboard: every estimator tried, best first.
        plots: the plot tables that are not empty, by name.
        schema: of the prepared tables.
    """

    leaderboard: pd.DataFrame
    plots: dict[str, pd.DataFrame]
    schema: Schema


def read_tables(revision: Revision) -> Tables:
    """Read what DVC keeps of a revision, from its cache or from S3.

    Raises:
        DeploymentError: neither has it.
    """
    files = DVCFileSystem(rev=revision.commit)

    def table(path: Path) -> pd.DataFrame:
        return pd.read_csv(io.BytesIO(files.cat_file(str(path))))

    try:
        plots = {name: table(PLOTS / f"{name}.csv") for name in COLUMNS}
        return Tables(
            leaderboard=table(LEADERBOARD),
            plots={name: one for name, one in plots.items() if not one.empty},
            schema=read_schema(revision),
        )
    except FileNotFoundError as error:
        raise DeploymentError(
            f"Neither DVC's cache nor S3 holds the tables of {revision.name} ({error}). Run "
            "`dvc push` where it was made."
        ) from error


def read_schema(revision: Revision) -> Schema:
    """The schema of a revision's prepared tables.

    Raises:
        FileNotFoundError: neither DVC's cache nor S3 has it.
    """
    files = DVCFileSystem(rev=revision.commit)
    try:
        return Schema.model_validate_json(files.cat_file(str(SCHEMA)))
    except DataIndexDirError as error:  # not even the list of the folder's files
        raise FileNotFoundError(SCHEMA) from error
