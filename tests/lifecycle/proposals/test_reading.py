import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lifecycle.proposals.reading import propose_file, propose_notation
from stages.preparation.reading import USUAL
from tests.stages.preparation.test_spreadsheet import write


def keys(path: Path) -> dict[str, Any]:
    return {one.key.removeprefix("prepare.read."): one.value for one in propose_file(path)}


@pytest.mark.parametrize(
    ("text", "encoding", "delimiter", "expected"),
    [
        ("a,b\n1,ü\n", "utf-8", ",", "utf-8"),
        ("a;b\n1,5;ü\n2,5;x\n", "cp1252", ";", "cp1252"),
        ("a\tb\n1\tü\n", "utf-16", "\t", "utf-16"),
        ("a|b|c\n1|2,3|4\n", "utf-8", "|", "utf-8"),
        ("one\n1\n", "utf-8", ",", "utf-8"),
        ('a,"b;c;d;e"\n1,"2;3"\n', "utf-8", ",", "utf-8"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_encoding_and_delimiter_are_seen(
    tmp_path: Path, text: str, encoding: str, delimiter: str, expected: str, suffix: str
) -> None:
    content = text.encode(encoding)
    path = tmp_path / f"t{suffix}"
    path.write_bytes(gzip.compress(content) if suffix == ".csv.gz" else content)
    assert keys(path) == {"encoding": expected, "delimiter": delimiter, "sheet": None}


def test_of_several_sheets_the_first_is_named(tmp_path: Path) -> None:
    alone = write(tmp_path / "a.xlsx", prices=[["a"], [1]])
    assert keys(alone)["sheet"] is None
    several = write(tmp_path / "b.xlsx", prices=[["a"], [1]], notes=[["b"], [1]])
    sheet = propose_file(several)[-1]
    assert (sheet.value, sheet.reason) == ("prices", "the first of 2, beside notes")


@pytest.mark.parametrize(
    ("column", "dates", "reason"),
    [
        (["31.12.2024", "01.02.2024"], "dmy", "'c' holds '31.12.2024'"),
        (["12/31/2024", "01/02/2024"], "mdy", "'c' holds '12/31/2024'"),
        (["01/02/2024", "02/03/2024"], "dmy", "mdy.* would fit as well"),
        (["2024/12/31 10:00", "?"], "ymd", "'c' holds"),
        (["2024-12-31", "2024-01-02"], "iso", "2024-12-31"),
        (["31.31.2024", "1.1.2024"], "iso", "no dates"),
        (["1.2.3", "x"], "iso", "no dates"),
    ],
)
def test_the_notation_of_dates_is_seen(column: list[str], dates: str, reason: str) -> None:
    _, proposal = propose_notation(pd.DataFrame({"c": column}), USUAL)
    assert proposal.value == dates
    assert pd.Series(proposal.reason).str.contains(reason).all()


@pytest.mark.parametrize(
    ("columns", "delimiter", "decimal"),
    [
        ({"a": ["1,5", "2"], "b": ["x", "1,2,3"]}, ";", ","),
        ({"a": ["1.234,5", "-2,25"]}, ";", ","),
        ({"a": ["1,5", "2"], "b": ["1.5", "2.25"]}, ";", "."),  # both: the file contradicts itself
        ({"a": ["1,500", "2,000"]}, ",", "."),  # parts thousands as likely
        ({"a": ["1.5", "2"]}, ";", "."),
    ],
)
def test_the_decimal_sign_is_seen(
    columns: dict[str, list[str]], delimiter: str, decimal: str
) -> None:
    read = USUAL.model_copy(update={"delimiter": delimiter})
    proposal, _ = propose_notation(pd.DataFrame(columns), read)
    assert proposal.value == decimal
