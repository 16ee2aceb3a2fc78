"""MLflow's scoring protocol, and its own client, which asks as it asks `mlflow models serve`."""

import warnings
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from tests.app.conftest import EXAMPLE, regression_answer


@pytest.fixture
def theirs(client: httpx.Client) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow's own type hints warn its importers
        from mlflow.pyfunc.scoring_server.client import ScoringServerClient
    return ScoringServerClient(client.base_url.host, client.base_url.port)


def test_a_data_frame_with_missing_values(theirs: Any) -> None:
    theirs.wait_server_ready(timeout=5)
    rows = [EXAMPLE, {**EXAMPLE, "carat weight": None, "cut": None}]
    frame = pd.DataFrame(rows)
    assert np.isnan(frame["carat weight"][1])  # which their client writes as NaN
    predictions = theirs.invoke(frame).get_predictions()
    assert predictions[0].tolist() == [regression_answer(row) for row in rows]


def test_a_list_of_records(theirs: Any) -> None:
    predictions = theirs.invoke([EXAMPLE]).get_predictions()
    assert predictions[0].tolist() == [regression_answer(EXAMPLE)]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ('{"inputs": [{"carat weight": Infinity, "cut": NaN}]}', "Infinity"),
        ('{"inputs": [NaN', "line 1"),
        ('{"inputs": NaN, "x": ' + "[" * 100_000, "nested too deeply"),
        ('{"inputs": [{"carat weight": NaN, "\\ud800": 1}]}', "surrogates"),
        (
            '{"dataframe_split": {"columns": ["\\ud800", "\\ud800"], "data": [[NaN, 1]]}}',
            "surrogates",
        ),
    ],
)
def test_what_no_reading_of_nan_makes_json_is_refused(
    client: httpx.Client, body: str, word: str
) -> None:
    headers = {"content-type": "application/json"}
    reply = client.post("/invocations", content=body, headers=headers)
    assert reply.status_code == 400
    assert word in reply.json()["detail"]


def test_a_huge_whole_number_beside_nan_is_refused_as_a_value(client: httpx.Client) -> None:
    body = f'{{"inputs": [{{"carat weight": 1{"0" * 400}, "cut": NaN}}]}}'
    headers = {"content-type": "application/json"}
    reply = client.post("/invocations", content=body, headers=headers)
    assert reply.status_code == 422
    assert "give a finite JSON number" in reply.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": [*EXAMPLE], "data": [[*EXAMPLE.values()]]}},
        {"dataframe_split": {"columns": [*EXAMPLE], "index": [7], "data": [[*EXAMPLE.values()]]}},
        {"dataframe_records": [EXAMPLE], "params": {"any": 1}},
        {"instances": [EXAMPLE]},
        {"inputs": [EXAMPLE]},
        {"inputs": {key: [value] for key, value in EXAMPLE.items()}},
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_mlflow_formats_are_taken(
    client: httpx.Client, body: dict[str, Any], content_type: str
) -> None:
    reply = client.post("/invocations", json=body, headers={"content-type": content_type})
    assert reply.json()["predictions"] == [regression_answer(EXAMPLE)]


def test_mlflow_csv_is_taken(client: httpx.Client) -> None:
    content = b"carat weight,cut,certified,sold\n1.5,Good,true,2020-01-01\n"
    reply = client.post("/invocations", content=content, headers={"content-type": "text/csv"})
    assert reply.json()["predictions"] == [regression_answer(EXAMPLE)]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "one of dataframe_split"),
        ({"dataframe_records": [EXAMPLE], "instances": [EXAMPLE]}, "one of dataframe_split"),
        ({"dataframe_records": [EXAMPLE], "params": []}, "'params' must be an object"),
        ({"dataframe_records": EXAMPLE}, "must be a list"),
        ({"dataframe_split": []}, '"columns"'),
        ({"dataframe_split": {"columns": [1], "data": []}}, '"columns"'),
        ({"dataframe_split": {"columns": ["a", "a"], "data": []}}, "more than once"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1], [1, 2]]}}, "Row 2: is not a list"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "all of one length"),
        ({"inputs": {}}, "all of one length"),
    ],
)
def test_mlflow_body_that_is_none_says_so(
    client: httpx.Client, body: dict[str, Any], message: str
) -> None:
    reply = client.post("/invocations", json=body)
    assert reply.status_code == 422
    assert message in reply.json()["detail"]
