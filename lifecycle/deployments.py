"""Say which version is served, go back, and see what was served before.

$ python -m lifecycle.deployments promote REV
$ python -m lifecycle.deployments rollback
$ python -m lifecycle.deployments show

A version is promoted from a Git revision (a commit, branch, tag, or a DVC experiment) whose
`dvc.lock` names it. `dvc.lock` and what belongs to it, the registry's alias and a line of
deployments.jsonl move together, in one commit; where one of them cannot, none does. Code stays
as it is.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from pydantic import BaseModel, ConfigDict

from app.model.manifest import Manifest
from app.model.store import StoreError, fetch
from app.settings import Settings, SettingsError, read_settings
from stages.deployment.registry import CHAMPION, VERSION
from stages.tracking import DEFAULTS

HISTORY = Path("deployments.jsonl")
LOCK = Path("dvc.lock")
# What a version was made of and scored; the lock comes last, for it is what the server watches.
MOVED = (Path("params.yaml"), Path("data.dvc"), Path("reports/metrics.json"), LOCK)


class DeploymentError(Exception):
    """Nothing is changed; the message says why and what to do."""


class Served(BaseModel):
    """A version, and the commit whose `dvc.lock` names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    commit: str


class Deployment(Served):
    """One line of the history.

    Attributes:
        when: UTC, ISO 8601.
        action: `promote` or `rollback`.
        name: the model's.
        metrics: on the holdout.
        replaced: what was locked before; None where it was this version already.
    """

    when: str
    action: str
    name: str
    metrics: dict[str, float]
    replaced: Served | None


def git(*arguments: str) -> str:
    """What Git answers.

    Raises:
        DeploymentError: with what it says against it.
    """
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode:
        raise DeploymentError(f"`git {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def resolve(revision: str) -> str:
    """The commit of a Git revision or of a DVC experiment's name."""
    experiments = git("for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{revision}")
    if experiments:
        return experiments.split()[0]
    try:
        return git("rev-parse", "--verify", f"{revision}^{{commit}}").strip()
    except DeploymentError as error:
        raise DeploymentError(
            f"REV: {revision!r} is no commit, branch, tag or DVC experiment. `git log` and "
            "`dvc exp list` name them."
        ) from error


def stages_of(commit: str) -> dict[str, Any]:
    """The stages in a commit's `dvc.lock`."""
    stages: dict[str, Any] = yaml.safe_load(git("show", f"{commit}:{LOCK}"))["stages"]
    return stages


def locked(commit: str) -> Served:
    """The version that a commit's `dvc.lock` names.

    Raises:
        DeploymentError: it names none.
    """
    for stage in stages_of(commit).values():
        for out in stage.get("outs", []):
            if out["path"] == "model/serving":
                return Served(version=out["md5"].removesuffix(".dir"), commit=commit)
    raise DeploymentError(f"{LOCK} of {commit[:10]} names no model/serving. Run `dvc repro` there.")


def refuse_mixed(commit: str) -> None:
    """Raise DeploymentError when a commit's stages have not run on each other's outputs."""
    stages = stages_of(commit)
    made = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}
    for name, stage in stages.items():
        for dep in stage.get("deps", []):
            if made.get(dep["path"], dep["md5"]) != dep["md5"]:
                raise DeploymentError(
                    f"{LOCK} of {commit[:10]}: the stage {name} has not run on its {dep['path']}, "
                    "so its model/serving is another model's. Apply it, run `dvc repro` and "
                    "`dvc push`, commit, and promote that commit."
                )


def pushed(version: str, settings: Settings) -> Manifest:
    """The manifest of a version, every byte of which S3 gave and which was verified.

    Raises:
        StoreError: S3 does not have it.
    """
    with tempfile.TemporaryDirectory() as folder:
        return Manifest.read(
            fetch(version, settings.model_copy(update={"model_cache": Path(folder)}))
        )


def read_history() -> list[Deployment]:
    """Every line so far, oldest first.

    Raises:
        DeploymentError: a line that was committed is not there any more.
    """
    lines = HISTORY.read_text().splitlines() if HISTORY.exists() else []
    patches = git("log", "--format=", "--patch", "--no-color", "--", str(HISTORY)).splitlines()
    lost = {line.removeprefix("+") for line in patches if line.startswith("+{")} - set(lines)
    if lost:
        raise DeploymentError(
            f"{HISTORY} has lost {len(lost)} line(s), as `dvc exp apply` of an older experiment "
            f"does. `git log -- {HISTORY}` shows its commits; `git checkout COMMIT -- {HISTORY}` "
            "brings it back."
        )
    return [Deployment.model_validate_json(line) for line in lines]


def standing(history: list[Deployment]) -> list[Deployment]:
    """The promotions that no later rollback has undone, oldest first."""
    left: list[Deployment] = []
    for line in history:
        if line.action == "promote":
            left.append(line)
            continue
        while left and left[-1].version != line.version:
            left.pop()
    return left


def now_served() -> Served:
    """What the checked-out commit locks, with the commit that it was promoted from, if any."""
    current = locked(git("rev-parse", "HEAD").strip())
    history = read_history()
    if history and history[-1].version == current.version:
        return Served(version=current.version, commit=history[-1].commit)
    return current


