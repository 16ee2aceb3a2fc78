"""Tables of every kind: profiled, trained, deployed and served without a change of code."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.datasets import load_breast_cancer, load_wine

from app.manifest import Manifest
from local import demo
from local.new_data import plan
from local.yaml_text import rewrite
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
from stages import deploy, evaluate, params, prepare, schema, train
for folder in sys.argv[1:]:
    os.chdir(folder)
    for stage in (prepare, train, evaluate, deploy):
        stage.main()
    told = params.read("deploy")
    raw = prepare.read_table(Path(told.base.path), told.prepare.missing)
    rows, seen = prepare.check(raw, told, "")
    pipeline = joblib.load(deploy.FINAL / "pipeline.pkl")
    features = schema.model_frame(rows, seen)
    answers = {"values": pipeline.predict(features), "actual": schema.encode_target(rows, seen)}
    if seen.classes:
        answers["probabilities"] = pipeline.predict_proba(features)
    np.savez("fitted.npz", **answers)
"""


def rides(path: Path) -> None:
    """Regression: names that break other tools, missing numbers, moments and booleans."""
    generator = np.random.default_rng(1)
    rows = 160
    start = pd.Timestamp("2024-02-28T22:15:00")
    moment = start + pd.to_timedelta(generator.integers(0, 9_000_000, rows), "s")
    table = pd.DataFrame(
        {
            "Länge [km] <x>": generator.gamma(2, 4, rows).round(3),
            'he said: "a,b"': generator.choice(['x "y"', "p, q", "line\nbreak", "naïve ☂"], rows),
            "": generator.normal(size=rows).round(4),
            "target_": generator.integers(0, 5, rows),
            "a b": generator.choice([True, False], rows),
            "a_b": generator.normal(0, 1e-9, rows),
            "abfahrt.zeit": moment.strftime("%Y-%m-%dT%H:%M:%S"),
            "{json}": "only one",
            "straße": [f"Straße {i}" for i in generator.integers(0, 70, rows)],
        }
    )
    table = table.astype(object)
    minutes = 3 * table["Länge [km] <x>"] + 2 * table["target_"] + 5 * table["a b"]
    table["dauer (min.)"] = minutes + generator.normal(0, 0.5, rows)
    for step, name in ((11, "Länge [km] <x>"), (13, "a b"), (17, "abfahrt.zeit"), (19, "straße")):
        table.loc[::step, name] = None
    table.loc[::23, "a_b"] = "n/a"
    table.to_csv(path, index=False)


def flowers(path: Path) -> None:
    """Three labels as text, in a Parquet file with types of its own."""
    generator = np.random.default_rng(2)
    rows = 180
    label = generator.choice(["ja", "nein", "vielleicht, später"], rows)
    shift = pd.Series(label).map({"ja": 0.0, "nein": 2.0, "vielleicht, später": 4.0})
    zone = pd.Timestamp("2023-12-31 23:30", tz="Europe/Berlin")
    table = pd.DataFrame(
        {
            "größe": (shift + generator.normal(0, 0.6, rows)).astype("float32"),
            "count": pd.Series(generator.integers(-5, 5, rows)).astype("Int64"),
            "is open": pd.Series(generator.choice([True, False], rows)).astype("boolean"),
            "when": zone + pd.to_timedelta(generator.integers(0, 400, rows), "D"),
            "sort": pd.Categorical(generator.choice(["ä", "β", "☂"], rows)),
            "nothing": pd.Series([None] * rows, dtype="float64"),
            "always": 7,
            "seen": pd.Series(generator.choice(["yes", "no"], rows)),
            "answer": label,
        }
    )
    for name in ("count", "is open", "sort", "when"):
        table[name] = table[name].mask(generator.random(rows) < 0.05)
    table.to_parquet(path, index=False)


def customers(path: Path) -> None:
    """Two labels, one of them rare, several rows a customer, codes that look like numbers."""
    generator = np.random.default_rng(3)
    rows = 240
    table = pd.DataFrame(
        {
            "row": range(rows),
            "customerId": [f"c{i}" for i in np.repeat(np.arange(rows // 4), 4)],
            "plz": generator.choice(["01067", "80331", "0815x", "?"], rows),
            "income": generator.lognormal(10, 0.4, rows).round(2),
            "vip": generator.choice(["TRUE", "False"], rows),
        }
    )
    table["churn"] = table["income"] > table["income"].quantile(0.85)
    table["copy"] = table["churn"]
    table.loc[::8, "income"] = np.nan
    table.to_csv(path, index=False)


def cancer(path: Path) -> None:
    load_breast_cancer(as_frame=True).frame.to_csv(path, index=False)


def wine(path: Path) -> None:
    load_wine(as_frame=True).frame.to_csv(path, index=False)


@dataclass(frozen=True)
class Case:
    """A table, its target, and the few keys that make the run quick."""

    write: Callable[[Path], None]
    file: str
    target: str
    models: tuple[str, ...]
    strategy: str
    runtime: str = "onnx"


CASES = (
    Case(rides, "rides.csv", "dauer (min.)", ("xgboost", "lightgbm"), "random"),
    Case(flowers, "flowers.parquet", "answer", ("lightgbm", "lr"), "stratified"),
    Case(customers, "customers.csv", "churn", ("catboost", "lr"), "group"),
    # No graph can express this estimator
    Case(customers, "pickled.csv", "churn", ("gpc",), "group", "pycaret"),
    Case(cancer, "cancer.csv", "target", ("lr",), "stratified"),
    Case(wine, "wine.csv", "target", ("et",), "stratified"),
)


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


@pytest.fixture(scope="module")
def built(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project for each case, all stages run."""
    root = tmp_path_factory.mktemp("tables")
    for case in CASES:
        prepare_project(root / case.file, case)
    variables = {**environment(s3, ""), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    folders = [str(root / case.file) for case in CASES]
    done = subprocess.run(
        [sys.executable, "-c", STAGES, *folders],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return root


def upload(address: str, table: Path) -> dict[str, Any]:
    """Send the very file, the target column and all."""
    with table.open("rb") as file:
        reply = httpx.post(address, files={"file": (table.name, file)}, timeout=60)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


@pytest.mark.parametrize("case", CASES, ids=[case.file for case in CASES])
def test_a_table_is_served_as_its_pipeline_answers(
    built: Path, case: Case, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = built / case.file
    for name, value in environment(s3, "").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SERVE_REMOTE", f"s3://{s3.bucket}/tables")
    monkeypatch.chdir(root)
    version = publish(root / "model" / "serving", tmp_path / "cache", root / "dvc.lock")
    push(tmp_path / "cache" / version, version, s3.bucket, "tables")
    table = root / "data" / case.file
    manifest = Manifest.read(root / "model" / "serving")
    assert manifest.runtime == case.runtime
    query = "?probabilities=true" if manifest.classes else ""
    with demo.server(tmp_path / "server") as url:
        reply = upload(f"{url}/predict{query}", table)
    assert reply["model"]["version"] == version

    fitted = np.load(root / "fitted.npz")
    if manifest.task == "regression":
        np.testing.assert_allclose(reply["predictions"], fitted["values"], rtol=1e-6)
        return
    assert reply["predictions"] == [manifest.classes[int(index)] for index in fitted["values"]]
    np.testing.assert_allclose(reply["probabilities"], fitted["probabilities"], atol=1e-6)
    assert np.mean(fitted["values"] == fitted["actual"]) > 0.8
