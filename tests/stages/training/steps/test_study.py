import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from optuna.distributions import IntDistribution

from stages.tracking import Tracking
from stages.train import log_set, study_key
from stages.training.logger import PyCaretLogger
from stages.training.steps.study import Journal, Tried
from tests.conftest import params_with
from tests.stages.training.test_search import by_groups, no_auc, searched

pytestmark = [
    # PyCaret and the libraries that it pins, on Python 3.11
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
BOOSTER = {"lightgbm": {"n_estimators": "auto", "verbose": -1}}


def tuned(
    iterations: int = 6, model: Any = "dt", journal: Journal | None = None, **changes: Any
) -> pd.DataFrame:
    """The leaderboard of one estimator and a search that begins with it."""
    options = {"tune__iterations": iterations, "tune__library": "optuna", "folds": 4, **changes}
    result, _ = searched("regression", journal=journal, models=[model], **options)
    return result.leaderboard


def row(board: pd.DataFrame) -> dict[str, Any]:
    """The leaderboard's row of the search."""
    return dict(board.set_index("step").loc["tune"])


def test_a_search_that_was_interrupted_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole: list[Tried] = []
    expected = tuned(10, journal=Journal(log=whole.append))
    assert len(whole) == 10

    begun: list[Tried] = []

    def stop_at_the_sixth(tried: Tried) -> None:
        begun.append(tried)
        if tried.number == 6:
            raise KeyboardInterrupt

    path = tmp_path / "journal" / "tuning.db"
    with pytest.raises(KeyboardInterrupt):
        tuned(10, journal=Journal(path, log=stop_at_the_sixth))
    rest: list[Tried] = []
    board = tuned(10, journal=Journal(path, log=rest.append))
    assert [one.number for one in rest] == [7, 8, 9, 10]
    assert [one.hyperparameters for one in begun + rest] == [one.hyperparameters for one in whole]
    pd.testing.assert_frame_equal(board, expected, check_exact=True)


def test_a_set_that_was_being_tried_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: list[Tried] = []
    tuned(3, journal=Journal(log=whole.append))
    journal = Journal(tmp_path / "tuning.db")
    with monkeypatch.context() as patched:

        def stop(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        patched.setattr("stages.training.steps.study.fit_parts", stop)
        with pytest.raises(KeyboardInterrupt):
            tuned(3, journal=journal)
    again: list[Tried] = []
    tuned(3, journal=Journal(journal.path, log=again.append))
    assert [one.hyperparameters for one in again] == [one.hyperparameters for one in whole]


def test_a_search_of_other_rows_begins_anew_and_one_that_ended_leaves_nothing(
    tmp_path: Path,
) -> None:
    path, tried = tmp_path / "tuning.db", list[Tried]()
    for key in ("some rows", "other rows", "other rows"):
        journal = Journal(path, key, log=tried.append)
        tuned(2, journal=journal)
    assert [one.number for one in tried] == [1, 2, 1, 2]
    journal.forget()
    assert list(tmp_path.iterdir()) == []


def test_what_is_given_up_does_not_depend_on_the_number_of_cores() -> None:
    runs: list[list[Tried]] = []
    for n_jobs in (1, 4):
        runs.append([])
        board = tuned(12, {"et": {"n_estimators": 5}}, Journal(log=runs[-1].append), n_jobs=n_jobs)
    alone, together = runs
    outcomes = [one.outcome for one in alone]
    assert set(outcomes) == {"", "on its first 2 folds, given up"}
    assert outcomes == [one.outcome for one in together]
    assert [one.hyperparameters for one in alone] == [one.hyperparameters for one in together]
    assert [one.score for one in alone] == [one.score for one in together]
    whole = [one for one in alone if not one.outcome]
    best = min(whole, key=lambda one: one.score)
    assert row(board)["RMSE"] == pytest.approx(best.score, rel=1e-12)


def test_each_set_finds_its_own_number_of_trees() -> None:
    tried: list[Tried] = []
    tuned(4, BOOSTER, Journal(log=tried.append))
    trees = [one.hyperparameters["n_estimators"] for one in tried]
    assert all(isinstance(one, int) for one in trees)
    assert len(set(trees)) > 1


@pytest.mark.parametrize("kind", ["et", "xgboost"])
def test_the_hyperparameters_on_the_leaderboard_are_all_that_is_needed(kind: str) -> None:
    """Copied into `train.models`, they give the same scores."""
    start = {"n_estimators": 10}
    best = row(tuned(5, {kind: start}))
    own = yaml.safe_load("{" + re.sub(r"(\w+) ([^,]+)", r"\1: \2", best["note"]) + "}")
    result, _ = searched("regression", models=[{kind: {**start, **own}}], folds=4)
    assert result.leaderboard["RMSE"].tolist() == [best["RMSE"]]
    assert "nan" not in best["note"]


def test_the_target_may_be_transformed() -> None:
    tried: list[Tried] = []
    changes = {"preprocess__transform_target": "yeo-johnson"}
    board = tuned(4, journal=Journal(log=tried.append), **changes)
    best = min(one.score for one in tried if not one.outcome)
    assert row(board)["RMSE"] == pytest.approx(best, rel=1e-12)


def test_a_budget_ends_the_search_with_the_best_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    tried: list[Tried] = []
    board = tuned(100_000, journal=Journal(log=tried.append), budget_minutes=0.05)
    assert board["step"].tolist().count("tune") == 1
    said = capsys.readouterr().out
    assert f"sets {len(tried) + 1} to 100000 not tried: train.budget_minutes is over" in said


def test_a_set_that_fails_is_told_and_the_search_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    depths = {"max_depth": IntDistribution(-5, 5)}
    monkeypatch.setattr("stages.training.search.space", lambda *_: depths)
    tried: list[Tried] = []
    board = tuned(8, journal=Journal(log=tried.append))
    failed = [one for one in tried if one.outcome.startswith("failed: ")]
    assert len(tried) == 8
    assert failed
    assert all(one.hyperparameters["max_depth"] < 1 for one in failed)
    assert "of 8: failed: The 'max_depth' parameter" in capsys.readouterr().out
    assert row(board)["RMSE"] == min(one.score for one in tried if not one.outcome)


def test_an_estimator_without_hyperparameters_is_left_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    board = tuned(2, "dummy")
    assert board["step"].tolist() == ["compare"]
    assert "tune      not tried: dummy has no hyperparameters" in capsys.readouterr().out


def test_an_estimator_that_takes_no_set_is_refused_each_time(tmp_path: Path) -> None:
    message = r"no set could be fitted\. The last one failed: only one of .* use these names in"
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            tuned(2, {"catboost": {"iterations": 1}}, Journal(tmp_path / "tuning.db"))


def test_fewer_sets_than_an_interrupted_run_was_to_try_are_the_first_ones(tmp_path: Path) -> None:
    expected = tuned(2)
    path = tmp_path / "tuning.db"
    tuned(8, journal=Journal(path))  # which is not told that it has ended
    pd.testing.assert_frame_equal(tuned(2, journal=Journal(path)), expected, check_exact=True)


def test_boosting_that_is_interrupted_comes_to_the_same(tmp_path: Path) -> None:
    """The folds of the best set, which an earlier run fitted, are fitted anew."""
    expected = tuned(4, BOOSTER)
    path = tmp_path / "tuning.db"
    tuned(4, BOOSTER, Journal(path))
    again: list[Tried] = []
    board = tuned(4, BOOSTER, Journal(path, log=again.append))
    assert again == []
    pd.testing.assert_frame_equal(board, expected, check_exact=True)


def test_two_folds_on_one_core_and_a_budget() -> None:
    board = tuned(2, BOOSTER, folds=2, n_jobs=1, budget_minutes=5)
    assert board["step"].tolist().count("tune") == 1


def test_a_journal_that_cannot_be_read_begins_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tuning.db"
    path.write_bytes(b"no database" * 100)
    tuned(1, journal=Journal(path))
    assert f"{path} cannot be read" in capsys.readouterr().out


def test_a_journal_that_cannot_be_written_is_named_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"tuning\.db, where the search .* Make the folder writ"):
        tuned(1, journal=Journal(tmp_path / "file" / "tuning.db"))
    assert "compare" not in capsys.readouterr().out


@no_auc
@pytest.mark.parametrize("sort", ["AUC", "Log loss", "Accuracy"])
def test_a_set_is_scored_as_on_the_leaderboard_where_folds_lack_a_label(sort: str) -> None:
    tried: list[Tried] = []
    options = {"tune__iterations": 5, "tune__library": "optuna", "models": ["lr"], "sort": sort}
    _, board = by_groups(journal=Journal(log=tried.append), **options)
    scores = [one.score for one in tried if not one.outcome]
    best = min(scores) if sort == "Log loss" else max(scores)
    assert row(board)[sort] == pytest.approx(best, rel=1e-12)


def test_the_key_of_a_search_is_of_all_that_decides_what_a_set_is_worth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared" / "train.parquet").write_bytes(b"rows")
    (tmp_path / "requirements.txt").write_text("optuna\n")
    key = study_key(params_with({}))
    for same in ({"train.n_jobs": 7}, {"train.budget_minutes": 3.0}, {"train.tune.iterations": 9}):
        assert study_key(params_with(same)) == key
    for other in ({"base.seed": 7}, {"train.sort": "MAE"}, {"train.folds": 4}):
        assert study_key(params_with(other)) != key
    (tmp_path / "prepared" / "train.parquet").write_bytes(b"other rows")
    assert study_key(params_with({})) != key


def test_each_set_is_a_nested_run(mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    tracking = Tracking("sets")
    logger = PyCaretLogger(tracking, tracking.start("train", {}))
    tried = [
        Tried(1, {"max_depth": 3}, 0.5, "", 1.5),
        Tried(2, {"max_depth": 4}, 0.7, "on its first 2 folds, given up", 0.5),
        Tried(3, {"max_depth": 0}, float("nan"), "failed: max_depth", 0.1),
    ]
    for one in tried:
        log_set(logger, "RMSE", one)
    runs = tracking.client.search_runs(
        [tracking.experiment_id], f"tags.`mlflow.parentRunId` = '{logger.parent}'"
    )
    by_name = {run.data.tags["mlflow.runName"]: run for run in runs}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert by_name["set 1"].data.params == {"max_depth": "3"}
    assert by_name["set 1"].data.metrics == {"folds/RMSE": 0.5, "seconds": 1.5}
    assert by_name["set 2"].data.tags["outcome"] == "on its first 2 folds, given up"
    assert by_name["set 3"].data.metrics == {"seconds": 0.1}
