from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet as arrow_parquet

from app.batch.formats import parquet
from app.settings import Settings
from tests.app.batch.conftest import answers, csv_text, records, score


@pytest.mark.parametrize("rows_per_group", [1_000_000, 30])
def test_row_groups_of_any_size_come_back_with_predictions(
    tmp_path: Path, published: Settings, monkeypatch: pytest.MonkeyPatch, rows_per_group: int
) -> None:
    monkeypatch.setattr(parquet, "ROWS", 64)
    rows = records(1_000)
    table = pa.Table.from_pylist(rows)
    arrow_parquet.write_table(table, tmp_path / "in.parquet", row_group_size=rows_per_group)
    score(tmp_path / "in.parquet", tmp_path / "out.parquet", published)
    found = arrow_parquet.read_table(tmp_path / "out.parquet")
    assert found.select(table.schema.names).equals(table)
    assert found.column("prediction").to_pylist() == pytest.approx(answers(rows), rel=1e-15)


def test_rows_that_do_not_fit_are_named_by_their_number(
    tmp_path: Path, published: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROWS", 10)
    rows = records(40)
    rows[3]["carat weight"] = rows[25]["carat weight"] = float("inf")
    rows[25]["sold"] = "someday"
    arrow_parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    result = score(tmp_path / "in.parquet", tmp_path / "out.parquet", published, keep=("id",))
    kept = arrow_parquet.read_table(tmp_path / "out.parquet").column("id").to_pylist()
    assert kept == [row["id"] for row in rows if row not in (rows[3], rows[25])]
    side = arrow_csv.read_csv(tmp_path / "out.parquet.rejected.csv").to_pylist()
    assert [(one["line"], one["column"]) for one in side] == [
        (4, "carat weight"),
        (26, "carat weight"),
        (26, "sold"),
    ]
    assert result.rejected == 2


def test_a_type_that_cannot_be_read_fails_the_file(tmp_path: Path, published: Settings) -> None:
    table = pa.Table.from_pylist(records(3)).drop_columns("sold")
    table = table.append_column("sold", pa.array([[1]] * 3))
    arrow_parquet.write_table(table, tmp_path / "in.parquet")
    result = score(tmp_path / "in.parquet", tmp_path / "out.parquet", published)
    (failure,) = result.failures
    assert "Column 'sold' has type list<" in failure
    assert not list(tmp_path.glob("*out*"))


def test_no_parquet_behind_the_name(tmp_path: Path, published: Settings) -> None:
    (tmp_path / "in.parquet").write_bytes(b"PAR1 and nothing else")
    (failure,) = score(tmp_path / "in.parquet", tmp_path / "out.parquet", published).failures
    assert "The file cannot be read as Parquet" in failure


def test_no_rows(tmp_path: Path, published: Settings) -> None:
    arrow_parquet.write_table(pa.Table.from_pylist(records(2)).slice(0, 0), tmp_path / "in.parquet")
    score(tmp_path / "in.parquet", tmp_path / "out.parquet", published)
    assert arrow_parquet.read_table(tmp_path / "out.parquet").num_rows == 0


def test_tables_convert_into_each_other(tmp_path: Path, published: Settings) -> None:
    (tmp_path / "in.csv").write_text(csv_text(records(50)))
    score(tmp_path / "in.csv", tmp_path / "out.csv", published)
    score(tmp_path / "in.csv", tmp_path / "out.parquet", published)
    score(tmp_path / "out.parquet", tmp_path / "again.csv", published)
    score(tmp_path / "out.parquet", tmp_path / "again.jsonl", published)
    once = arrow_csv.read_csv(tmp_path / "out.csv")
    again = arrow_csv.read_csv(tmp_path / "again.csv")
    assert again.column("prediction_").equals(again.column("prediction"))
    assert again.drop_columns("prediction_").equals(once)
    assert (tmp_path / "again.jsonl").read_bytes().count(b"\n") == 50
