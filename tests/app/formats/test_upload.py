"""Files as people send them: what is taken, and how each fault is named."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from app.formats.parquet import read_parquet
from app.model.manifest import Manifest
from app.settings import Settings
from tests.app.conftest import CUT, EXAMPLE, regression_answer, write_model

HEADER = b"carat weight,cut,certified,sold\n"
GOOD = b"1.5,Good,true,2020-01-01\n"
ANSWER = regression_answer(EXAMPLE)


def post(client: httpx.Client, content: bytes, name: str = "rows.csv") -> httpx.Response:
    return client.post("/predict", files={"file": (name, content)})


@pytest.mark.parametrize(
    ("content", "answers"),
    [
        (HEADER + GOOD, [ANSWER]),
        (b"\xef\xbb\xbf" + HEADER + GOOD, [ANSWER]),
        ((HEADER + GOOD).replace(b"\n", b"\r\n"), [ANSWER]),
        ((HEADER + GOOD).replace(b"\n", b"\r"), [ANSWER]),
        ((HEADER + GOOD).rstrip(), [ANSWER]),
        (b"\n" + HEADER + b"\n" + GOOD + b"\n\n" + GOOD, [ANSWER, ANSWER]),
        (b'"carat weight","cut","certified","sold"\n"1.5","Good","true","2020-01-01"\n', [ANSWER]),
        (HEADER + b'0,"two\nlines, one cell",false,\n', [CUT[3]]),
        (HEADER + b'0,"say ""hi""",0,\n', [CUT[3]]),
        (HEADER + b'0,5" pipe,0,\n', [CUT[3]]),
        (HEADER + b",,,\n", [CUT[4]]),
        (HEADER + b"NA,NA,NA,NA\n", [CUT[4]]),
        (HEADER + b' +1.5e0 ,Good,TRUE,"2020-01-01T01:00:00+01:00"\n', [ANSWER]),
        (HEADER + b".5,Good,1.0,\n", [50.0 + 10.0 + CUT[1]]),
        (HEADER + b"0,Fair,0,1970-01-02 12:00\n0,Fair,0,1970-01-02T12:00:00.5Z\n",
         [CUT[0] + 1.5, CUT[0] + 1.5 + 0.5 / 86_400]),
        (b"sold,certified,cut,carat weight\n2020-01-01,true,Good,1.5\n", [ANSWER]),
    ],
)  # fmt: skip
def test_csv_is_read(client: httpx.Client, content: bytes, answers: list[float]) -> None:
    reply = post(client, content)
    assert reply.status_code == 200, reply.text
    np.testing.assert_allclose(reply.json()["predictions"], answers, rtol=1e-14)
    assert "x-ignored-columns" not in reply.headers


def test_other_columns_are_ignored_and_named(client: httpx.Client) -> None:
    content = (
        b'price,carat weight,cut,certified,sold,"id, \xc3\xa4"\n9,1.5,Good,true,2020-01-01,7\n'
    )
    reply = post(client, content)
    assert reply.json()["predictions"] == [ANSWER]
    assert reply.headers["x-ignored-columns"] == "price, id%2C%20%C3%A4"


