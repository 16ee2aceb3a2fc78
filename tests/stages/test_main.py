"""What a stage reads is noted when it starts, and a change meanwhile fails it."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.__main__ import Inputs
from tests.conftest import ROOT

# A stage that says when it has begun, and ends when told to
PREPARE = """
from pathlib import Path
import time

def main():
    Path("begun").touch()
    while not Path("go").exists():
        time.sleep(0.01)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one stage that depends on a file, a folder and two keys."""
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "code.py").write_text("x = 1\n")
    (tmp_path / "params.yaml").write_text("base: {seed: 1, name: x}\nprepare: {drop: []}\n")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  prepare:\n    cmd: none\n    deps: [data, code.py]\n"
        "    params: [base.seed, prepare]\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nothing_has_changed(folder: Path) -> None:
    inputs = Inputs("prepare")
    (folder / "params.yaml").write_text("base: {seed: 1, name: other}\nprepare: {drop: []}\n")
    (folder / "data" / "deep" / "__pycache__").mkdir()
    (folder / "data" / "deep" / "__pycache__" / "x.pyc").touch()
    os.utime(folder / "code.py", (0, 0))
    assert inputs.changed() == []


def test_every_change_is_named(folder: Path) -> None:
    inputs = Inputs("prepare")
    (folder / "data" / "deep" / "table.csv").write_text("a,b\n1,3\n")
    (folder / "data" / "more.csv").touch()
    (folder / "code.py").unlink()
    (folder / "params.yaml").write_text("base: {seed: 2}\nprepare: {drop: [x]}\n")
    assert inputs.changed() == [
        "code.py",
        "data/deep/table.csv",
        "data/more.csv",
        "base.seed in params.yaml",
        "prepare in params.yaml",
    ]


@pytest.mark.parametrize("edit", [True, False], ids=["edited", "left alone"])
def test_a_stage_whose_input_changes_while_it_runs_fails_and_names_it(
    folder: Path, edit: bool
) -> None:
    (folder / "stages").mkdir()
    for name in ("__init__", "__main__", "arithmetic", "files"):
        (folder / "stages" / f"{name}.py").symlink_to(ROOT / "stages" / f"{name}.py")
    (folder / "stages" / "prepare.py").write_text(PREPARE)
    with subprocess.Popen(
        [sys.executable, "-m", "stages", "prepare"], stderr=subprocess.PIPE, text=True
    ) as stage:
        deadline = time.monotonic() + 60
        while not (folder / "begun").exists():
            assert stage.poll() is None, stage.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.01)
        if edit:
            (folder / "code.py").write_text("x = 2\n")
        (folder / "go").touch()
        said = stage.communicate(timeout=60)[1]
    assert (stage.returncode == 0) is not edit
    if edit:
        assert "prepare: code.py changed while the stage ran." in said


# DVC's own pipeline of two stages, in small: the first copies data/, the second reads the copy.
PIPELINE = """
stages:
  prepare:
    cmd: python -m stages prepare
    deps: [data]
    params: [base.seed]
    outs: [prepared]
  train:
    cmd: python -m stages train
    deps: [prepared]
    params: [base.seed]
    outs: [model]
"""
STAGE = """
import shutil

def main():
    shutil.copytree("{source}", "{target}", dirs_exist_ok=True)
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs DVC's commands in a project whose pipeline has run."""
    (tmp_path / "stages").mkdir()
    for name in ("__init__", "__main__", "arithmetic", "files"):
        shutil.copy(ROOT / "stages" / f"{name}.py", tmp_path / "stages")
    for name, source, target in (("prepare", "data", "prepared"), ("train", "prepared", "model")):
        (tmp_path / "stages" / f"{name}.py").write_text(STAGE.format(source=source, target=target))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "params.yaml").write_text("base: {seed: 1}\n")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)

    def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["dvc", *command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=check,
        )

    run("init", "--no-scm", "--quiet")
    run("add", "--quiet", "data")
    run("repro", "--quiet")
    return run


def test_stage_that_meets_a_full_disk_says_so_and_locks_nothing(
    pipeline: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    lock = (tmp_path / "dvc.lock").read_text()
    full = 'def main():\n    with open("/dev/full", "wb", 0) as file:\n        file.write(b"x")\n'
    (tmp_path / "stages" / "train.py").write_text(full)
    run = pipeline("repro", "--force", check=False)
    assert run.returncode != 0
    assert "train: the disk is full. Make room, then run it again" in run.stderr
    assert "Traceback" not in run.stderr
    assert (tmp_path / "dvc.lock").read_text() == lock


def test_damage_that_dvc_does_not_see_fails_the_stage_that_reads_it(
    pipeline: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    pin = (tmp_path / "data.dvc").read_text()
    table, copy = tmp_path / "data" / "table.csv", tmp_path / "prepared" / "table.csv"
    table.chmod(0o644)
    table.write_text("a,b\n1,2\n3,4\n")
    pipeline("repro")  # an edit is no damage: it is pinned anew, which Git shows
    assert copy.read_text() == table.read_text()
    assert (tmp_path / "data.dvc").read_text() != pin

    # The work tree: another byte, with the size and the time of before.
    status, content = table.stat(), table.read_bytes()
    table.write_bytes(content.replace(b"4", b"5"))
    os.utime(table, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "up to date" in pipeline("status").stdout
    run = pipeline("repro", "--force", "--single-item", "prepare", check=False)
    assert run.returncode != 0
    assert "prepare: data has md5" in run.stderr
    assert "data.dvc says" in run.stderr

    # The cache: DVC checks an altered object out.
    cache = tmp_path / ".dvc" / "cache" / "files" / "md5"
    md5 = hashlib.md5(content).hexdigest()
    stored = cache / md5[:2] / md5[2:]
    stored.chmod(0o644)
    stored.write_bytes(content.replace(b"4", b"6"))
    stored.chmod(0o444)
    shutil.rmtree(copy.parent, ignore_errors=True)  # DVC removed it for the stage above
    pipeline("checkout", "--force", "prepared")
    assert copy.read_bytes() != content
    run = pipeline("repro", "--force", "--single-item", "train", check=False)
    assert run.returncode != 0
    assert "train: prepared has md5" in run.stderr
    assert "dvc.lock says" in run.stderr
