"""Every case of docs/conversion.md is tried; the document is what this test asserts."""

import pytest

from tests.stages.onnx_writer.cases import Case, cases, outcome
from tests.stages.onnx_writer.document import DOCUMENT, recorded, with_tables

# Fitting is PyCaret's and the estimators' business; only the conversion must be silent.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:sklearn"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # PyCaret's grouping of rare categories writes into a slice of its own.
    pytest.mark.filterwarnings("ignore::pandas.errors.SettingWithCopyWarning"),
]


def _name(case: Case) -> str:
    return f"{case.section}-{case.row}-{case.kind}".replace("`", "").replace(" ", "_")


@pytest.mark.parametrize("case", list(cases()), ids=_name)
def test_converts_as_the_document_says(case: Case) -> None:
    assert outcome(case) == recorded()[case]


def test_document_lists_exactly_the_cases_in_order() -> None:
    assert list(recorded()) == list(cases())


def test_document_is_written_as_the_tables_are() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_tables(text, recorded()) == text
