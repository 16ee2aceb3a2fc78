"""Tables of every kind: profiled, trained, deployed and served without a change of code."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_wine

from tests.conftest import S3
from tests.tables import Case, ask_for_the_table, prepare_project, run_stages


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


CASES = (
    Case(rides, "rides.csv", "dauer (min.)", ("xgboost", "lightgbm"), "random"),
    Case(flowers, "flowers.parquet", "answer", ("lightgbm", "lr"), "stratified"),
    Case(customers, "customers.csv", "churn", ("catboost", "lr"), "group"),
    # No graph can express this estimator
    Case(customers, "pickled.csv", "churn", ("gpc",), "group", "pycaret"),
    Case(cancer, "cancer.csv", "target", ("lr",), "stratified"),
    Case(wine, "wine.csv", "target", ("et",), "stratified"),
)


@pytest.fixture(scope="module")
def built(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project for each case, all stages run."""
    root = tmp_path_factory.mktemp("tables")
    for case in CASES:
        prepare_project(root / case.file, case)
    run_stages([root / case.file for case in CASES], s3)
    return root


@pytest.mark.parametrize("case", CASES, ids=[case.file for case in CASES])
def test_a_table_is_served_as_its_pipeline_answers(
    built: Path, case: Case, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = built / case.file
    manifest, reply, fitted = ask_for_the_table(root, case, s3, tmp_path, monkeypatch)
    assert manifest.runtime == case.runtime
    if manifest.task == "regression":
        np.testing.assert_allclose(reply["predictions"], fitted["values"], rtol=1e-6)
        return
    assert reply["predictions"] == [manifest.classes[int(index)] for index in fitted["values"]]
    np.testing.assert_allclose(reply["probabilities"], fitted["probabilities"], atol=1e-6)
    assert np.mean(fitted["values"] == fitted["actual"]) > 0.8