FAULTS: list[tuple[bytes, int, str, list[dict[str, Any]]]] = [
    (b"", 422, "The file is empty", []),
    (b"\n\n", 422, "The file is empty", []),
    (HEADER, 422, "not one row", []),
    (
        HEADER.replace(b",", b";") + GOOD.replace(b",", b";"),
        422,
        "separated by semicolons",
        [{"column": name, "detail": "is missing"} for name in EXAMPLE],
    ),
    ((HEADER + GOOD).replace(b",", b"\t"), 422, "separated by tabs", []),
    (HEADER + GOOD + b"1,caf\xe9,1,\n", 422, "line 3", []),
    (HEADER.replace(b"cut", b"cut\xe9") + GOOD, 422, "the header line", []),
    ((HEADER + GOOD).decode().encode("utf-16"), 415, "UTF-16", []),
    (
        HEADER.replace(b"cut", b"sold") + GOOD,
        422,
        "more than once",
        [{"column": "sold", "detail": "appears more than once"}],
    ),
    (
        b"carat weight,color\n1,E\n",
        422,
        "'cut', 'certified', 'sold'",
        [{"column": name, "detail": "is missing"} for name in ("cut", "certified", "sold")],
    ),
    (
        HEADER + GOOD + b"many,Good,true,\n,,maybe,2020-02-30\n",
        422,
        "Row 2, column 'carat weight': 'many' is not a finite number",
        [
            {
                "row": 2,
                "column": "carat weight",
                "detail": "'many' is not a finite number",
            },
            {
                "row": 3,
                "column": "certified",
                "detail": "'maybe' is not a boolean; write true, false, 1 or 0",
            },
            {
                "row": 3,
                "column": "sold",
                "detail": "'2020-02-30' is not a date: day is out of range for month",
            },
        ],
    ),
    (HEADER + b"NaN,Good,true,\n", 422, "'NaN' is not a finite number", []),
    (HEADER + b"Infinity,Good,true,\n", 422, "'Infinity' is not a finite number", []),
    (HEADER + b"-inf,Good,true,\n", 422, "'-inf' is not a finite number", []),
    (HEADER + b"1e400,Good,true,\n", 422, "'1e400' is not a finite number", []),
    (HEADER + b'"1,000",Good,true,\n', 422, "'1,000' is not a finite number", []),
    (HEADER + b"0x10,Good,true,\n", 422, "'0x10' is not a finite number", []),
    (HEADER + b"1,Good,true,31.12.2020\n", 422, "'31.12.2020' is not a date", []),
    (
        HEADER + GOOD + b"1,2\n" + GOOD + b"1,2,3,4,5\n",
        422,
        "Row 2 has 2 cells, the header has 4",
        [
            {"row": 2, "detail": "has 2 cells, the header has 4"},
            {"row": 4, "detail": "has 5 cells, the header has 4"},
        ],
    ),
    (HEADER + b'1,"never closed,true,\n' + GOOD, 422, "quotes are wrong", []),
    (HEADER + b"1," + b"x" * 2 * 1024**2 + b",1,\n", 413, "larger than", []),
    (b",".join(b"c%d" % i for i in range(10_000)) + b"\n", 422, "10000 columns", []),
    (HEADER + GOOD * 5_001, 413, "5001 rows", []),
    (b"\x1f\x8b\x08\x00" + b"\x00" * 20, 415, "gzip", []),
    (b"PK\x03\x04" + b"\x00" * 20, 415, "ZIP", []),
    (b"PAR1 and no more", 422, "Parquet", []),
    (b"\x00" * 100, 422, "missing", []),
    (b"\x89PNG\r\n\x1a\n", 422, "UTF-8", []),
]


@pytest.mark.parametrize(("content", "status", "message", "errors"), FAULTS)
def test_fault_is_named(
    client: httpx.Client, content: bytes, status: int, message: str, errors: list[dict[str, Any]]
) -> None:
    reply = post(client, content)
    problem = reply.json()
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert message in problem["detail"]
    assert problem["status"] == status
    if errors:
        assert problem["errors"] == errors


def test_faults_are_named_up_to_a_limit(client: httpx.Client) -> None:
    problem = post(client, HEADER + GOOD + b"x,y,z,w\n" * 100).json()
    assert [error["row"] for error in problem["errors"]] == sorted([2, 3, 4, 5, 6, 7] * 3 + [8, 8])


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
        ("carat_weight", pa.array([True, None]), "holds bool, which is no number"),
        ("carat_weight", pa.array([np.inf, None]), "Row 1, column 'carat weight': inf"),
        ("carat_weight", pa.array([None, "x"]), "Row 2, column 'carat weight': 'x'"),
        ("certified", pa.array([0, 2]), "Row 2, column 'certified': 2 is neither 0 nor 1"),
        ("sold", pa.array([1, 2]), "holds int64, which is no date"),
        ("cut", pa.array([["Good"], None]), "which is no category"),
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


def test_file_name_is_only_a_name(client: httpx.Client) -> None:
    reply = post(client, HEADER + GOOD, "../../etc/passwd.csv")
    assert reply.json()["predictions"] == [ANSWER]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_texts_of_parquet_stay_encoded(
    kind: pa.DataType, settings: Settings, tmp_path: Path
) -> None:
    texts = pa.array(["x" * 10_000] * 500, kind)
    columns = {name: [value] * 500 for name, value in EXAMPLE.items()}
    parquet.write_table(pa.table({**columns, "cut": texts}), sink := io.BytesIO())
    manifest = Manifest.read(write_model(tmp_path / "other"))
    rows, _ = read_parquet(sink.getvalue(), manifest, settings)
    assert rows.nbytes < 200_000
