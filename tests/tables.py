"""Tables as a user's project: profiled, run through all stages, served over HTTP."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from app.model.manifest import Manifest
from lifecycle.new_data import plan
from lifecycle.yaml_text import rewrite
from local import demo
from tests.app.conftest import publish
from tests.conftest import ROOT, S3
from tests.project import environment
from tests.remote import push

# One process for all tables: importing PyCaret takes longer than training on these. At the end
# the fitted pipeline answers the whole table, read as the prepare stage reads it.
STAGES = """
import os, sys
from pathlib import Path
import joblib
import numpy as np
from stages import deploy, evaluate, files, params, prepare, schema, train
from stages.preparation import checks, reading
for folder in sys.argv[1:]:
    os.chdir(folder)
    for stage in (prepare, train, evaluate, deploy):
        stage.main()
    told = params.read("deploy")
    raw = reading.read_table(Path(told.base.path), told.prepare.missing, told.prepare.read)
    rows, seen = checks.check(raw, told, "")
    pipeline = joblib.load(files.FINAL)
    features = schema.model_frame(rows, seen)
    answers = {"values": pipeline.predict(features), "actual": schema.encode_target(rows, seen)}
    if seen.classes:
        answers["probabilities"] = pipeline.predict_proba(features)
    np.savez("fitted.npz", **answers)
"""


@dataclass(frozen=True)
class Case:
    """A table, its target, and the few keys that make the run quick."""

    write: Callable[[Path], None]
    file: str
    target: str
    models: tuple[str, ...]
    strategy: str
    runtime: str = "onnx"


def prepare_project(root: Path, case: Case) -> None:
    """A folder with the pipeline's files, the table, and the parameters proposed for it."""
    (root / "data").mkdir(parents=True)
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    for name in ("app", "stages", "dvc.yaml", "requirements.txt"):
        (root / name).symlink_to(ROOT / name)
    table = root / "data" / case.file
    case.write(table)
    proposed = {one.key: one.value for one in plan(table, case.target, None)}
    params = yaml.safe_load(rewrite((ROOT / "params.yaml").read_text(), proposed))
    assert params["prepare"]["split"]["strategy"] == case.strategy
    params["train"] |= {"models": list(case.models), "folds": 2, "n_jobs": 1, "blend": 2}
    params["evaluate"]["gate"]["beat_baseline"] = False
    params["deploy"]["runtime"] = case.runtime
    # Whatever the profile would set aside: the pipeline must bear it
    kept = {"{json}", "nothing", "always"}
    params["prepare"]["drop"] = [one for one in params["prepare"]["drop"] if one not in kept]
    (root / "params.yaml").write_text(yaml.safe_dump(params))


def run_stages(folders: Sequence[Path], s3: S3) -> None:
    """Run all four stages in each folder, and keep the fitted pipeline's answers beside."""
    done = subprocess.run(
        [sys.executable, "-c", STAGES, *map(str, folders)],
        env={**environment(s3, ""), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def upload(address: str, table: Path) -> dict[str, Any]:
    """Send the very file, the target column and all."""
    with table.open("rb") as file:
        reply = httpx.post(address, files={"file": (table.name, file)}, timeout=60)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def ask_for_the_table(
    root: Path, case: Case, s3: S3, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Manifest, dict[str, Any], Any]:
    """Push the model, start a server that pulls it, and send it the whole table.

    Returns:
        The manifest, the reply, and what the fitted pipeline answers (`values`, `actual`, and
        `probabilities` of a classification).
    """
    for name, value in environment(s3, "").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SERVE_REMOTE", f"s3://{s3.bucket}/tables")
    monkeypatch.chdir(root)
    version = publish(root / "model" / "serving", folder / "cache", root / "dvc.lock")
    push(folder / "cache" / version, version, s3.bucket, "tables")
    manifest = Manifest.read(root / "model" / "serving")
    query = "?probabilities=true" if manifest.classes else ""
    with demo.server(folder / "server") as url:
        reply = upload(f"{url}/predict{query}", root / "data" / case.file)
    assert reply["model"]["version"] == version
    return manifest, reply, np.load(root / "fitted.npz")
