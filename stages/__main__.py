"""Run a stage, or a worker for its folds, under the cap of `stages.arithmetic`.

$ python -m stages train
$ python -m stages worker tcp://10.0.0.1:8786      # a Dask worker for `train.parallel`

A stage whose inputs change while it runs fails: DVC takes their md5 when it has ended, and
`dvc.lock` would call its outputs those of inputs that it never read. So does a stage whose inputs
are not what `data.dvc` and `dvc.lock` say: DVC hashes no file again whose size and time it knows,
and takes any read-only object of its cache for whole.
"""

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from stages import arithmetic
from stages.files import md5

STAGES = ("prepare", "train", "evaluate", "deploy")
PIPELINE = Path("dvc.yaml")
PARAMS = Path("params.yaml")
LOCK = Path("dvc.lock")
# DVC sets it for the commands that it runs; who runs a stage by hand may read what he likes.
DVC_STAGE = "DVC_STAGE"
FULL = (errno.ENOSPC, errno.EDQUOT)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser("python -m stages", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=[*STAGES, "worker"])
    parser.add_argument("more", nargs=argparse.REMAINDER, help="of `dask worker`: address, options")
    command = parser.parse_args()
    if command.what == "worker":
        arithmetic.launch("-m", "dask", "worker", "--nthreads", "1", *command.more)
    if command.more:
        parser.error(f"{command.what} takes no more arguments; params.yaml tells it")
    if not arithmetic.is_set():
        arithmetic.launch("-m", "stages", command.what)
    os.environ.setdefault("PYCARET_CUSTOM_LOGGING_PATH", os.devnull)  # else ./logs.log
    try:
        run(command.what)
    except OSError as error:
        if error.errno not in FULL:
            raise
        place = f" (writing {error.filename})" if error.filename else ""
        sys.exit(
            f"{command.what}: the disk is full{place}. Make room, then run it again: the stages "
            "before are kept, and of this one nothing is locked."
        )


def run(stage: str) -> None:
    """Run a stage, and fail where its inputs changed meanwhile."""
    inputs = Inputs(stage)
    if DVC_STAGE in os.environ and (damaged := inputs.damaged()):
        sys.exit(
            f"{stage}: {'; '.join(damaged)}. A file or DVC's cache was damaged or altered, which "
            "DVC does not see. Remove these paths and the objects of that md5 below .dvc/cache, "
            "then `dvc pull` (or `dvc commit` where the change is yours), and run it again."
        )
    module = importlib.import_module(f"stages.{stage}")
    arithmetic.report(stage)
    module.main()
    changed = inputs.changed()
    if changed:
        sys.exit(
            f"{stage}: {', '.join(changed)} changed while the stage ran. dvc.lock would say that "
            "its outputs were made of the new content, so nothing is locked. Run it again."
        )


class Inputs:
    """The files and parameters that `dvc.yaml` declares for a stage, as they are now."""

    def __init__(self, stage: str) -> None:
        declared = yaml.safe_load(PIPELINE.read_text())["stages"][stage]
        self._paths = [Path(path) for path in declared["deps"]]
        self._keys: list[str] = declared["params"]
        self._stats = stats(self._paths)
        self._md5 = {file: md5(file) for file in self._stats}
        self._values = values(self._keys)

    def damaged(self) -> list[str]:
        """The inputs that are not what DVC's files say of them; code is in Git, not there."""
        return [
            f"{path} has md5 {actual}, {file} says {pin}"
            for path, (pin, file) in pins(self._paths).items()
            if (actual := md5(path, self._md5)) != pin
        ]

    def changed(self) -> list[str]:
        """The files, and the keys of params.yaml, whose content is another one by now."""
        before, now = self._stats, stats(self._paths)
        touched = [file for file in before | now if before.get(file) != now.get(file)]
        files = [
            str(file)
            for file in touched  # The others need not be read again: a table may have gigabytes
            if file not in before or file not in now or md5(file) != self._md5[file]
        ]
        values_now = values(self._keys)
        keys = [key for key in self._keys if values_now[key] != self._values[key]]
        return sorted(files) + [f"{key} in {PARAMS}" for key in keys]


def stats(paths: Sequence[Path]) -> dict[Path, tuple[int, int, int]]:
    """Inode, size and time of change of every file below `paths` that DVC would not ignore."""
    files = [
        file
        for path in paths
        for file in ([path] if path.is_file() else path.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    ]
    statuses = {file: file.stat() for file in files}
    return {file: (one.st_ino, one.st_size, one.st_mtime_ns) for file, one in statuses.items()}


def pins(paths: Sequence[Path]) -> dict[Path, tuple[str, Path]]:
    """The md5 of each path that a `.dvc` file or an earlier stage's outputs in dvc.lock name."""
    lock = (yaml.safe_load(LOCK.read_text()) or {}) if LOCK.exists() else {}
    named: dict[Path, tuple[str, Path]] = {
        Path(out["path"]): (out["md5"], LOCK)
        for stage in lock.get("stages", {}).values()
        for out in stage.get("outs", [])
    }
    for path in paths:
        file = path.with_name(f"{path.name}.dvc")
        if file.exists():
            named[path] = (yaml.safe_load(file.read_text())["outs"][0]["md5"], file)
    return {path: named[path] for path in paths if path in named}


def values(keys: Sequence[str]) -> dict[str, Any]:
    """What params.yaml says of each dotted key; None where it has no such key."""
    whole = yaml.safe_load(PARAMS.read_text())
    told = {}
    for key in keys:
        value: Any = whole
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        told[key] = value
    return told


if __name__ == "__main__":
    main()
