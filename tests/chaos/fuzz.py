"""Bodies of all formats drawn by Hypothesis, right and broken, against a running server.

The reference for right rows is their Arrow table and the tiny model's formula, computed here.
"""

import io
import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

from tests.app.conftest import CUT, FEATURES
from tests.app.processes import folder_with_model, started
from tests.chaos.counts import Count, Fault

CATEGORIES = FEATURES[1].categories
MOST_SECONDS = 5.0
CELLS = {
    "carat weight": st.none() | st.floats(-1e12, 1e12),
    "cut": st.none()
    | st.sampled_from([*CATEGORIES, "NA", ""])
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
    "certified": st.none() | st.booleans(),
    "sold": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
}
TYPES = {
    "carat weight": pa.float64(),
    "cut": pa.string(),
    "certified": pa.bool_(),
    "sold": pa.timestamp("us"),
}
ROWS = st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=8)
Rows = list[dict[str, Any]]


def right_rows(tries: int, folder: Path) -> Count:
    """Every good row gets the answer of the reference, in every format."""
    count = Count()
    with started(folder_with_model(folder), "app") as server:

        def check(rows: Rows, kind: str) -> None:
            content, media_type = FORMATS[kind](table(rows))
            reply, seconds = send(server.client, content, media_type)
            lost = reply is None or seconds > MOST_SECONDS
            expected = [answer(row, is_csv=kind == "CSV") for row in rows]
            wrong = reply is not None and not (
                reply.status_code == 200 and agree(reply.json()["predictions"], expected)
            )
            count.add(lost=lost, wrong=wrong)

        drawn(tries, check, st.tuples(ROWS, st.sampled_from([*FORMATS])))
    return count


def broken_bodies(tries: int, folder: Path) -> Count:
    """Bytes changed anywhere, or cut: an answer or a problem, soon, never 5xx."""
    count = Count()
    with started(folder_with_model(folder), "app") as server:

        def check(drawing: tuple[Rows, str, list[tuple[float, int]], float], _: str = "") -> None:
            rows, kind, changes, end = drawing
            content, media_type = FORMATS[kind](table(rows))
            broken = bytearray(content[: max(1, math.ceil(end * len(content)))])
            for place, byte in changes:
                broken[int(place * (len(broken) - 1))] = byte
            reply, seconds = send(server.client, bytes(broken), media_type)
            count.add(
                lost=reply is None or seconds > MOST_SECONDS,
                wrong=reply is not None and reply.status_code >= 500,
            )

        changes = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6)
        ends = st.just(1.0) | st.floats(0, 1)
        drawing = st.tuples(ROWS, st.sampled_from([*FORMATS]), changes, ends)
        drawn(tries, check, st.tuples(drawing, st.just("")))
    return count


def drawn(tries: int, check: Callable[[Any, Any], None], pairs: st.SearchStrategy[Any]) -> None:
    """Call `check` with so many drawings, the same ones each time."""

    @settings(
        max_examples=tries,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[*HealthCheck],
    )
    @given(pairs)
    def run(pair: tuple[Any, Any]) -> None:
        check(*pair)

    run()


def send(
    client: httpx.Client, content: bytes, media_type: str
) -> tuple[httpx.Response | None, float]:
    """Send a body; the reply, None where there was none, and how long that took."""
    begun = time.monotonic()
    try:
        reply = client.post("/invocations", content=content, headers={"Content-Type": media_type})
    except httpx.TransportError:
        return None, time.monotonic() - begun
    return reply, time.monotonic() - begun


def table(rows: Rows) -> pa.Table:
    """Rows as an Arrow table."""
    return pa.table(
        {name: pa.array([row[name] for row in rows], kind) for name, kind in TYPES.items()}
    )


def as_csv(rows: pa.Table) -> tuple[bytes, str]:
    csv.write_csv(rows, sink := io.BytesIO())
    return sink.getvalue(), "text/csv"


def as_parquet(rows: pa.Table) -> tuple[bytes, str]:
    parquet.write_table(rows, sink := io.BytesIO())
    return sink.getvalue(), "application/x-parquet"


def as_records(rows: pa.Table) -> tuple[bytes, str]:
    return json.dumps({"dataframe_records": _plain(rows)}).encode(), "application/json"


def as_split(rows: pa.Table) -> tuple[bytes, str]:
    data = [[*row.values()] for row in _plain(rows)]
    frame = {"columns": rows.column_names, "data": data}
    return json.dumps({"dataframe_split": frame}).encode(), "application/json"


def _plain(rows: pa.Table) -> list[dict[str, Any]]:
    return [
        {**row, "sold": row["sold"].isoformat() if row["sold"] else None}
        for row in rows.to_pylist()
    ]


def answer(row: dict[str, Any], *, is_csv: bool) -> float:
    """The reference; a CSV cell that is empty or "NA" is missing."""
    cut = row["cut"]
    if cut is None or (is_csv and cut in ("", "NA")):
        code = len(CATEGORIES) + 1
    else:
        code = CATEGORIES.index(cut) if cut in CATEGORIES else len(CATEGORIES)
    seconds = row["sold"].replace(tzinfo=UTC).timestamp() if row["sold"] else 0.0
    return float(
        100.0 * (row["carat weight"] or 0.0)
        + 10.0 * bool(row["certified"])
        + seconds / 86_400
        + CUT[code]
    )


def agree(answers: list[float], expected: list[float]) -> bool:
    """Whether the answers are the reference's, but for the order of additions."""
    return len(answers) == len(expected) and all(
        math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)
        for one, other in zip(answers, expected, strict=True)
    )


FORMATS: dict[str, Callable[[pa.Table], tuple[bytes, str]]] = {
    "CSV": as_csv,
    "Parquet": as_parquet,
    "records": as_records,
    "split": as_split,
}
FAULTS = (
    Fault("good rows drawn at random", right_rows, 100, 3_000),
    Fault("bodies with bytes changed or cut off", broken_bodies, 150, 6_000),
)
