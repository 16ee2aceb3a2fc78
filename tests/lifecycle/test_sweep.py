import pytest

from lifecycle.sweep import main, states

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


def test_a_sweep_of_one_is_read_by_the_name_that_dvc_does_not_number() -> None:
    assert states(STATUS, "weest-apex") == {"weest-apex": "Success"}


def test_a_sweep_of_which_nothing_was_queued_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "lifecycle.sweep.dvc", lambda *command: "No experiment tasks in the queue.\n"
    )
    monkeypatch.setattr("sys.argv", ["sweep", "train.folds=3"])
    with pytest.raises(SystemExit, match="DVC queued no experiment named sweep-"):
        main()
