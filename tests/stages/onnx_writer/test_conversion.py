"""Every case of docs/conversion.md is tried; the document is what this test asserts."""

import pytest

from tests.stages.onnx_writer.cases import Case, cases
from tests.stages.onnx_writer.document import (
    DOCUMENT,
    Trial,
    recorded,
    recorded_bits,
    row_bits,
    tried,
    with_tables,
)


@pytest.fixture(scope="module")
def trials() -> dict[Case, Trial]:
    """Every case, tried under the cap that the stages compute under."""
    return tried()


def _name(case: Case) -> str:
    return f"{case.section}-{case.row}-{case.kind}".replace("`", "").replace(" ", "_")


@pytest.mark.parametrize("case", list(cases()), ids=_name)
def test_converts_as_the_document_says(case: Case, trials: dict[Case, Trial]) -> None:
    assert trials[case].outcome == recorded()[case]


def test_document_lists_exactly_the_cases_in_order() -> None:
    assert list(recorded()) == list(cases())


def test_document_is_written_as_the_tables_are() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_tables(text, recorded(), recorded_bits()) == text


def test_this_processor_gives_the_bits_that_the_document_holds(trials: dict[Case, Trial]) -> None:
    """Two others gave them: any that differ, differ here for the first time."""
    promised = {row: cell for row, cell in recorded_bits().items() if cell != "no"}
    here = row_bits(trials)
    assert {row: f"yes `{here[row]}`" for row in promised} == promised


def test_without_the_cap_the_bits_differ() -> None:
    bits = row_bits(tried("`lr`", "`mlp`", "`pca: linear`", capped=False))
    assert len(bits) == 3
    assert all(recorded_bits()[row] != f"yes `{one}`" for row, one in bits.items())
