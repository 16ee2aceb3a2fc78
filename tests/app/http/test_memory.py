"""The memory of a worker stays below its limit, whatever a body unpacks to."""

import io
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from pyarrow import parquet

from app.errors import Problem
from app.operations.budget import Budget
from tests.app.processes import Running, folder_with_model, started
from tests.app.waiting import wait_for

LIMIT = 450_000_000
HEADER = b"carat weight,cut,certified,sold\n"
ROW = b"1.5,Good,true,2020-01-01\n"
FITS, TOO_LARGE, REFUSED = {200}, {413}, {422}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = folder_with_model(tmp_path_factory.mktemp("memory"))
    with started(folder, "app", settings={"SERVE_MAX_MEMORY": str(LIMIT)}) as running:
        yield running


def peak(server: Running) -> int:
    """Most bytes that the server ever had in memory."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def distinct_texts(rows: int) -> bytes:
    return HEADER + b"".join(b",%x,,\n" % row for row in range(rows))


def wrong_dates(rows: int) -> bytes:
    return HEADER + b"".join(b",,,%x\n" % row for row in range(rows))


def wide(rows: int) -> bytes:
    names = b",".join(b"c%d" % column for column in range(3_000))
    return HEADER.strip() + b"," + names + b"\n" + (b"," * 3_003 + b"\n") * rows


def table(rows: int, text: str = "a" * 50) -> bytes:
    """A Parquet file of one row group, in which a few bytes stand for all rows."""
    columns = pa.table(
        {
            "carat weight": pa.array([1.0] * rows),
            "cut": pa.array([text] * rows),
            "certified": pa.array([True] * rows),
            "sold": pa.nulls(rows, pa.timestamp("s")),
        }
    )
    parquet.write_table(columns, sink := io.BytesIO(), row_group_size=rows, compression="zstd")
    return sink.getvalue()


def split(rows: bytes, columns: str = '["a"]') -> bytes:
    return b'{"dataframe_split":{"columns":%b,"data":[%b]}}' % (columns.encode(), rows)


def repeated(piece: bytes, size: int) -> bytes:
    return b",".join([piece] * (size // (len(piece) + 1)))


@pytest.mark.parametrize(
    ("body", "media_type", "accepts", "statuses"),
    [
        (HEADER + ROW * 100_000, "text/csv", "application/json", FITS),
        (HEADER + ROW * 100_000, "text/csv", "text/csv", FITS),
        (HEADER + b",,,\n" * 300_000, "text/csv", "text/csv", FITS),
        (HEADER + b",,,\n" * 5_000_000, "text/csv", "text/csv", TOO_LARGE),
        (distinct_texts(300_000), "text/csv", "application/json", FITS),
        (distinct_texts(3_000_000), "text/csv", "application/json", TOO_LARGE),
        (wrong_dates(300_000), "text/csv", "application/json", REFUSED),
        (wide(1_000), "text/csv", "text/csv", FITS),
        (wide(30_000), "text/csv", "text/csv", TOO_LARGE),
        (b'"carat weight"' + wide(1_000)[12:], "text/csv", "text/csv", FITS),
        (table(500_000), "application/x-parquet", "application/json", FITS),
        (table(3_000_000), "application/x-parquet", "application/json", TOO_LARGE),
        (table(400_000, "a" * 500), "application/x-parquet", "text/csv", TOO_LARGE),
        (split(repeated(b"[1]", 4_000_000)), "application/json", "*/*", REFUSED),
        (split(repeated(b"1", 4_000_000)), "application/json", "*/*", REFUSED),
        (split(b"NaN," + repeated(b"[]", 4_000_000)), "application/json", "*/*", REFUSED),
        (split(repeated(b"[1]", 8_000_000)), "application/json", "*/*", TOO_LARGE),
    ],
    ids=[
        *("csv", "csv to csv", "empty cells", "very many empty cells", "distinct", "very distinct"),
        *("wrong dates", "wide", "very wide", "wide and quoted"),
        *("parquet", "large parquet", "parquet of long texts"),
        *("split", "split of no rows", "split with NaN", "large split"),
    ],
)
def test_body_that_unpacks_to_much_fits_or_is_refused(
    server: Running, body: bytes, media_type: str, accepts: str, statuses: set[int]
) -> None:
    headers = {"Content-Type": media_type, "Accept": accepts}
    reply = server.client.post("/invocations", content=body, headers=headers, timeout=60)
    assert reply.status_code in statuses, reply.text[:500]
    if reply.status_code == 413:
        assert "SERVE_MAX_MEMORY" in reply.json()["detail"]
    assert peak(server) < LIMIT


def test_requests_that_do_not_fit_together_wait_outside(server: Running) -> None:
    body = HEADER + ROW * 150_000

    def send(_: int) -> httpx.Response:
        files = {"file": ("rows.csv", body)}
        return httpx.post(f"{server.client.base_url}/predict", files=files, timeout=60)

    with ThreadPoolExecutor(12) as pool:
        replies = [*pool.map(send, range(24))]
    assert {reply.status_code for reply in replies} <= {200, 503}
    assert any(reply.status_code == 200 for reply in replies)
    assert peak(server) < LIMIT
    wait_for(lambda: send(0).status_code == 200)  # all is given back


def test_replies_that_nobody_takes_count_as_well(server: Running) -> None:
    body = b"note," + HEADER + (b"x" * 200 + b",1.5,Good,true,2020-01-01\n") * 40_000
    head = (
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nAccept: text/csv\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    statuses = []
    with ExitStack() as stack:
        for _ in range(40):
            own = stack.enter_context(closing(socket.socket()))
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            own.settimeout(30)
            own.connect((server.client.base_url.host, server.client.base_url.port))
            with suppress(OSError):  # refused before all of it was sent
                own.sendall(head + body)
            statuses.append(own.recv(12)[-3:])
    assert set(statuses) == {b"200", b"503"}
    assert peak(server) < LIMIT
    small = json.dumps({"records": []})
    assert server.client.post("/predict/records", content=small).status_code == 422
    begun = time.monotonic()
    while server.client.post(
        "/invocations", content=HEADER + ROW * 10, headers={"Content-Type": "text/csv"}
    ).is_error:
        assert time.monotonic() - begun < 20


def test_claims_are_counted_together_and_given_back() -> None:
    budget = Budget(10**12)
    with pytest.raises(Problem) as refused:
        budget.claim().keep(10**12)
    assert refused.value.status == 413
    first, second = budget.claim(), budget.claim()
    first.keep(5 * 10**11)
    first.work(3 * 10**11)
    with pytest.raises(Problem) as refused:
        second.keep(3 * 10**11)
    assert refused.value.status == 503
    first.work(0)
    second.keep(3 * 10**11)
    first.release()
    first.release()
    second.work(6 * 10**11)
    second.release()
    budget.claim().keep(9 * 10**11)
