"""Parquet: what is taken, how each fault is named, and its rows as CSV."""

import csv
import io
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from app.errors import Problem
from app.formats import csv as csv_format
from app.formats.parquet import as_csv, pack, read
from app.formats.parquet_pages import PageError, sizes
from app.model.manifest import Manifest
from app.model.model import Extras, Model
from app.settings import Limits, Settings
from tests.app.conftest import CUT, EXAMPLE, regression_answer, write_model

ANSWER = regression_answer(EXAMPLE)
# For as long as the process: Arrow's threads may give back to it after a test has ended
COUNTED = pa.proxy_memory_pool(pa.default_memory_pool())


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


@pytest.mark.parametrize(
    "type_",
    [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(10), pa.list_(pa.binary()),
     pa.dictionary(pa.int32(), pa.binary())],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("column", ["carat_weight", "cut", "certified", "sold"])
def test_bytes_are_refused_before_they_are_read(
    client: httpx.Client, column: str, type_: pa.DataType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kilobyte that stands for gigabytes must not be unpacked to learn that it is no number."""
    monkeypatch.setattr(parquet.ParquetFile, "read", pytest.fail)
    plain = pa.array([b"0123456789", None], pa.binary())
    values = pa.array([[b"0"], None], type_) if pa.types.is_list(type_) else plain.cast(type_)
    answer = post(client, table(**{column: values}))
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["column"] == column.replace("_", " ")
    assert answer.json()["type"] == "urn:problem:invalid-type"


@pytest.mark.parametrize("column", ["carat weight", "cut", "certified", "sold"])
def test_long_texts_are_never_written_out(
    column: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a column is to be: 5,000 rows of 10 kB each, in a file of a few kilobytes."""
    columns = {name: [value] * 5_000 for name, value in EXAMPLE.items()}
    columns[column] = ["1" * 10_000] * 5_000
    parquet.write_table(pa.table(columns), sink := io.BytesIO())
    model = Model.load(write_model(tmp_path / "other"))
    before = pa.default_memory_pool()
    pa.set_memory_pool(COUNTED)
    try:
        if column == "cut":
            pack(sink.getvalue(), model, settings.limits)
        else:
            with pytest.raises(Problem):
                pack(sink.getvalue(), model, settings.limits)
    finally:
        pa.set_memory_pool(before)
    assert COUNTED.max_memory() < 5_000_000


def test_pages_are_counted_not_what_the_footer_says(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """300,000 bytes is this server's limit; each page of one value is larger than that."""
    content = table(cut=pa.array(["x" * 400_000, "Good"]))
    assert len(content) < 100_000
    monkeypatch.setattr(parquet.ParquetFile, "read", pytest.fail)
    reply = post(client, content)
    assert reply.status_code == 413
    assert "unpacks to 4" in reply.json()["detail"]


def test_number_stored_in_long_bytes_is_refused(client: httpx.Client) -> None:
    """Arrow writes such a column out, each value as long as the footer says."""
    numbers = pa.array([1, 2]).cast(pa.decimal128(38))
    content = table(carat_weight=numbers)
    stored, altered = b"\x15\x0e\x15\x20", b"\x15\x0e\x15\x7e"  # 16 and 63 bytes
    assert content.count(stored) == 1
    assert post(client, content).json()["predictions"][0] == ANSWER - 50
    reply = post(client, content.replace(stored, altered))
    assert reply.status_code == 422
    assert "as no writer does" in reply.json()["detail"]


def flipped(seed: int) -> bytes:
    """One of three files, with one to three of its bits changed."""
    chance = random.Random(seed)
    rows = 200
    source = pa.table(
        {
            "carat weight": [i / 2 for i in range(rows)],
            "cut": [("Fair", "Good", None)[i % 3] for i in range(rows)],
            "certified": [i % 2 == 0 for i in range(rows)],
            "sold": [f"2020-01-{1 + i % 28:02d}" for i in range(rows)],
            "id": [f"row {i}" for i in range(rows)],
        }
    )
    options: list[dict[str, Any]] = [
        {},
        {"compression": "none", "data_page_size": 200, "row_group_size": 50},
        {
            "data_page_version": "2.0",
            "compression": "zstd",
            "use_dictionary": False,
            "column_encoding": {
                "id": "DELTA_BYTE_ARRAY",
                "sold": "DELTA_LENGTH_BYTE_ARRAY",
                "carat weight": "BYTE_STREAM_SPLIT",
            },
        },
    ]
    parquet.write_table(source, sink := io.BytesIO(), **options[seed % 3])
    content = bytearray(sink.getvalue())
    for _ in range(chance.choice((1, 1, 3))):
        bit = chance.randrange(8 * len(content))
        content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def test_bit_flips_are_read_or_refused(settings: Settings, tmp_path: Path) -> None:
    """As JSON and as CSV; some of these files once ended the process, others were a 500."""
    model = Model.load(write_model(tmp_path / "other"))
    outcomes: Counter[str] = Counter()
    for seed in range(600):
        content = flipped(seed)
        try:
            rows, _ = pack(content, model, settings.limits)
            table = as_csv(content, settings.limits)
            csv_format.reply(table, model.predict(rows), model.interface, Extras())
            outcomes["answered"] += 1
        except Problem as problem:
            outcomes[f"refused {problem.status}"] += 1
    assert set(outcomes) <= {"answered", "refused 413", "refused 422"}
    assert min(outcomes["answered"], outcomes["refused 422"]) > 100


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PAR1" + bytes(9 * 1024**2) + (9 * 1024**2).to_bytes(4, "little") + b"PAR1", "footer"),
        # a list of a million row groups, each an empty structure of one byte
        (b"PAR1" + b"\x49\xfc\xc0\x84\x3d" + bytes(10**6) + (10**6 + 5).to_bytes(4, "little")
         + b"PAR1", "too many parts"),
        # structures within structures
        (b"PAR1" + b"\x1c" * 1_000 + (1_000).to_bytes(4, "little") + b"PAR1", "too many parts"),
        (b"PAR1\x49" + b"\x19" * 999 + (1_000).to_bytes(4, "little") + b"PAR1", "too many parts"),
        (b"PAR1" + b"\x48" * 1_000 + (1_000).to_bytes(4, "little") + b"PAR1", "cannot be read"),
        (b"PAR1" + (1_000).to_bytes(4, "little") + b"PAR1", "cut off"),
    ],
)  # fmt: skip
def test_footer_that_is_a_trap_is_refused_unread(
    content: bytes, message: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ParquetFile", pytest.fail)
    model = Model.load(write_model(settings.model_cache / "other"))
    with pytest.raises(Problem, match=message):
        pack(content, model, settings.limits)


def columns_over_one_page(columns: int, page: bytes, pages: int = 1) -> bytes:
    """A file of one row whose columns, all of one name, lie over the same pages of no content."""
    size = zigzag(len(page) * pages)
    metadata = b"\x39\x18\x03cut" + b"\x46" + size + b"\x26" + zigzag(4) + b"\0"
    group = b"\x19\xfc" + varint(columns) + (b"\x3c" + metadata + b"\0") * columns + b"\0"
    footer = b"\x36\x02\x19\x1c" + group + b"\0"
    return b"PAR1" + page * pages + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def page_with(unknown: bytes) -> bytes:
    """The header of an empty page, with a field that nobody reads."""
    return b"\x15\0\x15\0\x15\0" + unknown + b"\0"


def varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def zigzag(number: int) -> bytes:
    return varint(2 * number)


MANY_PARTS = b"\x69\xf2" + varint(300_000) + b"\1" * 300_000
LONG_TEXT = b"\x68" + varint(300_000) + b"x" * 300_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (columns_over_one_page(2, page_with(LONG_TEXT)), "lie over one another"),
        (columns_over_one_page(2, page_with(MANY_PARTS)), "lie over one another"),
        (columns_over_one_page(1, page_with(MANY_PARTS), 2), "too many parts"),
    ],
)
def test_headers_of_pages_are_not_read_again_and_again(content: bytes, message: str) -> None:
    """A file of 400 kB kept a thread busy for hours."""
    with pytest.raises(PageError, match=message):
        sizes(content, ["cut"])


def test_pages_without_content_are_read() -> None:
    told = sizes(columns_over_one_page(1, page_with(LONG_TEXT), 3), ["cut"])
    assert (told.rows, told.unpacked) == (1, 0)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_size_of_a_page_that_repeats_itself_is_told(version: str) -> None:
    """In this encoding each value repeats the start of the one before."""
    parquet.write_table(
        pa.table({"a": ["x" * 1_000] * 500, "b": ["y"] * 500}),
        sink := io.BytesIO(),
        use_dictionary=False,
        column_encoding={"a": "DELTA_BYTE_ARRAY"},
        data_page_version=version,
    )
    told = sizes(sink.getvalue(), ["a"])
    assert told.rows == 500
    assert told.unpacked < 3_000
    assert told.longest >= 500_000


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
        as_csv(sink.getvalue(), Limits(max_bytes=250_000))
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
        as_csv(sink.getvalue(), Limits(max_bytes=7_500_000))
