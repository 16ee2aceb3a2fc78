"""`POST /truth`: the live error of answers whose ids the client kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.model.manifest import Intervals, Level
from tests.app.conftest import (
    EXAMPLE,
    publish,
    regression_answer,
    serve,
    settings_in,
    write_model,
)
from tests.app.drift.conftest import reference, rows
from tests.app.http.test_drift import csv

ANSWER = regression_answer(EXAMPLE)
INTERVALS = Intervals(levels=(Level(coverage=0.9, measured=0.9, bound=15.0),), scales=(1.0,))


def served(folder: Path, task: Any = "regression", **changes: Any) -> Iterator[httpx.Client]:
    settings = settings_in(folder).model_copy(update=changes)
    intervals = INTERVALS if task == "regression" else None
    model = write_model(folder / "model", task, intervals=intervals, reference=reference(task))
    publish(model, settings.model_cache, settings.lock_file)
    with serve(settings) as running:
        yield running


@pytest.fixture
def numbers(tmp_path: Path) -> Iterator[httpx.Client]:
    yield from served(tmp_path)


@pytest.fixture
def classes(tmp_path: Path) -> Iterator[httpx.Client]:
    yield from served(tmp_path, "classification")


def ask(client: httpx.Client, count: int = 1) -> str:
    reply = client.post("/predict/records", json={"records": [EXAMPLE] * count})
    return reply.headers["x-request-id"]


def tell(client: httpx.Client, *truths: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = client.post("/truth", json={"truths": truths}).raise_for_status().json()
    return told


def live(client: httpx.Client, window: str = "hour") -> dict[str, Any]:
    told: dict[str, Any] = client.get("/drift").json()["truth"]
    return {"holdout": told["holdout"], **told["windows"][window]}


def test_the_live_error_stands_beside_the_holdouts(numbers: httpx.Client) -> None:
    one, two = ask(numbers), ask(numbers, 2)
    told = tell(
        numbers,
        {"id": one, "value": ANSWER + 10},
        {"id": two, "row": 2, "value": ANSWER - 20},
        {"id": "never-asked", "value": 1},
    )
    assert told == {"joined": 2, "unknown": 1}
    error = live(numbers)
    assert error["holdout"] == {"mae": 12.5}
    assert (error["rows"], error["verdict"]) == (2, "too few rows")
    assert error["mae"] == pytest.approx(15)
    assert error["rmse"] == pytest.approx(np.sqrt(250))
    assert error["coverage"] == 0.5  # 10 lies within 15, 20 does not
    assert live(numbers, "week")["rows"] == 2
    lines = numbers.get("/metrics").text.splitlines()
    assert 'serve_error{metric="mae",window="holdout"} 12.5' in lines
    assert 'serve_truth_rows{window="day"} 2.0' in lines


def test_a_truth_counts_once(numbers: httpx.Client) -> None:
    one = ask(numbers)
    entry = {"id": one, "value": ANSWER}
    assert tell(numbers, entry, entry) == {"joined": 1, "unknown": 1}
    assert tell(numbers, entry) == {"joined": 0, "unknown": 1}
    assert live(numbers)["rows"] == 1


@pytest.mark.parametrize(("factor", "verdict"), [(0.95, "steady"), (2.0, "worse")])
def test_a_loss_beyond_chance_is_named(numbers: httpx.Client, factor: float, verdict: str) -> None:
    packed = rows(1, 400)
    headers = {"X-Request-ID": "january"}
    reply = numbers.post(
        "/predict", files={"file": ("rows.csv", csv(packed))}, headers=headers
    ).json()
    misses = np.random.default_rng(2).exponential(12.5 * factor, 400)
    lines = [
        f"january,{row},{value + miss}"
        for row, (value, miss) in enumerate(zip(reply["predictions"], misses, strict=True), 1)
    ]
    body = "\n".join(["id,row,value", *lines])
    told = numbers.post("/truth", content=body, headers={"Content-Type": "text/csv"})
    assert told.json() == {"joined": 400, "unknown": 0}
    error = live(numbers)
    assert error["mae"] == pytest.approx(misses.mean())
    assert error["verdict"] == verdict


def test_labels_are_right_or_wrong(classes: httpx.Client) -> None:
    ids = [ask(classes) for _ in range(4)]
    truths = ["low", "low", "high", "unheard of"]
    told = [{"id": one, "value": value} for one, value in zip(ids, truths, strict=True)]
    assert tell(classes, *told) == {"joined": 4, "unknown": 0}
    assert live(classes)["accuracy"] == 0.5


def test_no_more_than_the_latest_answers_are_remembered(tmp_path: Path) -> None:
    for client in served(tmp_path, remembered_answers=3):
        ids = [ask(client) for _ in range(5)]
        told = [{"id": one, "value": ANSWER} for one in ids]
        assert tell(client, *told) == {"joined": 3, "unknown": 2}


@pytest.mark.parametrize(
    ("entry", "detail"),
    [
        ({"value": 1}, "has no id"),
        ({"id": 7, "value": 1}, "has no id"),
        ({"id": "a", "value": "much"}, "much"),
        ({"id": "a", "value": True}, "True is not a number"),
        ({"id": "a"}, "None is not a number"),
        ({"id": "a", "value": 1, "row": 0}, "0 is not a row"),
        ({"id": "a", "value": 1, "row": "second"}, "'second' is not a row"),
    ],
)
def test_an_entry_that_does_not_fit_is_named(
    numbers: httpx.Client, entry: dict[str, Any], detail: str
) -> None:
    reply = numbers.post("/truth", json={"truths": [{"id": "b", "value": 2}, entry]})
    assert reply.status_code == 422
    (error,) = reply.json()["errors"]
    assert error["row"] == 2
    assert detail in error["detail"]


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"[]", "application/json", 422),
        (b'{"truths": [1]}', "application/json", 422),
        (b"{", "application/json", 400),
        (b"id,truth\na,1\n", "text/csv", 422),
        (b'id,value\n"a', "text/csv", 422),
        (b"id,value\n\xff,1\n", "text/csv", 422),
        (b"", "text/plain", 415),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    numbers: httpx.Client, body: bytes, media_type: str, status: int
) -> None:
    reply = numbers.post("/truth", content=body, headers={"Content-Type": media_type})
    assert reply.status_code == status


def test_the_key_is_needed_where_there_is_one(tmp_path: Path) -> None:
    from pydantic import SecretStr

    for client in served(tmp_path, api_key=SecretStr("secret")):
        assert client.post("/truth", json={"truths": []}).status_code == 401
