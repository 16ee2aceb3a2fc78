import pytest

from local.sweep import Trial, states, trials

STATUS = """\
Task     Name                 Created    Status
2312da6  sweep-1122-203429-1  08:34 PM   Running
9ed7246  sweep-1122-203429-2  08:34 PM   Queued
2b0706b  sweep-1122-203429-12 Nov 22, 2026   Success
7fe1b99  sweep-1122-999999-1  08:20 PM   Failed
92ed9b0  weest-apex           07:59 PM   Success

Worker status: 2 active, 0 idle
"""


def test_the_states_of_one_sweep_are_read() -> None:
    assert states(STATUS, "sweep-1122-203429") == {
        "sweep-1122-203429-1": "Running",
        "sweep-1122-203429-2": "Queued",
        "sweep-1122-203429-12": "Success",
    }


@pytest.mark.parametrize(("metric", "best"), [("rmse", "s-2"), ("r2", "s-1")])
def test_the_best_comes_first_and_what_failed_last(
    metric: str, best: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def row(name: str | None, state: str | None, score: float) -> dict[str, object]:
        return {
            "Experiment": name,
            "State": state,
            "rev": name,
            f"model.{metric}": score,
            "train.blend": 2.0,
        }

    shown = [
        row(None, None, 0.1),  # the workspace
        row("s-3", "Failed", 0.1),  # shows its baseline's score
        row("s-1", "Success", 0.9),
        row("s-2", "Success", 0.5),
        row("s2-1", "Success", 0.0),
    ]
    monkeypatch.setattr("local.sweep.candidate", lambda revision: f"{revision}.dir")
    ranked = trials(shown, "s", metric, ["train.blend"])
    assert ranked[0].name == best
    assert ranked[-1] == Trial("s-3", "Failed", None, None, {"train.blend": 2.0})
    assert [one.candidate for one in ranked] == [
        f"{name}.dir" if name != "s-3" else None for name in (one.name for one in ranked)
    ]
