"""Teaches Schemathesis the files that the tiny models take; a schema cannot say it of bytes."""

import io
from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import schemathesis
from hypothesis import strategies as st
from pyarrow import csv, parquet

Rows = Sequence[tuple[object, ...]]

ROWS = st.lists(
    st.tuples(
        st.none() | st.floats(-1e300, 1e300),
        st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
        st.none() | st.booleans(),
        st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    ),
    min_size=1,
    max_size=5,
)
COLUMNS = {
    "carat weight": pa.float64(),
    "cut": pa.string(),
    "certified": pa.bool_(),
    "sold": pa.timestamp("us"),
}


def table(rows: Rows) -> pa.Table:
    """Make a table of rows."""
    columns = zip(*rows, strict=True)
    return pa.table(
        {
            name: pa.array(values, kind)
            for (name, kind), values in zip(COLUMNS.items(), columns, strict=True)
        }
    )


def as_csv(rows: Rows) -> bytes:
    """Write rows as CSV, with the columns of truths, which predictions ignore."""
    told = table(rows)
    for name, text in (("id", "some-request"), ("value", "low")):
        told = told.append_column(name, pa.array([text] * len(rows)))
    sink = io.BytesIO()
    csv.write_csv(told, sink)
    return sink.getvalue()


def as_parquet(rows: Rows) -> bytes:
    """Write rows as Parquet."""
    sink = io.BytesIO()
    parquet.write_table(table(rows), sink)
    return sink.getvalue()


schemathesis.openapi.media_type("text/csv", ROWS.map(as_csv))
schemathesis.openapi.media_type("application/vnd.apache.parquet", ROWS.map(as_parquet))
