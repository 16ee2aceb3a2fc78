from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from stages.evaluation.plot_tables import (
    COLUMNS,
    calibration,
    labels,
    residuals,
    validation,
    write_tables,
)
from tests.conftest import ROOT
from tests.stages.test_schema import SCHEMA


def test_dvc_yaml_names_files_and_columns_that_are_written(tmp_path: Path) -> None:
    write_tables({}, tmp_path)
    shown = [
        (plot["x"], file, column)
        for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
        for plot in entry.values()
        for file, column in plot["y"].items()
    ]
    assert {Path(file).stem for _, file, _ in shown} == set(COLUMNS)
    for x, file, column in shown:
        assert {x, column} <= set(pd.read_csv(tmp_path / Path(file).name).columns)


def test_a_table_that_is_given_is_written(tmp_path: Path) -> None:
    write_tables({"residuals": residuals(np.array([3.0]), np.array([1.0]))}, tmp_path)
    assert (tmp_path / "residuals.csv").read_text() == "actual,predicted,residual\n3,1,2\n"
    assert (tmp_path / "labels.csv").read_text() == "actual,predicted\n"


def test_labels_are_the_users() -> None:
    table = labels(np.array([0, 1]), np.array([1, 1]), SCHEMA)
    assert table.to_dict("list") == {"actual": ["no", "yes"], "predicted": ["yes", "yes"]}


def test_two_classes_are_calibrated_by_the_second() -> None:
    chance = np.array([0.02, 0.08, 0.91, 0.97, 1.0])
    table = calibration(np.array([0, 1, 1, 1, 0]), np.column_stack([1 - chance, chance]))
    assert table["predicted"].tolist() == pytest.approx([0.05, 0.96])
    assert table["observed"].tolist() == pytest.approx([0.5, 2 / 3])
    assert table["rows"].tolist() == [2, 3]


def test_more_classes_are_calibrated_by_the_label_given() -> None:
    chances = np.array([[0.7, 0.2, 0.1], [0.05, 0.2, 0.75]])
    table = calibration(np.array([0, 1]), chances)
    assert table.to_dict("list") == {
        "predicted": [pytest.approx(0.725)],
        "observed": [0.5],
        "rows": [2],
    }


def test_both_validations_are_beside_each_other() -> None:
    report = {"honest": {"mean": {"rmse": 4.0}}, "flattering": {"mean": {"rmse": 3.0}}}
    table = validation(report, "group", "rmse")
    assert table["folds"].tolist() == ["group folds", "random folds"]
    assert table["value"].tolist() == [4.0, 3.0]


def test_a_residual_is_settled_by_what_it_is_the_difference_of() -> None:
    table = residuals(np.array([3000.0, 0.3]), np.array([3000.0000000001, 0.1]))
    assert table["residual"].tolist() == [0.0, 0.2]
