"""The batch and what it is compared with are run, and their figures belong together."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from app.model.runtime import open_graph
from benchmarks.batch import __main__ as program
from benchmarks.batch import limit, tables
from benchmarks.batch.process import run
from benchmarks.workspace import Workspace


def test_all_figures_are_there(
    table_and_model: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--rows=500", "--large=1000", "--rounds=1", "--only=csv"]
    monkeypatch.setattr("sys.argv", ["batch", f"--root={table_and_model.root}", *arguments])
    program.main()
    measured = json.loads(capsys.readouterr().out)["csv"]
    assert all(value > 0 for value in measured.values())
    assert measured["peak_mb"] > 50
    assert measured["rate_per_limit"] == pytest.approx(
        measured["large_rows_s"] / measured["limit_rows_s"]
    )


def test_both_formats_hold_the_same_rows(table_and_model: Workspace, tmp_path: Path) -> None:
    text = csv.read_csv(tables.write(table_and_model, 700, tmp_path / "table.csv"))
    table = parquet.read_table(tables.write(table_and_model, 700, tmp_path / "table.parquet"))
    assert text.column_names == table_and_model.table.columns.tolist()
    assert table["carat weight"].to_pylist() == text["carat weight"].to_pylist()
    assert len(table["carat weight"].unique()) > len(table_and_model.table)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_limit_runs_the_graph_on_every_row(
    table_and_model: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    file = tables.write(table_and_model, 700, tmp_path / f"table.{kind}")
    monkeypatch.setattr(limit, "ROWS", 300)
    rows: list[int] = []

    def counting(content: bytes) -> object:
        runtime = open_graph(content)

        class Counted:
            @staticmethod
            def run(inputs: dict[str, pa.Array]) -> object:
                rows.append(len(inputs["numeric"]))
                return runtime.run(inputs)

        return Counted

    monkeypatch.setattr(limit, "open_graph", counting)
    seconds = limit.measure(table_and_model.serving, file)
    assert sorted(rows) == [100, 300, 300, 300, 300]  # with a warm-up of two pieces
    assert seconds["wall"] > 0


def test_the_peak_is_the_commands_own(tmp_path: Path) -> None:
    large = bytearray(200_000_000)  # this process's
    small = run(["python3", "-c", "import time; time.sleep(0.3)"], tmp_path)
    assert 1 < small.peak_mb < 100 < len(large) / 1e6
    much = run(["python3", "-c", "import time; b'x' * 150_000_000; time.sleep(0.3)"], tmp_path)
    assert 150 < much.peak_mb < 300


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        run(["python3", "-c", "raise SystemExit('no such thing')"], tmp_path)
