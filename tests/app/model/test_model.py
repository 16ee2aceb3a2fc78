from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from app.model.manifest import Manifest
from app.model.model import ROWS_ALONE, ROWS_PER_CALL, Model, ModelError
from tests.app.conftest import CUT, EXAMPLE, SECONDS, regression_answer, write_model

TABLE = pa.table(
    {
        "ignored": pa.array([1, 2, 3]),
        "sold": pa.array([datetime(2020, 1, 1), None, None], pa.timestamp("ns")),
        "certified": pa.array([True, None, False]),
        "cut": pa.array(["Good", "Odd", None]),
        "carat weight": pa.array([1.5, None, np.nan]),
    }
)


def test_table_is_answered_in_row_order(regression: Path) -> None:
    prediction = Model.load(regression).predict_table(TABLE)
    np.testing.assert_allclose(prediction.values, [regression_answer(EXAMPLE), CUT[3], CUT[4]])
    assert prediction.probabilities is None


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("cut", pa.array(["Good", "Odd", None]).dictionary_encode()),
        ("cut", pa.chunked_array([["Good"], ["Odd", None]]).dictionary_encode()),
        ("cut", pa.array(["Good", "Odd", None], pa.large_string())),
        ("certified", pa.array([1, None, 0], pa.int8())),
        ("certified", pa.array([1.0, np.nan, 0.0])),
        ("sold", pa.array([SECONDS, None, None], pa.timestamp("s"))),
        ("sold", pa.array([datetime(2020, 1, 1, tzinfo=UTC), None, None])),
        ("sold", pa.array([datetime(2020, 1, 1).date(), None, None])),
    ],
)
def test_equal_values_of_another_arrow_type_get_the_same_answers(
    regression: Path, column: str, values: pa.Array
) -> None:
    model = Model.load(regression)
    position = TABLE.schema.get_field_index(column)
    other = TABLE.set_column(position, column, values)
    assert other.column(column).type != TABLE.column(column).type
    np.testing.assert_array_equal(
        model.predict_table(other).values, model.predict_table(TABLE).values
    )


def many(rows: int) -> pa.Table:
    """Rows in no order."""
    generator = np.random.default_rng(1)
    return pa.table(
        {
            "carat weight": generator.permutation(rows).astype(float),
            "cut": pa.array(np.array(["Fair", "Good", "Ideal"])[generator.integers(0, 3, rows)]),
            "certified": pa.nulls(rows),
            "sold": pa.nulls(rows),
        }
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    "rows", [0, ROWS_ALONE, ROWS_ALONE + 1, ROWS_PER_CALL, 3 * ROWS_PER_CALL + 1]
)
def test_rows_beyond_one_call_are_all_answered(regression: Path, rows: int, threads: int) -> None:
    table = many(rows)
    cut = [CUT[("Fair", "Good", "Ideal").index(text)] for text in table["cut"].to_pylist()]
    values = Model.load(regression, threads).predict_table(table).values
    np.testing.assert_array_equal(values, 100.0 * table["carat weight"].to_numpy() + cut)


def test_probabilities_of_many_rows_stay_with_their_rows(classification: Path) -> None:
    model = Model.load(classification, threads=2)
    table = many(2 * ROWS_PER_CALL + 7)
    together = model.predict_table(table)
    apart = [model.predict_table(table.slice(start, 500)) for start in range(0, len(table), 500)]
    assert together.values.tolist() == [label for part in apart for label in part.values]
    assert together.probabilities is not None
    np.testing.assert_array_equal(
        together.probabilities, np.concatenate([part.probabilities for part in apart])
    )


def test_classification_answers_labels_and_probabilities(classification: Path) -> None:
    prediction = Model.load(classification).predict_table(TABLE)
    assert prediction.values.tolist() == ["low", "low", "low"]
    assert prediction.probabilities is not None
    assert prediction.probabilities.shape == (3, 3)
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1.0)


def self_test(folder: Path) -> None:
    manifest = Manifest.read(folder)
    Model.load(folder).self_test(manifest.example, manifest.parity.tolerance)


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_self_test_passes(kind: str, request: pytest.FixtureRequest) -> None:
    self_test(request.getfixturevalue(kind))


def test_self_test_refuses_another_answer(regression: Path) -> None:
    manifest = (regression / "manifest.json").read_text()
    answer = str(regression_answer(EXAMPLE))
    assert answer in manifest
    (regression / "manifest.json").write_text(manifest.replace(answer, "7.0"))
    with pytest.raises(ModelError, match=r"stored answer .* 7\.0"):
        self_test(regression)


@pytest.mark.parametrize("factor", [1.001, 2.0, 0.0, -1.0])
def test_self_test_refuses_another_answer_however_small(tmp_path: Path, factor: float) -> None:
    unit = 1e-9 / regression_answer(EXAMPLE)
    manifest = Manifest.read(write_model(tmp_path / "right", scale=unit))
    assert manifest.example.prediction == pytest.approx(1e-9)
    wrong = Model.load(write_model(tmp_path / "wrong", scale=factor * unit))
    with pytest.raises(ModelError, match="self-test"):
        wrong.self_test(manifest.example, manifest.parity.tolerance)
    self_test(tmp_path / "right")


def test_self_test_compares_probabilities_absolutely(classification: Path) -> None:
    manifest = Manifest.read(classification)
    stored = manifest.example.probabilities
    assert stored is not None
    for shift, passes in ((0.9e-9, True), (1.1e-9, False)):
        near = (stored[0] - shift, stored[1] + shift, stored[2])
        example = manifest.example.model_copy(update={"probabilities": near})
        with nullcontext() if passes else pytest.raises(ModelError):
            Model.load(classification).self_test(example, 1e-9)


def test_changed_graph_is_refused(regression: Path) -> None:
    graph = bytearray((regression / "model.onnx").read_bytes())
    graph[-1] ^= 1
    (regression / "model.onnx").write_bytes(graph)
    with pytest.raises(ModelError, match="sha256"):
        Model.load(regression)


def test_file_outside_the_folder_is_refused(regression: Path) -> None:
    manifest = (regression / "manifest.json").read_text()
    (regression / "manifest.json").write_text(manifest.replace("model.onnx", "../model.onnx"))
    with pytest.raises(ModelError, match="outside"):
        Model.load(regression)
