"""`GET /drift` and the gauges of `/metrics`, of a server that answers rows of known kinds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.model.runtime import Packed
from tests.app.conftest import EXAMPLE, publish, serve, settings_in, write_model
from tests.app.drift.conftest import reference, rows

CUTS = ("Fair", "Good", "Ideal", "Odd", "")


def csv(packed: Packed, scale: float = 1.0) -> bytes:
    lines = ["carat weight,cut,certified,sold"]
    for (weight, certified, day), (cut,) in zip(packed.numeric, packed.categorical, strict=True):
        flag = "" if certified != certified else int(certified)
        moment = f"{1970 + int(day / 86_400 / 365.25)}-01-01"
        lines.append(f"{weight * scale},{CUTS[cut]},{flag},{moment}")
    return "\n".join(lines).encode()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[httpx.Client]:
    settings = settings_in(tmp_path)
    model = write_model(tmp_path / "model", reference=reference())
    publish(model, settings.model_cache, settings.lock_file)
    with serve(settings) as running:
        yield running


def send(client: httpx.Client, body: bytes) -> None:
    assert client.post("/predict", files={"file": ("rows.csv", body)}).status_code == 200


def drift(client: httpx.Client, query: str = "") -> dict[str, Any]:
    told: dict[str, Any] = client.get(f"/drift{query}").raise_for_status().json()
    return told


def test_rows_are_counted_and_a_shift_is_named(watched: httpx.Client) -> None:
    assert drift(watched)["windows"]["hour"]["rows"] == 0
    send(watched, csv(rows(1, 700)))
    told = drift(watched)
    assert [*told["windows"]] == ["hour", "day", "week"]
    for window in told["windows"].values():
        assert window["rows"] == 700
        assert window["features"]["carat weight"]["verdict"] == "steady"
    send(watched, csv(rows(2, 900), scale=2.54))
    window = drift(watched)["windows"]["hour"]
    assert window["rows"] == 1600
    assert "carat weight" in window["drifted"]
    assert window["features"]["cut"]["verdict"] == "steady"


def test_json_counts_too_and_refused_rows_do_not(watched: httpx.Client) -> None:
    for _ in range(3):
        watched.post("/predict/records", json={"records": [EXAMPLE, EXAMPLE]})
    watched.post("/predict/records", json={"records": [{**EXAMPLE, "carat weight": "x"}]})
    window = drift(watched)["windows"]["day"]
    assert window["rows"] == 6
    assert window["predictions"]["verdict"] == "too few rows"


def test_counts_can_be_taken_elsewhere(watched: httpx.Client) -> None:
    send(watched, csv(rows(1, 300)))
    cut = drift(watched, "?counts=true")["windows"]["hour"]["features"]["cut"]
    assert cut["cells"] == ["Ideal", "Good", "Fair", "others", "unseen", "missing"]
    assert sum(cut["counts"]) == 300
    assert sum(cut["reference"]) == 20_000
    assert watched.get("/drift?counts=maybe").status_code == 422


def test_metrics_have_gauges_of_columns_with_rows_enough(watched: httpx.Client) -> None:
    assert "serve_drift_psi{" not in watched.get("/metrics").text
    send(watched, csv(rows(1, 300), scale=2.54))
    lines = watched.get("/metrics").text.splitlines()
    assert 'serve_drift_rows{window="hour"} 300.0' in lines
    assert 'serve_drift_drifted{column="carat weight",window="day"} 1.0' in lines
    assert any(line.startswith('serve_drift_psi{column="prediction of price"') for line in lines)


def test_counts_outlast_the_server(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    model = write_model(tmp_path / "model", reference=reference())
    publish(model, settings.model_cache, settings.lock_file)
    for expected in (250, 500):
        with serve(settings) as client:
            send(client, csv(rows(1, 250)))
            assert drift(client)["windows"]["week"]["rows"] == expected


def test_a_model_without_counts_says_so(client: httpx.Client) -> None:
    reply = client.get("/drift")
    assert reply.status_code == 404
    assert reply.json()["type"].endswith("no-drift")
    assert client.get("/metrics").status_code == 200


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    settings = settings_in(tmp_path).model_copy(update={"drift": False})
    model = write_model(tmp_path / "model", reference=reference())
    publish(model, settings.model_cache, settings.lock_file)
    with serve(settings) as client:
        send(client, csv(rows(1, 50)))
        assert client.get("/drift").status_code == 404
    assert not (settings.model_cache / ".drift").exists()
