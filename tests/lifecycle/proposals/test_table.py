from typing import Any

import numpy as np
import pandas as pd
import pytest

from lifecycle.proposals.features import missing_texts
from lifecycle.proposals.table import propose

ROWS = 200


@pytest.fixture
def frame() -> pd.DataFrame:
    """Text cells, as a CSV gives them; the target `kind` has two labels as frequent."""
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size (m²)": [f"{x:.3f}" for x in generator.normal(size=ROWS)],
            "colour": generator.choice(["red", "green", "blue"], ROWS),
            "kind": ["a", "b"] * (ROWS // 2),
        },
        dtype=object,
    )


def proposed(frame: pd.DataFrame, target: str = "kind") -> dict[str, Any]:
    return {one.key: one.value for one in propose(frame, target)}


def test_a_plain_table_needs_nothing_special(frame: pd.DataFrame) -> None:
    keys = proposed(frame)
    assert isinstance(keys.pop("train.models"), list)
    assert keys == {
        "base.task": "classification",
        "prepare.id": None,
        "prepare.drop": [],
        "prepare.split.strategy": "stratified",
        "prepare.split.column": None,
        "train.blend": "greedy",
        "train.stack": 0,
        "train.budget_minutes": 1.8,
        "train.preprocess.normalize": "zscore",
        "train.folds": 5,
        "train.sort": "Log loss",
        "evaluate.gate.metric": "accuracy",
        "evaluate.gate.limit": None,
        "train.preprocess.transform_target": None,
        "train.preprocess.max_encoding_ohe": -1,
    }


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["yes", "no"], "classification"),
        (["True", "False"], "classification"),
        (["0", "1"], "classification"),
        (["0.5", "1.5"], "regression"),
        ([str(i) for i in range(ROWS)], "regression"),
    ],
)
def test_the_target_tells_the_task(frame: pd.DataFrame, values: list[str], task: str) -> None:
    frame["kind"] = values * (ROWS // len(values))
    keys = proposed(frame)
    assert keys["base.task"] == task
    assert keys["evaluate.gate.metric"] == ("rmse" if task == "regression" else "accuracy")
    assert keys["train.sort"] == ("RMSE" if task == "regression" else "Log loss")


@pytest.mark.parametrize(
    ("labels", "metric"),
    [
        (["rare"] * 10 + ["common"] * 190, "roc_auc"),
        (["rare"] * 10 + ["x"] * 90 + ["y"] * 100, "balanced_accuracy"),
    ],
)
def test_a_rare_label_changes_the_metric_of_the_gate(
    frame: pd.DataFrame, labels: list[str], metric: str
) -> None:
    frame["kind"] = labels
    keys = proposed(frame)
    assert (keys["train.sort"], keys["evaluate.gate.metric"]) == ("Log loss", metric)


def test_folds_that_may_lack_a_label_are_not_judged_by_the_log_loss(frame: pd.DataFrame) -> None:
    frame["family"] = [f"f{i // 5}" for i in range(ROWS)]
    assert proposed(frame)["train.sort"] == "Accuracy"
    frame["kind"] = ["rare"] * 10 + ["common"] * (ROWS - 10)
    assert proposed(frame)["train.sort"] == "AUC"


@pytest.mark.parametrize(("rows", "folds"), [(4, 3), (2, 2)])
def test_folds_fit_the_rarest_label(frame: pd.DataFrame, rows: int, folds: int) -> None:
    frame["kind"] = ["rare"] * rows + ["common"] * (ROWS - rows)
    assert proposed(frame)["train.folds"] == folds


def test_a_whole_number_seen_once_is_no_label(frame: pd.DataFrame) -> None:
    frame["kind"] = ["0", "1"] * (ROWS // 2 - 1) + ["1", "2"]
    assert proposed(frame)["base.task"] == "regression"


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (["same"] * ROWS, "one value or none"),
        ([np.nan] * ROWS, "one value or none"),
        (["a", "b"] * (ROWS // 2), "is the target again"),
        (["7", "8"] * (ROWS // 2), "the target in other words"),
        ([f"word {i % 150}" for i in range(ROWS)], "150 values in 200 rows"),
    ],
)
def test_a_column_that_does_not_help_is_dropped(
    frame: pd.DataFrame, column: list[Any], reason: str
) -> None:
    frame["odd one"] = column
    drop = next(one for one in propose(frame, "kind") if one.key == "prepare.drop")
    assert drop.value == ["odd one"]
    assert reason in drop.reason


def test_many_values_of_three_rows_each_are_dropped() -> None:
    frame = pd.DataFrame({"y": [str(i * 37 % 3001 / 7) for i in range(3_300)]})
    frame["case"] = [f"case{i // 3}" for i in range(3_300)]
    frame["town"] = [f"town{i // 33}" for i in range(3_300)]
    drop = next(one for one in propose(frame, "y") if one.key == "prepare.drop")
    assert drop.value == ["case"]
    assert "1100 values in 3300 rows" in drop.reason


def test_a_multiple_of_a_numeric_target_is_dropped(frame: pd.DataFrame) -> None:
    frame["price"] = [str(i * 1.5 + 0.25) for i in range(ROWS)]
    frame["cents"] = [str(float(price) * 100) for price in frame["price"]]
    keys = proposed(frame, "price")
    assert keys["base.task"] == "regression"
    assert keys["prepare.drop"] == ["cents"]


def test_sentences_are_no_feature(frame: pd.DataFrame) -> None:
    remarks = ["Nest never seen with a full clutch", "No blood sample was taken", np.nan]
    frame["Comments"] = (remarks * ROWS)[:ROWS]
    frame["road"] = [f"{i % 30} Old Market Street" for i in range(ROWS)]
    frame["kept"] = (["very good or better", "good", "fair"] * ROWS)[:ROWS]
    drop = next(one for one in propose(frame, "kind") if one.key == "prepare.drop")
    assert drop.value == ["Comments", "road"]
    assert drop.reason.startswith("'Comments' holds sentences (2 different ones)")


def test_of_several_row_names_one_is_kept(frame: pd.DataFrame) -> None:
    frame.insert(0, "row", [str(i) for i in range(ROWS)])
    frame["remark"] = [f"remark {i}" for i in range(ROWS)]
    keys = proposed(frame)
    assert keys["prepare.id"] == "row"
    assert keys["prepare.drop"] == ["remark"]


def test_unique_measurements_are_features(frame: pd.DataFrame) -> None:
    frame["weight"] = np.random.default_rng(1).permutation(ROWS).astype(str)
    keys = proposed(frame)
    assert (keys["prepare.id"], keys["prepare.drop"]) == (None, [])


@pytest.mark.parametrize("name", ["family", "Customer ID", "patientNumber", "Machine-Nr."])
@pytest.mark.parametrize("things", [ROWS // 5, ROWS * 3 // 5])
def test_rows_of_one_thing_stay_together(frame: pd.DataFrame, name: str, things: int) -> None:
    frame[name] = [f"n{i % things}" for i in range(ROWS)]
    keys = proposed(frame)
    assert (keys["prepare.split.strategy"], keys["prepare.split.column"]) == ("group", name)


@pytest.mark.parametrize("name", ["idcode", "case id", "caseNumber", "uid"])
def test_rows_that_are_listed_together_under_a_number_stay_together(
    frame: pd.DataFrame, name: str
) -> None:
    listed = [str(i // 5) for i in range(ROWS)]
    keys = proposed(frame.assign(**{name: listed}))
    assert (keys["prepare.split.strategy"], keys["prepare.split.column"]) == ("group", name)
    mixed = [str(i * 7 % (ROWS // 5)) for i in range(ROWS)]
    assert proposed(frame.assign(**{name: mixed}))["prepare.split.strategy"] == "stratified"


@pytest.mark.parametrize(
    "name", ["account length", "customerAge", "household_income", "user 2 hits"]
)
def test_what_is_measured_of_a_thing_is_not_its_name(frame: pd.DataFrame, name: str) -> None:
    frame[name] = [str(i // 5) for i in range(ROWS)]
    assert proposed(frame)["prepare.split.strategy"] == "stratified"


def test_groups_and_moments_that_some_rows_lack_do_not_split(frame: pd.DataFrame) -> None:
    frame["family"] = [f"f{i // 5}" for i in range(ROWS)]
    frame["day"] = pd.date_range("2024-01-01", periods=ROWS).strftime("%Y-%m-%d")
    frame.loc[ROWS - 1, ["family", "day"]] = np.nan
    assert proposed(frame)["prepare.split.strategy"] == "stratified"


def test_moments_most_rows_share_do_not_split(frame: pd.DataFrame) -> None:
    frame["day"] = ["2024-01-01"] * (ROWS - 10) + ["2024-01-02"] * 10
    assert proposed(frame)["prepare.split.strategy"] == "stratified"


def test_a_split_by_groups_is_not_calibrated(frame: pd.DataFrame) -> None:
    frame["family"] = [f"f{i // 5}" for i in range(ROWS)]
    keys = proposed(frame)
    assert keys["train.calibrate"] is None
    assert keys["train.stack"] == 0


def test_a_label_that_reads_like_no_value_stays(frame: pd.DataFrame) -> None:
    frame["kind"] = ["NA", "EU"] * (ROWS // 2)
    assert missing_texts(frame, "kind").value == []
    frame["kind"] = ["NA", *map(str, range(ROWS - 1))]
    assert missing_texts(frame, "kind").value == ["NA"]


def test_rows_in_order_of_time_are_split_by_time(frame: pd.DataFrame) -> None:
    days = pd.date_range("2024-01-01", periods=ROWS).strftime("%Y-%m-%d")
    frame["day"] = days
    assert proposed(frame)["prepare.split.column"] == "day"
    frame["day"] = days[::-1]
    assert proposed(frame)["prepare.split.strategy"] == "stratified"


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%m/%d/%y", "%d-%m-%Y %H:%M"])
def test_dates_of_another_form_are_pointed_out(frame: pd.DataFrame, form: str) -> None:
    frame["day"] = pd.date_range("2024-01-01", periods=ROWS).strftime(form)
    frame["version"] = "1.2.3"
    frame.loc[::3, "version"] = "unknown"
    drop = next(one for one in propose(frame, "kind") if one.key == "prepare.drop")
    assert drop.reason == "'day' holds dates that are read as texts: write them as 2024-12-31"


def test_texts_for_no_value_are_found(frame: pd.DataFrame) -> None:
    frame.loc[3, "colour"] = "?"
    frame.loc[[5, 9, 40], "size (m²)"] = "unknown"
    found = missing_texts(frame, "kind")
    assert found.value == ["unknown", "?"]
    assert "'unknown' in 'size (m²)'" in found.reason


def test_a_single_slip_is_no_text_for_no_value(frame: pd.DataFrame) -> None:
    frame.loc[3, "size (m²)"] = "1,5"
    assert missing_texts(frame, "kind").value == []
