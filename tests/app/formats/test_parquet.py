"""Parquet: what is taken, how each fault is named, and its rows as CSV."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from app.errors import Problem
from app.formats.parquet import as_csv, read
from app.model.manifest import Manifest
from app.settings import Settings
from tests.app.conftest import CUT, EXAMPLE, regression_answer, write_model

ANSWER = regression_answer(EXAMPLE)


def post(client: httpx.Client, content: bytes, name: str = "rows.csv") -> httpx.Response:
    return client.post("/predict", files={"file": (name, content)})


def table(**changes: pa.Array) -> bytes:
    columns = {
        "carat weight": pa.array([1.5, None]),
        "cut": pa.array(["Good", None]),
        "certified": pa.array([True, None]),
        "sold": pa.array([datetime(2020, 1, 1, tzinfo=UTC), None]),
        **{name.replace("_", " "): values for name, values in changes.items()},
    }
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


@pytest.mark.parametrize("name", ["rows.parquet", "rows.pq", "rows.csv"])
def test_parquet_is_read(client: httpx.Client, name: str) -> None:
    assert post(client, table(), name).json()["predictions"] == [ANSWER, CUT[4]]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("carat_weight", pa.array([3, None], pa.int32()).cast(pa.float32())),
        ("carat_weight", pa.array(["1.5", None])),
        ("cut", pa.array(["Good", None]).dictionary_encode()),
        ("cut", pa.array(["Good", None], pa.large_string())),
        ("certified", pa.array([1, None])),
        ("certified", pa.array(["True", None])),
        ("sold", pa.array(["2020-01-01", None])),
        ("sold", pa.array([datetime(2020, 1, 1), None], pa.timestamp("ms"))),
        ("sold", pa.array([datetime(2020, 1, 1).date(), None])),
    ],
)
def test_parquet_types_that_mean_the_same_are_taken(
    client: httpx.Client, column: str, values: pa.Array
) -> None:
    expected = [ANSWER, CUT[4]]
    if pa.types.is_floating(values.type):
        expected[0] += 150.0
    assert post(client, table(**{column: values})).json()["predictions"] == expected


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("carat_weight", pa.array([True, None]), "has type bool, which cannot be read as a number"),
        ("carat_weight", pa.array([np.inf, None]), "Row 1, column 'carat weight': inf"),
        ("carat_weight", pa.array([None, "x"]), "Row 2, column 'carat weight': 'x'"),
        ("certified", pa.array([0, 2]), "Row 2, column 'certified': 2 is neither 0 nor 1"),
        ("sold", pa.array([1, 2]), "has type int64, which cannot be read as a date"),
        ("cut", pa.array([["Good"], None]), "which cannot be read as a category"),
    ],
)
def test_parquet_fault_is_named(
    client: httpx.Client, column: str, values: pa.Array, message: str
) -> None:
    reply = post(client, table(**{column: values}), "rows.parquet")
    assert reply.status_code == 422
    assert message in reply.json()["detail"]


def test_parquet_that_unpacks_to_too_much_is_refused(client: httpx.Client) -> None:
    sink = io.BytesIO()
    parquet.write_table(pa.table({"a": pa.nulls(5_001, pa.int64())}), sink)
    missing = post(client, sink.getvalue(), "rows.parquet")
    assert "are missing" in missing.json()["detail"]
    rows = 5_001
    columns = {"carat weight": pa.nulls(rows, pa.float64()), "cut": pa.nulls(rows, pa.string())}
    columns |= {"certified": pa.nulls(rows, pa.bool_()), "sold": pa.nulls(rows, pa.string())}
    parquet.write_table(pa.table(columns), sink := io.BytesIO())
    assert len(sink.getvalue()) < 10_000
    assert post(client, sink.getvalue()).status_code == 413


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_texts_of_parquet_stay_encoded(
    kind: pa.DataType, settings: Settings, tmp_path: Path
) -> None:
    texts = pa.array(["x" * 10_000] * 500, kind)
    columns = {name: [value] * 500 for name, value in EXAMPLE.items()}
    parquet.write_table(pa.table({**columns, "cut": texts}), sink := io.BytesIO())
    manifest = Manifest.read(write_model(tmp_path / "other"))
    rows, _ = read(sink.getvalue(), manifest, settings.limits)
    assert rows.nbytes < 200_000


def test_parquet_comes_back_as_csv(client: httpx.Client) -> None:
    sink = io.BytesIO()
    columns = {name: [value] for name, value in EXAMPLE.items()}
    parquet.write_table(pa.table({"id": ["a"], **columns}), sink)
    files, headers = {"file": ("rows.csv", sink.getvalue())}, {"accept": "text/csv"}
    reply = client.post("/predict", files=files, headers=headers)
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(io.StringIO(reply.text)))
    assert rows[0] == ["id", *EXAMPLE, "prediction"]
    assert rows[1] == ["a", "1.5", "Good", "true", "2020-01-01", str(ANSWER)]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_parquet_that_grows_too_much_as_csv_is_refused(kind: pa.DataType) -> None:
    sink = io.BytesIO()
    parquet.write_table(pa.table({"note": pa.array(["x" * 10_000] * 2_000, kind)}), sink)
    assert len(sink.getvalue()) < 10_000
    with pytest.raises(Problem, match="more than 1000000 bytes as CSV") as refused:
        as_csv(sink.getvalue(), 250_000)
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
        as_csv(sink.getvalue(), 7_500_000)
