"""JSON values to packed rows: what is taken, and how each fault is named."""

from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from app.errors import Problem
from app.model.manifest import Feature
from app.model.packing import pack
from app.model.records import RecordPacker
from stages.preparation.table import dates
from tests.app.conftest import CUT, EXAMPLE, regression_answer

ANSWER = regression_answer(EXAMPLE)
MISSING: dict[str, Any] = dict.fromkeys(EXAMPLE)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({}, ANSWER),
        ({"carat weight": 2}, ANSWER + 50),
        ({"carat weight": None}, ANSWER - 150),
        ({"cut": "never seen"}, ANSWER - CUT[1] + CUT[3]),
        ({"cut": ""}, ANSWER - CUT[1] + CUT[3]),
        ({"cut": 7}, ANSWER - CUT[1] + CUT[3]),
        ({"cut": False}, ANSWER - CUT[1] + CUT[3]),
        ({"cut": None}, ANSWER - CUT[1] + CUT[4]),
        ({"certified": False}, ANSWER - 10),
        ({"certified": 1}, ANSWER),
        ({"certified": None}, ANSWER - 10),
        ({"sold": "2020-01-02T06:00:00"}, ANSWER + 1.25),
        ({"sold": "2020-01-02T06:00+06:00"}, ANSWER + 1),
        ({"sold": None}, ANSWER - 18_262),
        ({"price": 1}, ANSWER),
    ],
)
def test_record_is_answered(client: httpx.Client, change: dict[str, Any], answer: float) -> None:
    reply = client.post("/predict/records", json={"records": [MISSING, {**EXAMPLE, **change}]})
    assert reply.status_code == 200, reply.text
    np.testing.assert_allclose(reply.json()["predictions"], [CUT[4], answer], rtol=1e-14)
    assert reply.headers.get("x-ignored-columns") == ("price" if "price" in change else None)


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"carat weight": "1.5"}, "'1.5' is not a number; give a finite JSON number, or null"),
        ({"carat weight": True}, "True is not a number; give a finite JSON number, or null"),
        ({"certified": "true"}, "'true' is not a boolean; give true, false, or null"),
        ({"certified": 2}, "2 is not a boolean; give true, false, or null"),
        ({"cut": ["Good"]}, "['Good'] is not a category; give a text, or null"),
        ({"sold": "2021-02-29"}, "'2021-02-29' is not a date: day is out of range for month"),
        (
            {"sold": "20200101"},
            "'20200101' is not a date; give ISO 8601 such as 2024-01-31 or "
            "2024-01-31T12:00:00Z, or null",
        ),
    ],
)
def test_value_that_does_not_fit_is_named(
    client: httpx.Client, change: dict[str, Any], detail: str
) -> None:
    reply = client.post("/predict/records", json={"records": [EXAMPLE, {**EXAMPLE, **change}]})
    (column,) = change
    assert reply.status_code == 422
    assert reply.json()["errors"] == [{"row": 2, "column": column, "detail": detail}]
    assert reply.json()["detail"] == f"Row 2, column '{column}': {detail}."


DATES = [
    day + time + zone
    for day in ("2024-02-29", "1969-12-31")
    for time in ("T10", " 10:30", "T23:59:59", "T23:59:59.5", "T23:59:59.9999999",
                 "T23:59:59.999999999")
    for zone in ("", "Z", "+02:00", "+0200", "-05")
]  # fmt: skip


@pytest.mark.parametrize("text", ["2024-02-29", *DATES])
def test_date_is_the_moment_that_training_reads(text: str) -> None:
    (moment,) = dates(pd.Series([text]))
    feature = Feature(name="sold", kind="date")
    packed = RecordPacker([feature]).pack([{"sold": text}])
    assert packed.numeric.item() == moment.value // 1000 / 1e6
    for values in (pa.array([text]), pa.array([moment.value]).cast(pa.timestamp("ns", "UTC"))):
        column = pa.table({"sold": values})
        assert pack(column, [feature]).numeric.item() == packed.numeric.item()


@pytest.mark.parametrize(
    "text", ["2024-01-31Z", "2024-01-31T10:00+02:60", "2024-01-31T10:00+25:00", "2024-01-31T24:00"]
)
def test_date_that_training_refuses_is_refused(text: str) -> None:
    assert dates(pd.Series([text])).isna().all()
    feature = Feature(name="sold", kind="date")
    with pytest.raises(Problem, match="is not a date"):
        RecordPacker([feature]).pack([{"sold": text}])
    with pytest.raises(Problem, match="is not a date"):
        pack(pa.table({"sold": [text]}), [feature])


def test_missing_columns_and_rows_that_are_none_are_named(client: httpx.Client) -> None:
    records = [{key: value for key, value in EXAMPLE.items() if key != "cut"}, 5, None]
    reply = client.post("/predict/records", json={"records": records})
    assert reply.json()["errors"] == [
        {
            "row": 1,
            "column": "cut",
            "detail": "is missing; give a value, or null where there is none",
        },
        {"row": 2, "detail": "5 is not an object"},
        {"row": 3, "detail": "None is not an object"},
    ]


def test_many_records_keep_their_order_and_row_numbers(client: httpx.Client) -> None:
    records = [{**MISSING, "carat weight": i} for i in range(2_500)]
    reply = client.post("/predict/records", json={"records": records})
    assert reply.json()["predictions"] == [100.0 * i + CUT[4] for i in range(2_500)]
    records[2_400]["carat weight"] = "x"
    reply = client.post("/predict/records", json={"records": records})
    assert [error["row"] for error in reply.json()["errors"]] == [2_401]
