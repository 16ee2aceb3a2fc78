"""What stands beside a prediction: the same names and values in every format, as over HTTP."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet as arrow_parquet

from app.errors import Problem
from app.model.manifest import Intervals, Level
from app.settings import Settings
from tests.app.batch.conftest import answers, records, score
from tests.app.conftest import publish, settings_in, write_model

ROWS = records(20)
CONTRIBUTIONS = [f"contribution:{name}" for name in ("carat weight", "cut", "certified", "sold")]
WIDTHS = Intervals(levels=(Level(coverage=0.9, measured=0.9, bound=2.5),), scales=(2.0,))
SETS = Intervals(levels=(Level(coverage=0.9, measured=0.9, bound=0.0),))


def published(folder: Path, **model: Any) -> Settings:
    settings = settings_in(folder)
    publish(write_model(folder / "model", **model), settings.model_cache, settings.lock_file)
    return settings


def scored(folder: Path, settings: Settings, rows: list[dict[str, Any]]) -> list[list[dict]]:
    """The rows of the output as CSV, as Parquet and as JSON lines."""
    table = pa.Table.from_pylist(rows, arrow_schema())
    arrow_csv.write_csv(table, folder / "in.csv")
    arrow_parquet.write_table(table, folder / "in.parquet")
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for kind in ("csv", "parquet", "jsonl"):
        result = score(
            folder / f"in.{kind}", folder / f"out.{kind}", settings, interval=0.9, explain=True
        )
        assert result.failures == []
    return [
        arrow_csv.read_csv(folder / "out.csv").to_pylist(),
        arrow_parquet.read_table(folder / "out.parquet").to_pylist(),
        [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()],
    ]


def arrow_schema() -> pa.Schema:
    kinds = {"carat weight": pa.float64(), "certified": pa.bool_()}
    return pa.schema([(name, kinds.get(name, pa.string())) for name in ROWS[0]])


def test_numbers_have_two_ends_and_contributions(tmp_path: Path) -> None:
    settings = published(tmp_path, intervals=WIDTHS, explained=True)
    for rows in scored(tmp_path, settings, ROWS):
        assert [*rows[0]][5:] == [
            "prediction",
            "prediction_lower",
            "prediction_upper",
            *CONTRIBUTIONS,
        ]
        expected = answers(ROWS)
        assert [row["prediction_lower"] + 5 for row in rows] == pytest.approx(expected)
        assert [row["prediction_upper"] - 5 for row in rows] == pytest.approx(expected)
        bases = [row["prediction"] - sum(row[name] for name in CONTRIBUTIONS) for row in rows]
        assert bases == pytest.approx([bases[0]] * len(rows))


def test_classes_have_a_set_which_tables_hold_as_text(tmp_path: Path) -> None:
    settings = published(tmp_path, task="classification", intervals=SETS, explained=True)
    for kind, rows in enumerate(scored(tmp_path, settings, ROWS)):
        assert [*rows[0]][5:] == ["prediction", "prediction_set", *CONTRIBUTIONS]
        sets = {
            json.dumps(row["prediction_set"]) if kind == 2 else row["prediction_set"]
            for row in rows
        }
        assert {text.replace(" ", "") for text in sets} == {'["low","middle","high"]'}


def test_no_rows_have_the_columns_all_the_same(tmp_path: Path) -> None:
    settings = published(tmp_path, task="classification", intervals=SETS, explained=True)
    scored(tmp_path, settings, [])
    schema = arrow_parquet.read_schema(tmp_path / "out.parquet")
    assert schema.names[5:] == ["prediction", "prediction_set", *CONTRIBUTIONS]
    assert schema.field("prediction_set").type == pa.string()


@pytest.mark.parametrize(
    ("option", "kind"), [({"interval": 0.8}, "no-intervals"), ({"explain": True}, "no-explan")]
)
def test_what_the_model_cannot_tell_is_refused_at_once(
    tmp_path: Path, option: dict[str, Any], kind: str
) -> None:
    settings = published(tmp_path)
    (tmp_path / "in.jsonl").write_text(json.dumps(ROWS[0]))
    with pytest.raises(Problem) as refused:
        score(tmp_path / "in.jsonl", tmp_path / "out.jsonl", settings, **option)
    assert refused.value.kind.startswith(kind)
