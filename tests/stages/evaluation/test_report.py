import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from app.model.manifest import Feature
from stages.evaluation.baselines import baselines
from stages.evaluation.report import drawn_units, holdout_report
from stages.params import Gate
from stages.schema import Schema, encode_target, model_frame
from stages.tracking import flat

ROWS = 240
CLASSES = ("cheap", "dear", "fair")


def schema(classes: tuple[str, ...] = (), strategy: str = "random") -> Schema:
    return Schema.model_validate(
        {
            "task": "classification" if classes else "regression",
            "target": "price",
            "classes": classes,
            "features": (
                Feature(name="floor area", kind="number"),
                Feature(name="town", kind="category", categories=("Bonn", "Ulm")),
            ),
            "strategy": strategy,
            "split_column": None if strategy == "random" else "street",
            "data_md5": "0.dir",
        }
    )


def rows(classes: tuple[str, ...] = ()) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows and a holdout; Ulm is noisier than Bonn."""
    generator = np.random.default_rng(4)
    area, town = generator.uniform(20, 90, ROWS), generator.choice(["Bonn", "Ulm"], ROWS)
    price = 3 * area + generator.normal(0, 2, ROWS) * np.where(town == "Ulm", 8, 1)
    target = price
    if classes:
        target = np.array(classes, dtype=object)[pd.qcut(price, len(classes), labels=False)]
    frame = pd.DataFrame(
        {
            "floor area": area,
            "town": town.astype(object),
            "price": target,
            "street": np.arange(ROWS) // 6,
        }
    )
    return frame.iloc[:120].reset_index(drop=True), frame.iloc[120:].reset_index(drop=True)


def gate(known: Schema) -> Gate:
    metric, limit = ("accuracy", 0.5) if known.classes else ("rmse", 20.0)
    return Gate(metric=metric, limit=limit, beat_baseline=True)


def fitted(train: pd.DataFrame, known: Schema) -> Pipeline:
    encode = make_column_transformer(
        (OneHotEncoder(), make_column_selector(dtype_include=object)), remainder="passthrough"
    )
    linear = LogisticRegression(max_iter=5000) if known.classes else LinearRegression()
    return make_pipeline(encode, linear).fit(model_frame(train, known), encode_target(train, known))


def answered(train: pd.DataFrame, known: Schema) -> pd.DataFrame:
    """What five folds answer."""
    X, y = model_frame(train, known), encode_target(train, known)
    predictions = cross_val_predict(fitted(train, known), X, y)
    return pd.DataFrame({"row": train.index, "prediction": predictions})


@pytest.mark.parametrize("classes", [(), CLASSES[:2], CLASSES])
def test_a_report_holds_finite_numbers_that_agree(classes: tuple[str, ...]) -> None:
    known, (train, test) = schema(classes), rows(classes)
    report, tables = holdout_report(
        fitted(train, known), train, test, answered(train, known), known, gate(known), seed=1
    )
    numbers = flat(report)
    assert all(isinstance(value, int | float) and np.isfinite(value) for value in numbers.values())
    assert set(report["interval"]) == set(report["model"])
    for metric, value in report["model"].items():
        assert report["interval"][metric]["low"] < value < report["interval"][metric]["high"]
    error = "log_loss" if classes else "rmse"
    assert report["model"][error] < report["baseline"]["dummy"][error]
    gain = report["gain"]["dummy"]
    metric, sign = ("accuracy", 1) if classes else ("rmse", -1)
    expected = sign * (report["model"][metric] - report["baseline"]["dummy"][metric])
    assert gain["value"] == pytest.approx(expected)
    assert 0 < gain["low"] < gain["value"] < gain["high"]
    assert report["limit"]["kept"] > 0.9
    assert report["rows"] == {"train": 120, "holdout": 120}
    assert tables["importance"]["feature"].iloc[0] == "floor area"
    assert report["worst_slice"]["loss"] == tables["slices"]["error"].max()


def test_a_regression_tells_its_interval_and_its_worst_town() -> None:
    known, (train, test) = schema(), rows()
    report, tables = holdout_report(
        fitted(train, known), train, test, answered(train, known), known, gate(known), seed=1
    )
    assert report["prediction_interval"]["coverage"] == pytest.approx(0.9, abs=0.1)
    assert report["prediction_interval"]["mean_width"] > 2 * report["model"]["mae"]
    assert tables["slices"]["slice"].iloc[0] == "town = Ulm"
    np.testing.assert_allclose(
        tables["residuals"]["residual"],
        tables["residuals"]["actual"] - tables["residuals"]["predicted"],
        atol=1e-6,  # nine digits of the values themselves
    )


def test_a_classification_tells_labels_and_calibration() -> None:
    known, (train, test) = schema(CLASSES), rows(CLASSES)
    report, tables = holdout_report(
        fitted(train, known), train, test, answered(train, known), known, gate(known), seed=1
    )
    right = (tables["labels"]["actual"] == tables["labels"]["predicted"]).mean()
    assert right == pytest.approx(report["model"]["accuracy"])
    assert tables["calibration"]["rows"].sum() == 120
    assert "prediction_interval" not in report


def test_two_judgements_are_the_same() -> None:
    known, (train, test) = schema(CLASSES), rows(CLASSES)
    (one, tables), (other, again) = (
        holdout_report(
            fitted(train, known), train, test, answered(train, known), known, gate(known), seed=1
        )
        for _ in range(2)
    )
    assert one == other
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, again[name])


def test_the_same_model_as_a_baseline_is_no_gain_on_any_resample() -> None:
    known, (train, test) = schema(CLASSES[:2]), rows(CLASSES[:2])
    linear = baselines("classification", seed=1)["linear"]
    linear.fit(model_frame(train, known), encode_target(train, known))
    report, _ = holdout_report(
        linear, train, test, answered(train, known), known, gate(known), seed=1
    )
    assert report["gain"]["linear"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_a_metric_of_another_task_is_named() -> None:
    known, (train, test) = schema(), rows()
    wrong = Gate(metric="accuracy", limit=0.5, beat_baseline=False)
    with pytest.raises(ValueError, match="'accuracy' is not measured here"):
        holdout_report(
            fitted(train, known), train, test, answered(train, known), known, wrong, seed=1
        )


def test_groups_are_drawn_whole() -> None:
    _, test = rows()
    assert drawn_units(test, schema(strategy="group")).tolist() == (np.arange(120) // 6).tolist()
    assert drawn_units(test, schema()).tolist() == list(range(120))


def test_rows_near_in_time_are_drawn_together() -> None:
    _, test = rows()
    drawn = drawn_units(test, schema(strategy="time"))
    assert (np.diff(drawn) >= 0).all()
    assert set(np.bincount(drawn)) == {2, 3}
    assert drawn_units(test[:9], schema(strategy="time")).tolist() == list(range(9))
