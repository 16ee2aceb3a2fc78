"""Requests that ended, written many at once."""

import asyncio
import json
from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from app.operations import log
from app.operations.requests import PATIENCE_SECONDS, Ended, Requests

Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture
def lines(capfdbinary: pytest.CaptureFixture[bytes]) -> Lines:
    def read() -> list[dict[str, object]]:
        log.flush()
        return [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]

    return read


def ended(number: int) -> Ended:
    return Ended(1e9 + number, f"id-{number}", "POST", "/predict", 200, 0.0125, 2, "a-version")


def rows() -> float:
    return REGISTRY.get_sample_value("serve_rows_total", {"version": "a-version"}) or 0.0


def test_each_has_its_own_time_and_is_counted_once(lines: Lines) -> None:
    before = rows()

    async def add_two() -> None:
        requests = Requests(access_log=True)
        requests.add(ended(1))
        requests.add(ended(2))
        assert rows() == before  # nothing is written between two answers
        await asyncio.sleep(2 * PATIENCE_SECONDS)
        requests.flush()

    asyncio.run(add_two())
    first, second = lines()
    assert first["time"] == "2001-09-09T01:46:41Z"
    assert second["time"] == "2001-09-09T01:46:42Z"
    assert (first["request_id"], first["rows"], first["milliseconds"]) == ("id-1", 2, 12.5)
    assert rows() == before + 4


def test_without_an_access_log_they_are_counted_alone(lines: Lines) -> None:
    before = rows()

    async def add_one() -> None:
        requests = Requests(access_log=False)
        requests.add(ended(1))
        requests.flush()

    asyncio.run(add_one())
    assert lines() == []
    assert rows() == before + 2
