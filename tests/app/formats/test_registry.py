"""How files are recognised, and that every format can be packed without HTTP."""

import io
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from app.errors import Problem
from app.formats.registry import (
    CSV,
    FILES,
    FOREIGN,
    JSON,
    PARQUET,
    Format,
    Upload,
    as_csv,
    file_format,
    pack,
)
from app.model.model import Model
from app.settings import Limits
from tests.app.conftest import EXAMPLE, regression_answer, write_model

TABLE = pa.table({"id": ["a"], **{name: [value] for name, value in EXAMPLE.items()}})


def as_csv_file() -> bytes:
    sink = io.BytesIO()
    csv.write_csv(TABLE, sink)
    return sink.getvalue()


def as_parquet_file() -> bytes:
    sink = io.BytesIO()
    parquet.write_table(TABLE, sink)
    return sink.getvalue()


# Every format needs a line here: the example, written in it.
CONTENT = {
    CSV: as_csv_file(),
    PARQUET: as_parquet_file(),
    JSON: orjson.dumps({"records": TABLE.to_pylist()}),
}


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model.load(write_model(tmp_path / "model"))


@pytest.mark.parametrize("source", [*FILES, JSON], ids=lambda source: source.name)
def test_every_format_becomes_the_same_rows(source: Format, model: Model) -> None:
    rows, ignored = pack(source, CONTENT[source], model, Limits())
    assert ignored == ["id"]
    assert model.predict(rows).values.tolist() == [regression_answer(EXAMPLE)]


@pytest.mark.parametrize("source", FILES, ids=lambda source: source.name)
def test_every_file_becomes_csv(source: Format) -> None:
    text = as_csv(source, CONTENT[source], Limits(max_bytes=10_000))
    assert csv.read_csv(pa.py_buffer(text)).column_names == TABLE.column_names


@pytest.mark.parametrize("source", [*FILES, JSON], ids=lambda source: source.name)
def test_rows_beyond_the_limit_are_refused(source: Format, model: Model) -> None:
    with pytest.raises(Problem) as refused:
        pack(source, CONTENT[source], model, Limits(max_rows=0))
    assert refused.value.kind == "too-many-rows"


@pytest.mark.parametrize("source", FILES, ids=lambda source: source.name)
def test_every_file_is_recognised_by_type_and_name(source: Format) -> None:
    for media_type in source.media_types:
        assert file_format(Upload(b"x", "", media_type)) is source
    for suffix in source.suffixes:
        assert file_format(Upload(b"x", f"ROWS{suffix.upper()}")) is source


def test_no_two_formats_are_recognised_by_the_same() -> None:
    for marks in ("media_types", "suffixes"):
        listed = [mark for source in (*FILES, JSON) for mark in getattr(source, marks)]
        assert len(listed) == len(set(listed))


def test_first_bytes_say_more_than_name_and_type() -> None:
    assert file_format(Upload(CONTENT[PARQUET], "rows.csv", "text/csv")) is PARQUET


def test_what_is_not_recognised_is_csv() -> None:
    assert file_format(Upload(b"a,b\n", "rows", "application/octet-stream")) is CSV


@pytest.mark.parametrize("start", FOREIGN)
def test_foreign_formats_are_refused_whatever_their_name(start: bytes) -> None:
    with pytest.raises(Problem) as refused:
        file_format(Upload(start + b"x" * 20, "rows.parquet"))
    assert (refused.value.kind, refused.value.status) == ("foreign-format", 415)
