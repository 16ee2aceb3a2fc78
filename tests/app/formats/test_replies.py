"""What comes back: CSV, probabilities, labels."""

import csv
import io

import httpx
import numpy as np
import orjson
import pyarrow as pa
import pytest
from pyarrow import parquet

from app.errors import Problem
from app.formats.csv_writer import _parquet_as_csv
from app.formats.json import ROWS, json_reply
from app.model.model import Model, Prediction
from tests.app.conftest import EXAMPLE, regression_answer, write_model

HEADER = "carat weight,cut,certified,sold"
ANSWER = str(regression_answer(EXAMPLE))


def rows_with_predictions(client: httpx.Client, content: bytes, query: str = "") -> str:
    reply = client.post(
        "/predict" + query, files={"file": ("rows.csv", content)}, headers={"accept": "text/csv"}
    )
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert reply.headers["x-model-version"]
    return reply.text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"{HEADER}\n1.50,Good,true,2020-01-01\n", "1.50,Good,true,2020-01-01"),
        (f"{HEADER}\r\n1.50,Good,true,2020-01-01", "1.50,Good,true,2020-01-01"),
        (f'{HEADER}\n"1.50",Good,true,2020-01-01\n', "1.50,Good,true,2020-01-01"),
        (f"{HEADER}\r1.5,Good,true,2020-01-01\r", "1.5,Good,true,2020-01-01"),
    ],
)
def test_rows_come_back_with_their_predictions(
    client: httpx.Client, content: str, expected: str
) -> None:
    text = rows_with_predictions(client, content.encode())
    assert text == f"{HEADER},prediction\n{expected},{ANSWER}\n"


def test_cells_with_line_breaks_keep_them(client: httpx.Client) -> None:
    content = f'note,{HEADER}\n"two\nlines",1.5,Good,true,2020-01-01\n'
    text = rows_with_predictions(client, content.encode())
    assert list(csv.reader(io.StringIO(text)))[1] == [
        "two\nlines", "1.5", "Good", "true", "2020-01-01", ANSWER,
    ]  # fmt: skip


def test_taken_name_gets_an_underscore(client: httpx.Client) -> None:
    text = rows_with_predictions(client, f"prediction,{HEADER}\n9,0,Fair,0,\n".encode())
    assert text.splitlines() == [f"prediction,{HEADER},prediction_", "9,0,Fair,0,,1.0"]


def test_parquet_comes_back_as_csv(client: httpx.Client) -> None:
    sink = io.BytesIO()
    columns = {name: [value] for name, value in EXAMPLE.items()}
    parquet.write_table(pa.table({"id": ["a"], **columns}), sink)
    rows = list(csv.reader(io.StringIO(rows_with_predictions(client, sink.getvalue()))))
    assert rows[0] == ["id", *EXAMPLE, "prediction"]
    assert rows[1] == ["a", "1.5", "Good", "true", "2020-01-01", ANSWER]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_parquet_that_grows_too_much_as_csv_is_refused(kind: pa.DataType) -> None:
    sink = io.BytesIO()
    parquet.write_table(pa.table({"note": pa.array(["x" * 10_000] * 2_000, kind)}), sink)
    assert len(sink.getvalue()) < 10_000
    with pytest.raises(Problem, match="more than 1000000 bytes as CSV") as refused:
        _parquet_as_csv(sink.getvalue(), 1_000_000)
    assert refused.value.status == 413


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.binary(), pa.binary(1_000_000),
     pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)  # fmt: skip
def test_parquet_that_grows_too_much_is_not_unpacked(
    kind: pa.DataType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", pytest.fail)
    columns = {str(i): pa.array([b"x" * 1_000_000] * 20, pa.binary()) for i in range(2)}
    if not pa.types.is_fixed_size_binary(kind):
        columns = {name: values.cast(pa.string()) for name, values in columns.items()}
    table = pa.table({name: values.cast(kind) for name, values in columns.items()})
    parquet.write_table(table, sink := io.BytesIO())
    with pytest.raises(Problem, match="more than 30000000 bytes as CSV"):
        _parquet_as_csv(sink.getvalue(), 30_000_000)


def test_a_long_cell_comes_back(client: httpx.Client) -> None:
    content = f'note,{HEADER}\n"{"x" * 200_000}",1.5,Good,true,2020-01-01\n'
    text = rows_with_predictions(client, content.encode())
    assert text.endswith(f"xx,1.5,Good,true,2020-01-01,{ANSWER}\n")


def test_many_rows_keep_their_order(client: httpx.Client) -> None:
    content = HEADER + "\n" + "".join(f"{i},Fair,0,\n" for i in range(4_900))
    lines = rows_with_predictions(client, content.encode()).splitlines()[1:]
    assert lines == [f"{i},Fair,0,,{100.0 * i + 1}" for i in range(4_900)]


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


def test_probabilities_come_as_columns_in_csv(classifier: httpx.Client) -> None:
    content = f"{HEADER}\n1.5,Good,true,2020-01-01\n".encode()
    header, row = rows_with_predictions(classifier, content, "?probabilities=true").splitlines()
    assert header == f"{HEADER},prediction,probability_low,probability_middle,probability_high"
    label, *probabilities = row.split(",")[4:]
    assert label == "low"
    assert sum(map(float, probabilities)) == pytest.approx(1.0)


@pytest.mark.parametrize(("value", "message"), [("true", "no probabilities"), ("1", "either")])
def test_parameter_that_does_not_fit_is_refused(
    client: httpx.Client, value: str, message: str
) -> None:
    reply = client.post(f"/predict/records?probabilities={value}", json={"records": [EXAMPLE]})
    assert reply.status_code == 422
    assert message in reply.json()["detail"]


def test_overflow_is_null_and_an_empty_cell(client: httpx.Client) -> None:
    record = {**EXAMPLE, "carat weight": 1.7e308}
    reply = client.post("/predict/records", json={"records": [EXAMPLE, record]})
    assert reply.json()["predictions"] == [float(ANSWER), None]
    text = rows_with_predictions(client, f"{HEADER}\n1.7e308,Good,true,2020-01-01\n".encode())
    assert text.splitlines()[1].endswith("2020-01-01,")


@pytest.mark.parametrize("rows", [0, 1, ROWS, ROWS + 1, 2 * ROWS])
def test_slices_make_one_array(rows: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    model = Model.load(write_model(tmp_path_factory.mktemp("model"), "classification"))
    labels = np.array(["low", "high"] * (rows // 2 + 1), object)[:rows]
    prediction = Prediction(labels, np.full((rows, 3), 0.25))
    body = orjson.loads(b"".join(json_reply(model, prediction)))
    assert body["predictions"] == labels.tolist()
    assert body["probabilities"] == [[0.25] * 3] * rows
