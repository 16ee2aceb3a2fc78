"""docs/superconductors.md as it stands, on a sixth of the families and with fewer trees."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT, S3
from tests.tables import Case, ask_for_the_table, prepare_project, run_stages

TABLE = ROOT.parent / "shared" / "data" / "superconductors.csv.gz"
TREES = 60

pytestmark = pytest.mark.skipif(not TABLE.exists(), reason="needs the table, which is not ours")


def write(path: Path) -> None:
    table = pd.read_csv(TABLE)
    table[table["family"] % 6 == 0].to_csv(path, index=False)


def documented() -> dict[str, Any]:
    """The block `train` of the document."""
    text = (ROOT / "docs" / "superconductors.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    train: dict[str, Any] = yaml.safe_load(block)["train"]
    return train


CASE = Case(write, "superconductors.csv", "critical_temp", ("replaced",), "group")


@pytest.fixture(scope="module")
def root(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("superconductors")
    prepare_project(root, CASE)
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text())
    block = documented()
    preprocess = params["train"]["preprocess"] | block.pop("preprocess")
    params["train"] |= block | {"preprocess": preprocess, "n_jobs": 1}
    for model in params["train"]["models"]:
        (values,) = model.values()
        if "n_estimators" in values:
            values |= (
                {"n_estimators": TREES, "learning_rate": 0.1}
                if "num_leaves" in values
                else {"n_estimators": TREES}
            )
    path.write_text(yaml.safe_dump(params))
    run_stages([root], s3)
    return root


def test_the_honest_score_is_worse_than_the_flattering_one(root: Path) -> None:
    report = json.loads((root / "reports" / "metrics.json").read_text())
    honest, flattering = report["honest"]["mean"]["rmse"], report["flattering"]["mean"]["rmse"]
    assert flattering < 0.95 * honest < report["baseline"]["dummy"]["rmse"]
    assert report["inflation_percent"]["rmse"] == pytest.approx(100 * (1 - flattering / honest))


def test_the_blend_is_served_as_its_pipeline_answers(
    root: Path, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, reply, fitted = ask_for_the_table(root, CASE, s3, tmp_path, monkeypatch)
    assert manifest.runtime == "onnx"
    assert manifest.parity.max_relative < 1e-9
    np.testing.assert_allclose(reply["predictions"], fitted["values"], rtol=1e-9)
