from typing import Any

import numpy as np
import pandas as pd
import pytest
from pycaret.internal.meta_estimators import CustomProbabilityThresholdClassifier
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier

from app.model.manifest import Feature
from stages.evaluation.leakage import IncomparableError, leakage, percent
from stages.schema import Schema, encode_target, model_frame
from stages.training.answers import Fold, answer
from stages.training.folds import honest_folds
from stages.training.steps.second import calibrated, stacked


def schema(strategy: str, classes: tuple[str, ...] = ()) -> Schema:
    return Schema.model_validate(
        {
            "task": "classification" if classes else "regression",
            "target": "y",
            "classes": classes,
            "features": (Feature(name="x", kind="number"),),
            "strategy": strategy,
            "split_column": "family",
            "data_md5": "0.dir",
        }
    )


@pytest.fixture
def families() -> pd.DataFrame:
    """The target is each family's own: only a look at the family's other rows tells it."""
    family = np.repeat(np.arange(20), 10)
    generator = np.random.default_rng(11)
    place, level = generator.permutation(20), generator.normal(size=20)
    frame = pd.DataFrame(
        {"x": place[family] + generator.uniform(0, 0.1, 200), "y": level[family], "family": family}
    )
    return frame.sample(frac=1, random_state=1, ignore_index=True)


def test_a_model_that_remembers_groups_is_flattered(families: pd.DataFrame) -> None:
    report = leakage(KNeighborsRegressor(1), families, schema("group"), 5, seed=1, n_jobs=1)
    assert report["flattering"]["mean"]["rmse"] == pytest.approx(0, abs=1e-9)
    assert report["honest"]["mean"]["rmse"] > 0.5
    assert report["inflation_percent"]["rmse"] == pytest.approx(100)
    folds = 5 * report["honest"]["mean"]["mae"]
    assert report["honest"]["pooled"]["mae"] == pytest.approx(folds / 5)  # folds of one size


def test_the_number_of_processes_changes_nothing(families: pd.DataFrame) -> None:
    model = KNeighborsRegressor(3)
    alone, beside = (
        leakage(model, families, schema("group"), 3, seed=1, n_jobs=jobs) for jobs in (1, 2)
    )
    assert alone == beside


def test_the_pipeline_given_stays_as_it_was(families: pd.DataFrame) -> None:
    model = KNeighborsRegressor(1)
    leakage(model, families, schema("group"), 2, seed=1, n_jobs=1)
    assert not hasattr(model, "n_features_in_")


def test_group_folds_keep_families_whole(families: pd.DataFrame) -> None:
    folds = honest_folds(families, schema("group"), 4)
    for train, test in folds:
        assert set(families["family"].iloc[train]) & set(families["family"].iloc[test]) == set()
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(200))


def test_time_folds_know_the_past_alone(families: pd.DataFrame) -> None:
    for train, test in honest_folds(families, schema("time"), 4):
        assert train.max() < test.min()


def test_labels_are_compared_too(families: pd.DataFrame) -> None:
    labels = np.where(families["y"] > 0, "hot", "cold")
    report = leakage(
        KNeighborsClassifier(1),
        families.assign(y=labels),
        schema("group", ("cold", "hot")),
        5,
        seed=1,
        n_jobs=1,
    )
    assert report["flattering"]["pooled"]["accuracy"] == 1.0
    assert report["honest"]["pooled"]["accuracy"] < 0.9
    assert report["inflation_percent"]["accuracy"] > 10
    assert report["inflation_percent"]["log_loss"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("changes", "folds", "message"),
    [
        ({}, 30, "30 folds need as many groups, there are 20"),
        ({"y": "rare"}, 5, "honest fold . would train without 'rare'"),
    ],
)
def test_what_cannot_be_compared_is_said(
    families: pd.DataFrame, changes: dict[str, Any], folds: int, message: str
) -> None:
    families["y"] = "usual"
    for column, value in changes.items():
        families.loc[families["family"] == 7, column] = value
    with pytest.raises(IncomparableError, match=message):
        leakage(
            KNeighborsClassifier(1),
            families,
            schema("group", ("rare", "usual") if changes else ("usual",)),
            folds,
            seed=1,
            n_jobs=1,
        )


def test_an_inflation_is_positive_where_the_flattering_score_looks_better() -> None:
    honest, flattering = {"rmse": 10.0, "r2": 0.8, "mae": 0.0}, {"rmse": 7.0, "r2": 0.9, "mae": 0.0}
    assert percent(honest, flattering) == pytest.approx({"rmse": 30.0, "r2": 12.5})


def noise(seed: int) -> pd.DataFrame:
    """Labels that nothing tells, in thirty families."""
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": generator.normal(size=300),
            "y": generator.choice(["a", "b"], 300),
            "family": np.repeat(np.arange(30), 10),
        }
    )


def test_a_calibration_does_not_know_the_labels_of_its_own_folds() -> None:
    """As `train` leaves it, on the same rows: a constant has 0.25 on labels that nothing tells."""
    kind, base = schema("group", ("a", "b")), DecisionTreeClassifier(max_depth=3)
    scores = []
    for seed in range(8):
        frame = noise(seed)
        X, y = model_frame(frame, kind), encode_target(frame, kind)
        folds = [
            Fold(test, answer(clone(base).fit(X.iloc[train], y.iloc[train]), X.iloc[test]))
            for train, test in honest_folds(frame, kind, 5)
        ]
        model, _ = calibrated(base, folds, y, "isotonic")
        report = leakage(model, frame, kind, 5, seed=1, n_jobs=1)
        scores += [report[name]["pooled"]["brier"] for name in ("honest", "flattering")]
    assert np.mean(scores) > 0.25


def test_a_stack_and_a_threshold_are_judged_by_their_members_folds() -> None:
    kind = schema("group", ("a", "b"))
    frame = noise(0)
    frame["y"] = np.where(frame["x"] > 0, "b", "a")
    X, y = model_frame(frame, kind), encode_target(frame, kind)
    members = [("near", KNeighborsClassifier(5)), ("tree", DecisionTreeClassifier(max_depth=2))]
    folds = [
        [
            Fold(test, answer(clone(one).fit(X.iloc[train], y.iloc[train]), X.iloc[test]))
            for train, test in honest_folds(frame, kind, 5)
        ]
        for _, one in members
    ]
    stack, expected = stacked(members, folds, y)
    chances = np.concatenate([one.answers["predict_proba"][:, 1] for one in expected])
    truth = np.concatenate([y.iloc[one.rows] for one in expected])
    report = leakage(stack, frame, kind, 5, seed=1, n_jobs=1)
    assert report["honest"]["pooled"]["brier"] == pytest.approx(np.mean((chances - truth) ** 2))
    high = CustomProbabilityThresholdClassifier(stack, probability_threshold=1.0)
    never = leakage(high, frame, kind, 5, seed=1, n_jobs=1)["honest"]["pooled"]
    assert never["accuracy"] == pytest.approx(np.mean(truth == 0), abs=0.02)
    assert never["brier"] == report["honest"]["pooled"]["brier"]
