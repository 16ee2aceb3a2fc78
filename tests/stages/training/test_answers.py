import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

from stages.training.answers import Fold, cost, fold_answers, greedy, select

GENERATOR = np.random.default_rng(0)


def test_members_that_err_apart_share_the_weight() -> None:
    weights = greedy(lambda w: -abs(w @ [2, 1] / w.sum() - 1.25), costs=[1, 1])
    assert weights.tolist() == [1, 3]


def test_a_member_that_does_not_help_gets_no_weight() -> None:
    assert greedy(lambda w: -float(w @ [1, 3]), costs=[5, 1]).tolist()[1] == 0


def test_of_equals_the_cheaper_one_is_served() -> None:
    assert greedy(lambda w: 1.0, costs=[5, 1]).tolist() == [0, 1]


@pytest.mark.parametrize(("gain", "members"), [(1e-4, 1), (1e-2, 2)])
def test_a_gain_too_small_to_matter_is_not_paid_for(gain: float, members: int) -> None:
    taken = greedy(lambda w: gain * float(np.count_nonzero(w)) - 1, costs=[1, 100])
    assert np.count_nonzero(taken) == members


def folds_of(answers: np.ndarray) -> list[Fold]:
    """Five folds of these answers to regression targets."""
    parts = np.array_split(np.arange(len(answers)), 5)
    return [Fold(rows, {"predict": answers[rows]}) for rows in parts]


def test_no_fold_is_judged_by_weights_that_it_selected() -> None:
    y = pd.Series(GENERATOR.normal(size=200))
    noise = [folds_of(GENERATOR.normal(size=200)) for _ in range(15)]
    taken, honest = select(noise, y, "neg_root_mean_squared_error", [1.0] * len(noise))
    # Selected among noise on the very rows, the blend looks better than it is
    blend = np.average(
        [np.concatenate([fold.answers["predict"] for fold in one]) for one in noise],
        axis=0,
        weights=taken,
    )
    answers = np.concatenate([fold.answers["predict"] for fold in honest])
    assert np.sqrt(np.mean((answers - y) ** 2)) > np.sqrt(np.mean((blend - y) ** 2))
    assert np.concatenate([fold.rows for fold in honest]).tolist() == list(range(200))


def test_probabilities_are_weighed_by_what_they_gave_the_truth() -> None:
    honest = np.linspace(0.2, 0.8, 200)
    y = pd.Series((GENERATOR.random(200) < honest).astype(int))
    boastful = np.where(honest > 0.5, 0.999, 0.001)  # with the same labels

    def folds(chances: np.ndarray) -> list[Fold]:
        answers = {
            "predict": (chances > 0.5).astype(int),
            "predict_proba": np.column_stack([1 - chances, chances]),
        }
        rows = np.arange(200)
        return [
            Fold(part, {k: v[part] for k, v in answers.items()}) for part in (rows[::2], rows[1::2])
        ]

    taken, blend = select([folds(boastful), folds(honest)], y, "accuracy", [1.0, 9.0])
    assert taken[1] > 20 * taken[0]
    assert blend[1].answers["predict_proba"].shape == (100, 2)


@pytest.mark.parametrize("order", [1, -1])
def test_a_linear_model_is_cheapest_and_neighbours_are_dearest(order: int) -> None:
    estimators = [Ridge(), ExtraTreesRegressor(100), KNeighborsRegressor()][::order]
    costs = [cost(one, rows=10_000, features=20) for one in estimators]
    assert costs == sorted(costs)[::order]


def test_the_answers_of_the_folds_are_by_row_of_the_raw_table() -> None:
    folds = [
        Fold(np.array([2, 0]), {"predict": np.array([0.2, 0.0])}),
        Fold(np.array([1]), {"predict": np.array([0.1])}),
    ]
    table = fold_answers(folds, pd.Index([50, 40, 30]))
    assert table.to_dict("list") == {
        "row": [30, 40, 50],
        "fold": [0, 1, 0],
        "prediction": [0.2, 0.1, 0.0],
    }
