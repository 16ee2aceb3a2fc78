import pytest

from lifecycle.ranking import Trial, links, rank, settings


def row(name: str | None, state: str | None, metric: str, score: float) -> dict[str, object]:
    """One of `dvc.api.exp_show`, whose holdout tells the opposite of its folds."""
    return {
        "Experiment": name,
        "State": state,
        "rev": name,
        f"folds.{metric}.mean": score,
        "model.rmse": score,
        "model.r2": -score,
        "train.blend": 2.0,
    }


@pytest.fixture
def candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lifecycle.ranking.candidate", lambda revision: f"{revision}.dir")


@pytest.mark.usefixtures("candidates")
@pytest.mark.parametrize(
    ("sort", "best", "gate"),
    [("RMSLE", "s-2", "r2"), ("R2", "s-1", "rmse"), ("Prec.", "s-1", "rmse")],
)
def test_the_folds_say_which_is_best_and_what_failed_comes_last(
    sort: str, best: str, gate: str
) -> None:
    metric = sort.lower().strip(".")
    rows = [
        row(None, None, metric, 0.1),  # the workspace
        row("s-3", "Failed", metric, 0.1),  # shows its baseline's score
        row("s-1", "Success", metric, 0.9),
        row("s-2", "Success", metric, 0.5),
        row("s2-1", "Success", metric, 0.0),
        row("s-other", "Success", metric, 0.0),
    ]
    ranked = rank(rows, "s", sort, gate, ["train.blend"])
    assert [one.name for one in ranked] == [best, "s-2" if best == "s-1" else "s-1", "s-3"]
    assert ranked[-1] == Trial("s-3", "Failed", None, None, None, {"train.blend": 2.0})
    assert [one.candidate for one in ranked[:-1]] == [f"{one.name}.dir" for one in ranked[:-1]]
    (first,) = [one for one in ranked if one.name == "s-1"]
    holdout = -0.9 if gate == "r2" else 0.9
    assert (first.score, first.holdout) == (0.9, holdout)
    assert str(first) == f"s-1  folds 0.9  holdout {holdout}  train.blend=2"


@pytest.mark.usefixtures("candidates")
def test_a_sweep_of_one_is_ranked() -> None:
    rows = [row("s", "Success", "rmse", 0.5), row("s2", "Success", "rmse", 0.4)]
    assert [one.name for one in rank(rows, "s", "RMSE", "rmse", [])] == ["s"]


def test_without_a_tracking_server_no_run_is_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.delattr("lifecycle.ranking.MlflowClient")  # would make a database of its own here
    assert links("any", []) == {}


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("train.blend", {"train.blend": 2}),
        ("params.yaml:train.blend", {"train.blend": 2}),
        ("train.tune", {"train.tune.library": "random", "train.tune.iterations": 0}),
        ("train.models.0.dt.max_depth", {"train.models": "[{dt: {max_depth: 2}}]"}),
        ("train.models[0].dt", {"train.models": "[{dt: {max_depth: 2}}]"}),
        ("train.absent", {}),
    ],
)
def test_a_swept_key_is_shown_by_what_dvc_tells_of_it(key: str, shown: dict[str, object]) -> None:
    row = {
        "Experiment": "s-1",
        "train.blend": 2,
        "train.blend_more": 3,
        "train.tune.library": "random",
        "train.tune.iterations": 0,
        "train.models": "[{dt: {max_depth: 2}}]",
    }
    assert settings(row, [key]) == shown
