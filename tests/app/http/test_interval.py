"""`?interval=0.9`: the tiny regression with noise around it, the tiny classification as it is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.model.conformal import half_widths
from app.model.manifest import Intervals, Level
from stages.evaluation.conformal import Answers, learn, measure, with_measured
from tests.app.conftest import (
    EXAMPLE,
    publish,
    regression_answer,
    serve,
    settings_in,
    write_model,
)

COLUMNS = ",".join(EXAMPLE)
SETS = Intervals(
    levels=(
        Level(coverage=0.9, measured=0.91, bound=0.4),
        Level(coverage=0.99, measured=1.0, bound=0.0),
    )
)
EVEN = {**EXAMPLE, "carat weight": 17.25}  # both classes about as probable
SURE = {**EXAMPLE, "carat weight": 1.0}


def drawn(seed: int, rows: int) -> tuple[list[float], Answers]:
    """Weights, and what the tiny model answers to them; the truth is the farther the heavier."""
    draw = np.random.default_rng(seed)
    weights = draw.uniform(0.2, 5, rows).round(3)
    said = np.array([regression_answer({**EXAMPLE, "carat weight": one}) for one in weights])
    actual = said + draw.normal(size=rows) * weights**2
    return weights.tolist(), Answers(actual, said, None, np.arange(rows))


def served(folder: Path, **model: Any) -> Iterator[httpx.Client]:
    settings = settings_in(folder)
    publish(write_model(folder / "model", **model), settings.model_cache, settings.lock_file)
    with serve(settings) as running:
        yield running


@pytest.fixture(scope="module")
def intervals() -> Intervals:
    learned = learn(drawn(1, 2000)[1], "regression")
    assert learned is not None
    return with_measured(learned, measure(learned, drawn(2, 1000)[1]))


@pytest.fixture(scope="module")
def numbers(
    intervals: Intervals, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    yield from served(tmp_path_factory.mktemp("numbers"), intervals=intervals, explained=True)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("classes")
    yield from served(folder, task="classification", intervals=SETS)


def test_over_http_the_holdout_is_covered_as_the_report_says(
    numbers: httpx.Client, intervals: Intervals
) -> None:
    weights, holdout = drawn(2, 1000)
    report = measure(intervals, holdout)
    lines = [f"{one},Good,true,2020-01-01" for one in weights]
    body = "\n".join([COLUMNS, *lines]).encode()
    reply = numbers.post("/predict?interval=0.9", files={"file": ("rows.csv", body)}).json()
    interval = reply["interval"]
    lower, upper = np.array(interval["lower"]), np.array(interval["upper"])
    inside = (lower <= holdout.actual) & (holdout.actual <= upper)
    assert inside.mean() == report["coverage"] == interval["measured"]
    assert interval["measured"] == pytest.approx(0.9, abs=0.03)
    assert (upper - lower).mean() == pytest.approx(report["mean_width"])
    assert (upper - lower).max() > 5 * (upper - lower).min()  # the heavier, the wider


@pytest.mark.parametrize("route", ["/predict/records", "/invocations"])
def test_json_is_answered_with_an_interval(
    numbers: httpx.Client, intervals: Intervals, route: str
) -> None:
    key = "records" if route == "/predict/records" else "dataframe_records"
    body = numbers.post(f"{route}?interval=0.5", json={key: [EXAMPLE]}).json()
    level = intervals.levels[0]
    (width,) = half_widths(intervals, level, np.array(body["predictions"]))
    assert [*body] == ["predictions", "interval", "model"]
    assert body["interval"] == {
        "coverage": 0.5,
        "measured": level.measured,
        "lower": [body["predictions"][0] - width],
        "upper": [body["predictions"][0] + width],
    }


def test_csv_comes_back_with_both_ends(numbers: httpx.Client) -> None:
    body = f"{COLUMNS},prediction_lower\n1.5,Good,true,2020-01-01,7\n".encode()
    reply = numbers.post(
        "/predict?interval=0.9&explain=true",
        files={"file": ("rows.csv", body)},
        headers={"accept": "text/csv"},
    )
    header, row = (line.split(",") for line in reply.text.splitlines())
    assert header[4:9] == [
        "prediction_lower",
        "prediction",
        "prediction_lower_",
        "prediction_upper",
        "contribution:carat weight",
    ]
    prediction, lower, upper = map(float, row[5:8])
    assert lower < prediction < upper


def test_a_classification_gives_sets_with_the_prediction_in_each(classes: httpx.Client) -> None:
    body = classes.post("/predict/records?interval=0.9", json={"records": [SURE, EVEN]}).json()
    assert body["interval"] == {
        "coverage": 0.9,
        "measured": 0.91,
        "sets": [["low"], ["low", "high"]],
    }
    body = classes.post("/predict/records?interval=0.99", json={"records": [SURE]}).json()
    assert body["interval"]["sets"] == [["low", "middle", "high"]]


def test_a_set_is_a_json_list_in_csv(classes: httpx.Client) -> None:
    body = f"{COLUMNS}\n17.25,Good,true,2020-01-01\n".encode()
    reply = classes.post(
        "/predict?interval=0.9",
        files={"file": ("rows.csv", body)},
        headers={"accept": "text/csv"},
    )
    assert reply.text.splitlines()[0].endswith(",prediction,prediction_set")
    assert reply.text.splitlines()[1].endswith(',low,"[""low"",""high""]"')


def test_nothing_changes_unless_it_is_asked_for(
    numbers: httpx.Client, client: httpx.Client
) -> None:
    with_intervals, without = (
        one.post("/predict/records", json={"records": [EXAMPLE]}).content.split(b',"model"')[0]
        for one in (numbers, client)
    )
    assert with_intervals == without


def test_a_coverage_that_is_not_there_names_those_that_are(numbers: httpx.Client) -> None:
    reply = numbers.post("/predict/records?interval=0.7", json={"records": [EXAMPLE]})
    assert reply.status_code == 422
    assert reply.json()["type"].endswith("no-intervals")
    assert "0.5, 0.8, 0.9, 0.95, 0.99" in reply.json()["detail"]


def test_a_model_without_intervals_says_so(client: httpx.Client) -> None:
    reply = client.post("/predict/records?interval=0.9", json={"records": [EXAMPLE]})
    assert reply.status_code == 422
    assert reply.json()["type"].endswith("no-intervals")


@pytest.mark.parametrize("value", ["", "90", "1", "0", "nan", "much"])
def test_a_value_that_is_no_coverage_is_refused(numbers: httpx.Client, value: str) -> None:
    reply = numbers.post(f"/predict/records?interval={value}", json={"records": [EXAMPLE]})
    assert reply.status_code == 422
    assert "'interval'" in reply.json()["detail"]


def test_the_document_names_the_coverages(numbers: httpx.Client, client: httpx.Client) -> None:
    for one, coverages in ((numbers, [0.5, 0.8, 0.9, 0.95, 0.99]), (client, None)):
        document = json.loads(one.get("/openapi.json").content)
        parameters = document["paths"]["/predict"]["post"]["parameters"]
        offered = {"$ref": "#/components/parameters/interval"} in parameters
        assert offered == (coverages is not None)
        if coverages:
            parameter = document["components"]["parameters"]["interval"]
            assert parameter["schema"]["enum"] == coverages
