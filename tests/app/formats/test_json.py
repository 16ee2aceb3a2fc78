"""JSON: bodies that are none, and replies."""

import httpx
import numpy as np
import orjson
import pytest

from app.formats import json
from app.model.model import Model, Prediction
from tests.app.conftest import EXAMPLE, regression_answer, write_model


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b'{"records": [{"carat weight": NaN}]}', 400, "not JSON"),
        (b'{"records": [{"carat weight": Infinity}]}', 400, "not JSON"),
        (b'{"records": [{"carat weight": 1e400}]}', 400, "infinity"),
        (b'{"records": "\xe9"}', 400, "not JSON"),
        (b"[]", 422, "must be a JSON object"),
        (b"{}", 422, '"records"'),
        (b'{"records": {}}', 422, '"records"'),
        (b'{"records": [], "more": 1}', 422, "no other key"),
        (b'{"records": []}', 422, "not one row"),
        (b'{"records": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 413, "larger than"),
        (b'{"records": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", 400, "not JSON"),
        (b'{"records": [' + b"null," * 5_000 + b"null]}", 413, "5001 rows"),
    ],
)
def test_body_that_is_none_says_so(
    client: httpx.Client, body: bytes, status: int, message: str
) -> None:
    reply = client.post(
        "/predict/records", content=body, headers={"content-type": "application/json"}
    )
    assert reply.status_code == status
    assert message in reply.json()["detail"]


def test_classification_gives_labels(classifier: httpx.Client) -> None:
    body = classifier.post("/predict/records", json={"records": [EXAMPLE] * 2}).json()
    assert body["predictions"] == ["low", "low"]
    assert {*body} == {"predictions", "model"}


def test_probabilities_are_given_when_asked_for(classifier: httpx.Client) -> None:
    body = classifier.post(
        "/predict/records?probabilities=true", json={"records": [EXAMPLE]}
    ).json()
    last = 1 / (1 + np.exp(-(regression_answer(EXAMPLE) - 20_000) / 1_000))
    assert body["classes"] == ["low", "middle", "high"]
    np.testing.assert_allclose(body["probabilities"], [[1 - last, 0, last]], rtol=1e-12)


@pytest.mark.parametrize(("value", "message"), [("true", "no probabilities"), ("1", "either")])
def test_parameter_that_does_not_fit_is_refused(
    client: httpx.Client, value: str, message: str
) -> None:
    reply = client.post(f"/predict/records?probabilities={value}", json={"records": [EXAMPLE]})
    assert reply.status_code == 422
    assert message in reply.json()["detail"]


@pytest.mark.parametrize("rows", [0, 1, json.ROWS, json.ROWS + 1, 2 * json.ROWS])
def test_slices_make_one_array(rows: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    model = Model.load(write_model(tmp_path_factory.mktemp("model"), "classification"))
    labels = np.array(["low", "high"] * (rows // 2 + 1), object)[:rows]
    prediction = Prediction(labels, np.full((rows, 3), 0.25))
    body = orjson.loads(b"".join(json.reply(model, prediction)))
    assert body["predictions"] == labels.tolist()
    assert body["probabilities"] == [[0.25] * 3] * rows
