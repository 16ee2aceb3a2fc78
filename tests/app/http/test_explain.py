"""`?explain=true`: the tiny regression is a sum, so what each column contributes is known."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.model.manifest import Task
from tests.app.conftest import (
    BACKGROUND,
    CUT,
    EXAMPLE,
    SECONDS,
    publish,
    serve,
    settings_in,
    write_model,
)

CSV = b"carat weight,cut,certified,sold\n1.5,Good,true,2020-01-01\n,Odd,,\n"
NUMBERS = np.nan_to_num(BACKGROUND[0]) * [100.0, 10.0, 1 / 86_400]
CUTS = np.array(CUT)[BACKGROUND[1][:, 0]]


def parts(carat: float, cut: str, certified: float, seconds: float) -> dict[str, float]:
    """What the columns of a row contribute: their terms less the terms' means."""
    return {
        "carat weight": 100 * carat - NUMBERS[:, 0].mean(),
        "cut": CUT[{"Good": 1, "Odd": 3}[cut]] - CUTS.mean(),
        "certified": 10 * certified - NUMBERS[:, 1].mean(),
        "sold": seconds / 86_400 - NUMBERS[:, 2].mean(),
    }


FIRST, SECOND = parts(1.5, "Good", 1, SECONDS), parts(0, "Odd", 0, 0)


def _explained(folder: Path, task: Task) -> Iterator[httpx.Client]:
    settings = settings_in(folder)
    model = write_model(folder / "model", task, explained=True)
    publish(model, settings.model_cache, settings.lock_file)
    with serve(settings) as running:
        yield running


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    yield from _explained(tmp_path_factory.mktemp("explained"), "regression")


@pytest.fixture(scope="module")
def explained_classes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    yield from _explained(tmp_path_factory.mktemp("classes"), "classification")


def check(body: dict[str, Any], rows: list[dict[str, float]]) -> None:
    explanation = body["explanation"]
    assert list(explanation["contributions"]) == [*FIRST]
    for name, values in explanation["contributions"].items():
        assert values == pytest.approx([row[name] for row in rows])
    assert explanation["base"] == pytest.approx((NUMBERS.sum(axis=1) + CUTS).mean())
    sums = np.sum([*explanation["contributions"].values()], axis=0) + explanation["base"]
    assert sums == pytest.approx(body["predictions"])
    assert explanation["additivity_error"] < 1e-9
    assert explanation["method"] == (
        "exact Shapley values of the prediction, all coalitions, 3 background rows"
    )


def test_a_file_is_explained(explained: httpx.Client) -> None:
    reply = explained.post("/predict?explain=true", files={"file": ("rows.csv", CSV)})
    check(reply.json(), [FIRST, SECOND])


def test_after_many_rows_a_few_are_explained_as_before(tmp_path: Path) -> None:
    """The memory that many took, code of libraries too, has been given back."""
    settings = settings_in(tmp_path).model_copy(update={"max_explained_rows": 2_000})
    model = write_model(tmp_path / "model", explained=True)
    publish(model, settings.model_cache, settings.lock_file)
    header, rows = CSV.split(b"\n", 1)
    with serve(settings) as running:
        for times in (501, 1):
            file = {"file": ("rows.csv", header + b"\n" + times * rows)}
            reply = running.post("/predict?explain=true", files=file)
            check(reply.json(), times * [FIRST, SECOND])


def test_records_are_explained(explained: httpx.Client) -> None:
    reply = explained.post("/predict/records?explain=true", json={"records": [EXAMPLE]})
    check(reply.json(), [FIRST])


def test_invocations_are_explained(explained: httpx.Client) -> None:
    body = {"dataframe_records": [EXAMPLE, EXAMPLE]}
    check(explained.post("/invocations?explain=true", json=body).json(), [FIRST, FIRST])


def test_csv_comes_back_with_contributions(explained: httpx.Client) -> None:
    reply = explained.post(
        "/predict?explain=true", files={"file": ("rows.csv", CSV)}, headers={"accept": "text/csv"}
    )
    header, first, second = (line.split(",") for line in reply.text.splitlines())
    assert header[4:] == ["prediction", *(f"contribution:{name}" for name in FIRST)]
    assert [float(cell) for cell in first[5:]] == pytest.approx([*FIRST.values()])
    assert [float(cell) for cell in second[5:]] == pytest.approx([*SECOND.values()])


@pytest.mark.parametrize("parameter", ["", "?explain=false"])
def test_nothing_is_explained_unless_asked_for(explained: httpx.Client, parameter: str) -> None:
    reply = explained.post(f"/predict/records{parameter}", json={"records": [EXAMPLE]})
    assert [*reply.json()] == ["predictions", "model"]


def test_a_classification_explains_each_rows_class(explained_classes: httpx.Client) -> None:
    cheap = {**EXAMPLE, "carat weight": 1.0}
    dear = {**EXAMPLE, "carat weight": 400.0}
    reply = explained_classes.post(
        "/predict/records?explain=true&probabilities=true", json={"records": [cheap, dear]}
    )
    body = reply.json()
    explanation = body["explanation"]
    assert body["predictions"] == ["low", "high"]
    assert "the probability of the predicted class" in explanation["method"]
    chance = [max(row) for row in body["probabilities"]]
    sums = np.sum([*explanation["contributions"].values()], axis=0) + explanation["base"]
    assert sums == pytest.approx(chance)
    assert explanation["base"][0] != pytest.approx(explanation["base"][1])


def test_a_model_without_background_says_that_it_explains_nothing(client: httpx.Client) -> None:
    reply = client.post("/predict/records?explain=true", json={"records": [EXAMPLE]})
    assert reply.status_code == 422
    assert reply.json()["type"].endswith("no-explanations")
    assert "deploy.explain" in reply.json()["detail"]
    document = client.get("/openapi.json").json()
    parameter = document["components"]["parameters"]["explain"]
    assert parameter["schema"]["enum"] == ["false"]


def test_the_document_offers_explanations_where_there_are_any(explained: httpx.Client) -> None:
    document = explained.get("/openapi.json").json()
    assert document["components"]["parameters"]["explain"]["schema"]["enum"] == ["false", "true"]
    assert "explanation" in document["components"]["schemas"]["Answer"]["properties"]


def test_too_many_rows_are_not_explained(explained: httpx.Client) -> None:
    reply = explained.post("/predict/records?explain=true", json={"records": [EXAMPLE] * 51})
    assert reply.status_code == 413
    assert reply.json()["type"].endswith("too-many-rows")
    assert "at most 50" in reply.json()["detail"]


def test_another_value_is_refused(explained: httpx.Client) -> None:
    reply = explained.post("/predict/records?explain=yes", json={"records": [EXAMPLE]})
    assert reply.status_code == 422
    assert "'explain'" in reply.json()["detail"]


def test_a_changed_file_is_not_served(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    model = write_model(tmp_path / "model", explained=True)
    with (model / "explanation.npz").open("ab") as file:
        file.write(b" ")
    publish(model, settings.model_cache, settings.lock_file)
    with serve(settings) as running:
        reply = running.get("/ready")
    assert reply.status_code == 503
    assert "explanation.npz" in reply.text