def previous(history: list[Deployment], current: Served) -> Served:
    """Where a rollback leads: before the last standing promotion, or to it if we left it.

    A version promoted while it was locked already replaced nothing: what was before it counts.

    Raises:
        DeploymentError: no promotion stands, or nothing was served before it.
    """
    left = standing(history)
    if not left:
        raise DeploymentError(
            f"{HISTORY} has no promotion to take back. `git log -- {LOCK}` shows older versions; "
            "promote one of them."
        )
    for line in reversed(left):
        if line.version != current.version:
            return line
        if line.replaced is not None:
            return line.replaced
    raise DeploymentError(
        f"{HISTORY} does not know what was served before {current.version}. "
        f"`git log -- {LOCK}` shows older versions; promote one of them."
    )


@contextmanager
def champion(name: str, version: str) -> Iterator[None]:
    """Give a version the registry's alias; take it back when what follows fails.

    Raises:
        DeploymentError: the registry does not know the version, or does not answer.
    """
    for variable, value in DEFAULTS.items():
        os.environ.setdefault(variable, value)
    client = MlflowClient()
    try:
        found = client.search_model_versions(f"name = '{name}' and tag.{VERSION} = '{version}.dir'")
        if not found:
            raise DeploymentError(
                f"MLflow's registry has no version of {name} tagged {VERSION}={version}.dir. Run "
                "`dvc repro --force deploy` where it was made, with the tracking server up."
            )
        before = client.get_registered_model(name).aliases.get(CHAMPION)
        client.set_registered_model_alias(name, CHAMPION, found[0].version)
    except MlflowException as error:
        raise DeploymentError(f"MLflow does not answer ({error}). Start it: `make up`.") from error
    try:
        yield
    except BaseException:
        if before is None:
            client.delete_registered_model_alias(name, CHAMPION)
        else:
            client.set_registered_model_alias(name, CHAMPION, before)
        raise


@contextmanager
def unchanged_on_failure(files: tuple[Path, ...]) -> Iterator[None]:
    """Give files their bytes back when what follows fails."""
    before = {file: file.read_bytes() if file.exists() else None for file in files}
    try:
        yield
    except BaseException:
        for file, content in before.items():
            if content is None:
                file.unlink(missing_ok=True)
                git("rm", "--cached", "--quiet", "--ignore-unmatch", "--", str(file))
            else:
                replace(file, content)
        raise


def replace(file: Path, content: bytes) -> None:
    """Write a file at once: whoever reads it sees the old bytes or the new."""
    draft = file.with_name(f".{file.name}.draft")
    draft.write_bytes(content)
    draft.replace(file)


def move(action: str, target: Served, current: Served) -> Deployment:
    """Serve another version.

    Raises:
        DeploymentError: something is missing or fails; nothing is changed then.
        StoreError: S3 does not have the version; nothing is changed then.
    """
    files = (*MOVED, HISTORY)
    names = [str(file) for file in files]
    if changed := git("status", "--porcelain", "--", *names):
        raise DeploymentError(f"Commit or discard these first:\n{changed.rstrip()}")
    manifest = pushed(target.version, read_settings())
    line = Deployment(
        version=target.version,
        commit=target.commit,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        action=action,
        name=manifest.name,
        metrics=manifest.metrics,
        replaced=None if target.version == current.version else current,
    )
    contents = {file: git("show", f"{target.commit}:{file}") for file in MOVED}
    with champion(line.name, line.version), unchanged_on_failure(files):
        with HISTORY.open("a") as history:
            history.write(line.model_dump_json() + "\n")
        for file, content in contents.items():
            replace(file, content.encode())
        git("add", "--intent-to-add", "--", str(HISTORY))
        message = f"{action.capitalize()} {line.name} {line.version}\n\nFrom {line.commit}"
        git("commit", "--quiet", "--message", message, "--", *names)
    return line


def show(history: list[Deployment]) -> str:
    """One text line per deployment: when, what, version, commit, metrics."""
    return "\n".join(
        f"{line.when}  {line.action:<8}  {line.name} {line.version}  commit {line.commit[:10]}  "
        + "  ".join(f"{name} {value:.5g}" for name, value in line.metrics.items())
        for line in history
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("promote").add_argument("revision", help="commit or DVC experiment")
    actions.add_parser("rollback")
    actions.add_parser("show")
    asked = parser.parse_args()
    try:
        if asked.action == "show":
            print(show(read_history()) or f"{HISTORY} has no line yet: nothing was promoted.")
            return
        current = now_served()
        if asked.action == "promote":
            target = locked(resolve(asked.revision))
            refuse_mixed(target.commit)
        else:
            target = previous(read_history(), current)
        line = move(asked.action, target, current)
    except (DeploymentError, StoreError, SettingsError) as error:
        sys.exit(f"{asked.action}: nothing is changed. {error}")
    print(show([line]))
    print("The server takes it over on `POST /reload`; `dvc checkout` brings its files here.")


if __name__ == "__main__":
    main()
