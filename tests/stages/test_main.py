"""What a stage reads is noted when it starts, and a change meanwhile fails it."""

import os
import subprocess
import sys
import time
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
