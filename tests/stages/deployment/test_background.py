"""The rows against which answers are explained, and whose they are."""

import numpy as np
import pandas as pd
import pytest

from app.model.manifest import Feature
from stages.deployment.background import ROWS, ROWS_PER_MEDIAN, Background, background
from stages.schema import Schema

SCHEMA = Schema(
    task="regression",
    target="y",
    features=(
        Feature(name="size", kind="number"),
        Feature(name="new", kind="boolean"),
        Feature(name="town", kind="category", categories=("Bonn", "Ulm")),
        Feature(name="sold", kind="date"),
    ),
    strategy="random",
    data_md5="0.dir",
)


def table(rows: int) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": draw.normal(size=rows),
            "new": draw.integers(0, 2, rows).astype(float),
            "town": draw.choice(["Bonn", "Ulm"], rows).astype(object),
            "sold": pd.Timestamp("2020-01-01") + pd.to_timedelta(draw.integers(0, 900, rows), "D"),
            "y": draw.normal(size=rows),
        }
    )
    frame.loc[::3, "size"] = np.nan
    frame.loc[::5, "town"] = np.nan
    return frame


KINDS: tuple[Background, ...] = ("medians", "columns", "rows")


@pytest.mark.parametrize("kind", KINDS)
def test_it_has_the_features_with_their_types(kind: Background) -> None:
    rows = background(table(2_000), SCHEMA, kind, seed=1)
    assert len(rows) == ROWS
    assert rows.dtypes.to_dict() == table(10)[SCHEMA.names].dtypes.to_dict()
    assert set(rows["new"]) <= {0.0, 1.0}
    assert set(rows["town"].dropna()) <= {"Bonn", "Ulm"}
    again = background(table(2_000), SCHEMA, kind, seed=1)
    pd.testing.assert_frame_equal(rows, again)


@pytest.mark.parametrize(("kind", "real"), [("medians", False), ("columns", False), ("rows", True)])
def test_only_rows_are_rows_of_the_table(kind: Background, real: bool) -> None:
    frame = table(2_000)
    rows = background(frame, SCHEMA, kind, seed=1).dropna()
    known = set(frame[SCHEMA.names].itertuples(index=False, name=None))
    shared = sum(row in known for row in rows.itertuples(index=False, name=None))
    assert shared == (len(rows) if real else 0)
    assert len(rows) > 10


@pytest.mark.parametrize("rows", [3, 57, 400])
def test_a_median_stands_for_ten_rows_at_least(rows: int) -> None:
    assert len(background(table(rows), SCHEMA, "medians", seed=1)) == max(
        1, rows // ROWS_PER_MEDIAN
    )


def test_medians_follow_the_table() -> None:
    frame = table(3_000)
    frame["size"] = np.arange(3_000.0)
    sizes = np.sort(background(frame, SCHEMA, "medians", seed=1)["size"])
    assert sizes[0] < 500
    assert sizes[-1] > 2_500
    assert sizes.mean() == pytest.approx(1_500, rel=0.05)
