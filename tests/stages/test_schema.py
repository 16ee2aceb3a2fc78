from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from app.model.manifest import Feature
from stages.schema import (
    Schema,
    encode_target,
    model_frame,
    read_prepared,
    safe_names,
    write_prepared,
)

SCHEMA = Schema(
    task="classification",
    target="läbel",
    classes=("no", "yes"),
    features=(
        Feature(name="a b", kind="number"),
        Feature(name="text", kind="category", categories=("x", "y")),
        Feature(name="when?", kind="date"),
    ),
    strategy="random",
    data_md5="0.dir",
)


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "a b": [1.5, np.nan],
            "text": ["x", np.nan],
            "when?": pd.to_datetime(["2024-02-29", "NaT"]),
            "läbel": ["yes", "no"],
        },
        index=[7, 3],
    )


def test_a_prepared_table_comes_back_as_it_was(tmp_path: Path, frame: pd.DataFrame) -> None:
    write_prepared(tmp_path / "t.parquet", frame)
    pd.testing.assert_frame_equal(read_prepared(tmp_path / "t.parquet", SCHEMA), frame)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path, frame: pd.DataFrame) -> None:
    write_prepared(tmp_path / "one", frame)
    write_prepared(tmp_path / "two", frame.copy())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_schema_comes_back_as_it_was(tmp_path: Path) -> None:
    SCHEMA.write(tmp_path / "schema.json")
    assert Schema.read(tmp_path / "schema.json") == SCHEMA


@pytest.mark.parametrize(
    ("names", "safe"),
    [
        (["carat", "x_1"], ["carat", "x_1"]),
        (["a b", "a-b", "a_b"], ["c_a_b_0", "c_a_b_1", "a_b"]),
        (["größe", "{}", "1st"], ["c_gr_e_0", "c__0", "c_1st_0"]),
        (["a b", "c_a_b_0"], ["c_a_b_1", "c_a_b_0"]),
        (["sold", "sold_year", "solder"], ["sold", "c_sold_year_0", "solder"]),
    ],
)
def test_safe_names_are_unique_and_keep_what_is_safe(names: list[str], safe: list[str]) -> None:
    assert safe_names(names) == safe
    assert len(set(safe)) == len(names)


def test_the_estimator_sees_safe_names_and_class_indices(frame: pd.DataFrame) -> None:
    assert list(model_frame(frame, SCHEMA)) == ["c_a_b_0", "text", "c_when_0"]
    assert encode_target(frame, SCHEMA).tolist() == [1, 0]
