"""Whether intervals keep their promise: on drawn tables, where the truth is known to be met."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, TimeSeriesSplit

from app.model.manifest import Feature, Intervals, Task
from stages.evaluation.conformal import (
    Answers,
    independent_rows,
    learn,
    measure,
    of_folds,
    quantile,
    with_measured,
)
from stages.schema import Schema

SPLITS = 10
ROWS = 1500
HOLDOUT = 300


def alone(rows: int) -> np.ndarray:
    return np.arange(rows)


def answers(misses: np.ndarray, predicted: np.ndarray | float = 0.0) -> Answers:
    """Predictions that miss the truth by so much."""
    said = np.broadcast_to(predicted, misses.shape).astype(float)
    return Answers(said + misses, said, None, alone(len(misses)))


def schema(strategy: str, task: Task = "regression") -> Schema:
    column = {"group": "town", "time": "day"}.get(strategy)
    return Schema(
        task=task,
        target="y",
        classes=("a", "b", "c") if task == "classification" else (),
        features=(Feature(name="x", kind="number"),),
        strategy=strategy,
        split_column=column,
        data_md5="0.dir",
    )


def table(strategy: str, draw: np.random.Generator) -> pd.DataFrame:
    """A line with noise that grows; towns have levels of their own, days a slow swing."""
    x = draw.uniform(0, 10, ROWS)
    town = draw.integers(0, 60, ROWS)
    noise = draw.normal(0, 1 + x / 2)
    if strategy == "group":
        noise += draw.normal(0, 2, 60)[town]
    if strategy == "time":
        noise += np.sin(np.arange(ROWS) / 60)
    return pd.DataFrame({"x": x, "y": 3 * x + noise, "town": town, "day": np.arange(ROWS)})


def holdout(strategy: str, frame: pd.DataFrame, draw: np.random.Generator) -> np.ndarray:
    """Which rows are held out."""
    if strategy == "time":
        return np.arange(ROWS) >= ROWS - HOLDOUT
    if strategy == "group":
        return frame["town"].isin(draw.permutation(60)[:12]).to_numpy()
    return draw.permutation(ROWS) < HOLDOUT


FOLDS: dict[str, Callable[[pd.DataFrame], list[tuple[np.ndarray, np.ndarray]]]] = {
    "random": lambda rows: list(KFold(5, shuffle=True, random_state=0).split(rows)),
    "group": lambda rows: list(GroupKFold(5).split(rows, groups=rows["town"])),
    "time": lambda rows: list(TimeSeriesSplit(5).split(rows)),
}


def folds_of(strategy: str, train: pd.DataFrame) -> pd.DataFrame:
    """What a line answers in the folds, by row of the raw table, as `train` writes it."""
    parts = []
    for number, (fit, rest) in enumerate(FOLDS[strategy](train)):
        line = LinearRegression().fit(train[["x"]].iloc[fit], train["y"].iloc[fit])
        said = line.predict(train[["x"]].iloc[rest])
        parts.append(pd.DataFrame({"row": train.index[rest], "fold": number, "prediction": said}))
    return pd.concat(parts).sort_values(["row", "fold"], ignore_index=True)


@pytest.mark.parametrize("strategy", ["random", "group", "time"])
def test_nine_of_ten_truths_lie_inside_on_the_mean_of_ten_splits(strategy: str) -> None:
    coverages = []
    for seed in range(SPLITS):
        draw = np.random.default_rng(seed)
        frame = table(strategy, draw)
        held = holdout(strategy, frame, draw)
        train, test = frame[~held], frame[held]
        learned = learn(of_folds(folds_of(strategy, train), train, schema(strategy)), "regression")
        assert learned is not None
        said = LinearRegression().fit(train[["x"]], train["y"]).predict(test[["x"]])
        report = measure(learned, Answers(test["y"].to_numpy(), said, None, alone(len(test))))
        coverages.append(report["coverage"])
    assert 0.88 <= np.mean(coverages) <= 0.92


def test_sets_hold_the_class_as_often_as_promised() -> None:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(6000, 2))
    actual = np.argmax(2 * x @ draw.normal(size=(2, 3)) + draw.gumbel(size=(6000, 3)), axis=1)
    model = LogisticRegression().fit(x[:2000], actual[:2000])
    parts = [
        Answers(
            actual[rows], model.predict(x[rows]), model.predict_proba(x[rows]), alone(len(x[rows]))
        )
        for rows in (slice(2000, 4000), slice(4000, 6000))
    ]
    learned = learn(parts[0], "classification")
    assert learned is not None
    report = measure(learned, parts[1])
    assert report["held"]["90"] == pytest.approx(0.9, abs=0.02)
    assert report["held"]["99"] == pytest.approx(0.99, abs=0.01)
    assert 1 < report["mean_size"] < 3


def test_a_classification_without_probabilities_has_no_sets() -> None:
    assert learn(answers(np.zeros(50)), "classification") is None


def test_the_width_is_the_conformal_quantile_and_the_coverage_is_counted() -> None:
    learned = learn(answers(np.arange(1.0, 20.0)), "regression")
    assert learned is not None
    bounds = {level.coverage: level.bound for level in learned.levels}
    assert bounds == pytest.approx({0.5: 10.0, 0.8: 16.0, 0.9: 18.0, 0.95: 19.0})
    report = measure(learned, answers(np.array([17, -18, 18, 18.5, 1, 1, 1, 1, 1, 40])))
    assert report == {
        "level": 0.9,
        "coverage": 0.8,  # 18.5 and 40 lie outside
        "mean_width": pytest.approx(36),
        "held": {"50": 0.5, "80": 0.5, "90": 0.8, "95": 0.9},
        "measured_rows": 10,
    }
    assert [level.measured for level in with_measured(learned, report).levels] == [
        0.5,
        0.5,
        0.8,
        0.9,
    ]


def test_a_width_that_follows_the_prediction_is_taken_where_it_is_narrower() -> None:
    draw = np.random.default_rng(3)
    predicted = draw.uniform(1, 100, 10_000)
    growing = learn(answers(draw.normal(size=10_000) * predicted, predicted), "regression")
    steady = learn(answers(draw.normal(size=10_000), predicted), "regression")
    assert growing is not None
    assert steady is not None
    assert len(growing.scales) == 10
    assert growing.scales[-1] > 5 * growing.scales[0]
    assert steady == Intervals(levels=steady.levels, scales=(1.0,))
    more = draw.uniform(1, 100, 10_000)
    report = measure(growing, answers(draw.normal(size=10_000) * more, more))
    assert report["coverage"] == pytest.approx(0.9, abs=0.015)


def test_equal_misses_lie_inside_though_the_bound_is_rounded() -> None:
    misses = np.full(100, 1 / 3)
    learned = learn(answers(misses), "regression")
    assert learned is not None
    assert measure(learned, answers(misses))["coverage"] == 1


def test_too_few_rows_promise_no_more_than_they_can() -> None:
    learned = learn(answers(np.arange(8.0)), "regression")
    assert learned is not None
    assert [level.coverage for level in learned.levels] == [0.5, 0.8]


def test_groups_whose_rows_are_alike_are_worth_fewer_rows() -> None:
    units = np.repeat(np.arange(40), 25)
    alike = np.repeat(np.arange(40) % 10 > 0, 25)
    mixed = np.random.default_rng(0).uniform(size=1000) < 0.9
    assert independent_rows(alike, units) == pytest.approx(40)
    assert independent_rows(mixed, units) > 600
    scores = np.repeat(np.random.default_rng(0).uniform(size=40), 25)
    assert quantile(scores, units, 0.88) > quantile(scores, alone(1000), 0.88)


def test_groups_tell_their_coverage() -> None:
    learned = learn(answers(np.arange(30.0)), "regression")
    assert learned is not None
    misses = np.array([0.0, 0, 0, 0, 0, 0, 0, 0, 99, 99])
    units = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 1])
    report = measure(learned, Answers(misses, np.zeros(10), None, units))
    assert report["groups"] == {
        "count": 2,
        "mean_coverage": pytest.approx((1 + 1 / 3) / 2),
        "nine_of_ten": pytest.approx(1 / 3 + 0.1 * 2 / 3),
        "mean_width": report["mean_width"],
    }


def test_by_time_the_worse_of_the_latest_two_folds_decides() -> None:
    train = pd.DataFrame({"y": np.zeros(500)}, index=np.arange(500)[::-1])
    misses = np.repeat([50.0, 9.0, 1.0, 3.0, 2.0], 100)
    folds = pd.DataFrame(
        {"row": train.index, "fold": np.repeat([0, 1, 2, 3, 4], 100), "prediction": misses}
    ).sort_values("row")
    learned = learn(of_folds(folds, train, schema("time")), "regression")
    assert learned is not None
    assert [level.bound for level in learned.levels] == pytest.approx([3.0] * 5)
