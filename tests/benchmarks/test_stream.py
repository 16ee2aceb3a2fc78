"""The stream's benchmark: its figures, and what it says of answers that went astray."""

import json
from collections.abc import Callable

import pytest

from app.batch.answers import Options
from app.model.model import Model
from app.stream.messages import Request, answer
from benchmarks.stream import __main__ as program
from benchmarks.stream.faults import POISON, judge
from benchmarks.stream.setting import bodies, percentile
from benchmarks.workspace import Workspace

Message = tuple[str, str, bytes]
COUNTS = {"messages", "poison"}


def test_all_figures_are_there(
    table_and_model: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--messages=4000", "--rounds=1", "--seconds=0.2", "--only=rates"]
    monkeypatch.setattr("sys.argv", ["stream", f"--root={table_and_model.root}", *arguments])
    program.main()
    figures = json.loads(capsys.readouterr().out)
    assert figures["ours"]["messages_s"] > 0
    assert figures["ours_per_bare"] == pytest.approx(
        figures["ours"]["messages_s"] / figures["bare"]["messages_s"]
    )
    half = figures["half_rate"]
    assert half["messages_s"] == pytest.approx(figures["ours"]["messages_s"] / 2)
    assert 0 < half["p50_ms"] <= half["p99_ms"] <= half["max_ms"]


@pytest.fixture
def sent(table_and_model: Workspace) -> list[bytes]:
    """Three requests, the second of them poison."""
    first, second = bodies(table_and_model)[:2]
    return [first, POISON, second]


@pytest.fixture
def messages(table_and_model: Workspace, sent: list[bytes]) -> list[Message]:
    """Their right answers."""
    model = Model.load(table_and_model.serving)
    requests = [Request(str(number), body) for number, body in enumerate(sent)]
    return [
        ("x.rejected" if one.reason else "x.predictions", one.id, one.data)
        for one in answer(model, requests, Options())
    ]


def test_right_answers_are_right(
    table_and_model: Workspace, sent: list[bytes], messages: list[Message]
) -> None:
    verdict = judge(Model.load(table_and_model.serving), sent, messages)
    assert (verdict.pop("messages"), verdict.pop("poison")) == (3, 1)
    assert set(verdict.values()) == {0}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda messages: messages[1:], {"unanswered"}),
        (lambda messages: [*messages, messages[0]], {"answered_twice"}),
        (
            lambda messages: [*messages, ("x.predictions", "0", b'{"prediction": 1.0}')],
            {"answered_twice", "answered_differently", "wrong_answers"},
        ),
        (
            lambda messages: [("x.predictions", "0", b'{"prediction": 1.0}'), *messages[1:]],
            {"wrong_answers"},
        ),
        (
            lambda messages: [messages[0], ("x.predictions", "1", messages[0][2]), messages[2]],
            {"poison_not_rejected"},
        ),
        (
            lambda messages: [("x.rejected", "0", b"?"), *messages[1:]],
            {"rejected_without_reason"},
        ),
    ],
)
def test_a_fault_is_counted(
    table_and_model: Workspace,
    sent: list[bytes],
    messages: list[Message],
    change: Callable[[list[Message]], list[Message]],
    verdict: set[str],
) -> None:
    judged = judge(Model.load(table_and_model.serving), sent, change(messages))
    counted = {name for name, count in judged.items() if count and name not in COUNTS}
    assert counted == verdict


def test_a_percentile_is_a_value_that_came() -> None:
    values = [float(number) for number in range(1, 101)]
    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([3.0], 0.99) == 3.0
