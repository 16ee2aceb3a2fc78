"""The same bits whatever the processor: all four stages under several arithmetics."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from stages import arithmetic
from stages.files import md5
from tests.arithmetics import EMULATOR, OLDER, OLDEST, python
from tests.conftest import ROOT
from tests.project import houses

MODELS = ["lightgbm", "ridge", "knn", "mlp", "kr", "et"]
OUTPUTS = ("prepared", "model", "reports")
STAGES = ("prepare", "train", "evaluate", "deploy")


def project(root: Path) -> Path:
    """A folder with the pipeline's files, a small table, and estimators of many kinds."""
    (root / "data").mkdir(parents=True)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    for name in ("app", "stages", "dvc.yaml", "requirements.txt"):
        (root / name).symlink_to(ROOT / name)
    houses().to_csv(root / "data" / "table.csv", index=False)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["base"] |= {"path": "data/table.csv", "target": "price"}
    # One fold after the other: an emulator's child processes would run outside of it
    params["train"] |= {"models": MODELS, "folds": 2, "n_jobs": 1, "blend": 0, "stack": len(MODELS)}
    params["train"]["preprocess"]["normalize"] = "zscore"
    params["evaluate"]["gate"] |= {"limit": None, "beat_baseline": False}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    return root


def outputs(root: Path) -> dict[str, str]:
    """The md5 of every file that the stages wrote."""
    files = sorted(file for name in OUTPUTS for file in (root / name).rglob("*") if file.is_file())
    return {str(file.relative_to(root)): md5(file) for file in files}


def run_stages(
    root: Path,
    settings: Mapping[str, str],
    stages: Sequence[str] = STAGES,
    emulated: bool = False,
) -> None:
    """Run each stage in a process of its own, with the arithmetic that it happens to have.

    In one process for all, a pickle would refer to the objects of an earlier stage.
    """
    for stage in stages:
        code = f"from stages import {stage}; {stage}.main()"
        python("-c", code, folder=root, settings=settings, emulated=emulated)


@pytest.fixture(scope="module")
def capped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the stages write under the cap, as `dvc repro` starts them."""
    root = project(tmp_path_factory.mktemp("capped"))
    for stage in STAGES:
        said = python("-m", "stages", stage, folder=root, settings=OLDEST)
        assert f"{stage}: computes on one thread, and only as every x86-64 processor can" in said
    return outputs(root)


def test_a_stage_computes_under_the_cap_whatever_its_caller_has(
    capped: dict[str, str], tmp_path: Path
) -> None:
    root = project(tmp_path / "own")
    run_stages(root, arithmetic.CAP)
    assert outputs(root) == capped
    assert {"model/serving/model.onnx", "model/final/pipeline.pkl"} <= capped.keys()


@pytest.mark.emulated
@pytest.mark.skipif(EMULATOR is None, reason="needs qemu-x86_64 (Debian: qemu-user)")
def test_an_emulated_processor_without_avx_gives_the_same_bits(
    capped: dict[str, str], tmp_path: Path
) -> None:
    root = project(tmp_path / "emulated")
    run_stages(root, arithmetic.CAP, emulated=True)
    assert outputs(root) == capped


@pytest.mark.parametrize("settings", [{}, OLDER, OLDEST], ids=["own", "older", "oldest"])
def test_without_the_cap_the_bits_differ(
    capped: dict[str, str], tmp_path: Path, settings: Mapping[str, str]
) -> None:
    root = project(tmp_path / "free")
    run_stages(root, settings, ["prepare", "train"])
    free = outputs(root)
    assert free.keys() <= capped.keys()
    different = {name for name in free if free[name] != capped[name]}
    assert "model/candidate/pipeline.pkl" in different
    assert not any(name.startswith("prepared/") for name in different)


def test_a_stage_started_by_its_module_runs_under_the_cap(tmp_path: Path) -> None:
    said = python("-m", "stages.prepare", folder=project(tmp_path / "one"), settings=OLDEST)
    assert "prepare: computes on one thread, and only as every x86-64 processor can" in said


def test_a_cap_that_did_not_take_is_said_and_names_what(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from stages import arithmetic; arithmetic.report('train')"],
        cwd=ROOT,
        env={**os.environ, **arithmetic.CAP, "OPENBLAS_CORETYPE": "Prescott"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert "train: WARNING: this machine does not compute as others do" in done.stderr
    assert "(OpenBLAS: Prescott instead of Nehalem)" in done.stderr
    assert "dvc.lock may differ" in done.stderr
