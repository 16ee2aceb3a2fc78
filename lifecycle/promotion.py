"""Serve another version: the lock, the registry and the history move together or not at all."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.model.manifest import Manifest
from app.model.store import StoreError, fetch, locked_output, parse_lock
from app.settings import Settings, read_settings
from lifecycle.champion import champion
from lifecycle.history import HISTORY, Deployment, DeploymentError, LockedVersion, read_history
from stages.files import SERVING
from stages.repository import CommandError, git

LOCK = Path("dvc.lock")
# What a version was made of and scored; the lock comes last, for it is what the server watches.
MOVED = (Path("params.yaml"), Path("data.dvc"), Path("reports/metrics.json"), LOCK)


def resolve(revision: str) -> str:
    """The commit of a Git revision or of a DVC experiment's name.

    Raises:
        DeploymentError: it is neither.
    """
    experiments = git("for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{revision}")
    if experiments:
        return experiments.split()[0]
    try:
        return git("rev-parse", "--verify", f"{revision}^{{commit}}").strip()
    except CommandError as error:
        raise DeploymentError(
            f"REV: {revision!r} is no commit, branch, tag or DVC experiment. `git log` and "
            "`dvc exp list` name them."
        ) from error


def read_lock(commit: str) -> Any:
    """A commit's `dvc.lock`."""
    return parse_lock(git("show", f"{commit}:{LOCK}"), f"{LOCK} of {commit[:10]}")


def version_of(commit: str) -> LockedVersion:
    """The version that a commit's `dvc.lock` names.

    Raises:
        DeploymentError: it names none.
    """
    name = f"{LOCK} of {commit[:10]}"
    try:
        version = locked_output(read_lock(commit), name, "deploy", str(SERVING))
    except StoreError as error:
        raise DeploymentError(f"{name} names no {SERVING}. Run `dvc repro` there.") from error
    return LockedVersion(version=version, commit=commit)


def current_version() -> LockedVersion:
    """What the checked-out commit locks, with the commit that it was promoted from, if any."""
    current = version_of(git("rev-parse", "HEAD").strip())
    history = read_history()
    if history and history[-1].version == current.version:
        return LockedVersion(version=current.version, commit=history[-1].commit)
    return current


def locked_before(current: LockedVersion) -> LockedVersion:
    """The version that `dvc.lock` named before the current one, whole and by Git's history.

    Raises:
        DeploymentError: there is none.
    """
    for commit in git("log", "--format=%H", "--", str(LOCK)).split():
        try:
            version = version_of(commit)
            refuse_mixed(commit)
        except DeploymentError:  # a commit that ends before deploy, or of half a pipeline
            continue
        if version.version != current.version:
            return version
    raise DeploymentError(
        f"Neither {HISTORY} nor the commits of {LOCK} know a version before {current.version}."
    )


def refuse_mixed(commit: str) -> None:
    """Raise DeploymentError when a commit's stages have not run on each other's outputs."""
    stages = read_lock(commit)["stages"]
    made = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}
    for name, stage in stages.items():
        for dep in stage.get("deps", []):
            if made.get(dep["path"], dep["md5"]) != dep["md5"]:
                raise DeploymentError(
                    f"{LOCK} of {commit[:10]}: the stage {name} has not run on its {dep['path']}, "
                    f"so its {SERVING} is another model's. Apply it, run `dvc repro` and "
                    "`dvc push`, commit, and promote that commit."
                )


def verified_manifest(version: str, settings: Settings) -> Manifest:
    """The manifest of a version, every byte of which S3 gave and which was verified.

    Raises:
        StoreError: S3 does not have it.
    """
    with tempfile.TemporaryDirectory() as folder:
        return Manifest.read(
            fetch(version, settings.model_copy(update={"model_cache": Path(folder)}))
        )


def nothing() -> None:
    """What follows a commit that nobody waits for."""


def move(
    action: str,
    target: LockedVersion,
    current: LockedVersion,
    publish: Callable[[], None] = nothing,
) -> Deployment:
    """Serve another version, in one commit.

    Args:
        action: `promote` or `rollback`, for the history.
        target: the version to serve.
        current: the version locked now.
        publish: hands the commit on; when it fails, it has taken the commit back.

    Raises:
        DeploymentError: something is missing or fails; nothing is changed then.
        CommandError: Git refuses something; nothing is changed then.
        StoreError: S3 does not have the version; nothing is changed then.
    """
    files = (*MOVED, HISTORY)
    names = [str(file) for file in files]
    if changed := git("status", "--porcelain", "--", *names):
        raise DeploymentError(f"Commit or discard these first:\n{changed.rstrip()}")
    manifest = verified_manifest(target.version, read_settings())
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
        publish()
    return line


@contextmanager
def unchanged_on_failure(files: Sequence[Path]) -> Iterator[None]:
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
