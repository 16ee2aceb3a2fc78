import numpy as np
import pandas as pd
import pytest

from stages.evaluation.baselines import baselines


@pytest.fixture
def frame() -> pd.DataFrame:
    size = np.arange(60.0)
    frame = pd.DataFrame(
        {
            "size": size,
            "town": np.where(size % 2 == 0, "Ulm", "Bonn").astype(object),
            "void": np.nan,
        }
    )
    frame.loc[3, ["size", "town"]] = np.nan
    return frame


def test_the_dummy_is_the_mean_and_the_linear_model_follows_a_line(frame: pd.DataFrame) -> None:
    y = 2 * np.arange(60.0) + 5 * (np.arange(60) % 2)
    fitted = {name: model.fit(frame, y) for name, model in baselines("regression", 1).items()}
    np.testing.assert_allclose(fitted["dummy"].predict(frame), y.mean())
    seen = np.arange(60) != 3
    np.testing.assert_allclose(fitted["linear"].predict(frame)[seen], y[seen], atol=2)


def test_the_dummy_knows_the_shares_of_the_labels(frame: pd.DataFrame) -> None:
    y = (np.arange(60) >= 45).astype(int)
    fitted = {name: model.fit(frame, y) for name, model in baselines("classification", 1).items()}
    np.testing.assert_allclose(fitted["dummy"].predict_proba(frame), [[0.75, 0.25]] * 60)
    assert (fitted["linear"].predict(frame) == y).mean() > 0.9


def test_a_value_never_seen_is_answered(frame: pd.DataFrame) -> None:
    linear = baselines("regression", 1)["linear"].fit(frame, np.arange(60.0))
    new = pd.DataFrame({"size": [1.0], "town": ["Köln"], "void": [2.0]})
    assert np.isfinite(linear.predict(new)).all()


def test_dates_alone_are_enough() -> None:
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=60)})
    frame.loc[7, "day"] = pd.NaT
    linear = baselines("regression", 1)["linear"].fit(frame, np.arange(60.0))
    known = np.arange(60) != 7
    np.testing.assert_allclose(linear.predict(frame)[known], np.arange(60.0)[known], atol=2)
