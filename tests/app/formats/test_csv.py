"""CSV as people send it: what is taken, how each fault is named, and how rows come back."""

import csv
import io
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import Problem
from app.formats.csv_faults import LONGEST_ROW, check_quotes
from app.settings import Limits
from tests.app.conftest import CUT, EXAMPLE, regression_answer

NAMES = "carat weight,cut,certified,sold"
HEADER = b"carat weight,cut,certified,sold\n"
GOOD = b"1.5,Good,true,2020-01-01\n"
ANSWER = regression_answer(EXAMPLE)


def post(client: httpx.Client, content: bytes, name: str = "rows.csv") -> httpx.Response:
    return client.post("/predict", files={"file": (name, content)})


@pytest.mark.parametrize(
    ("content", "answers"),
    [
        (HEADER + GOOD, [ANSWER]),
        (b"\xef\xbb\xbf" + HEADER + GOOD, [ANSWER]),
        ((HEADER + GOOD).replace(b"\n", b"\r\n"), [ANSWER]),
        ((HEADER + GOOD).replace(b"\n", b"\r"), [ANSWER]),
        ((HEADER + GOOD).rstrip(), [ANSWER]),
        (b"\n" + HEADER + b"\n" + GOOD + b"\n\n" + GOOD, [ANSWER, ANSWER]),
        (b'"carat weight","cut","certified","sold"\n"1.5","Good","true","2020-01-01"\n', [ANSWER]),
        (HEADER + b'0,"two\nlines, one cell",false,\n', [CUT[3]]),
        (HEADER + b'0,"say ""hi""",0,\n', [CUT[3]]),
        (HEADER + b'0,5" pipe,0,\n', [CUT[3]]),
        (HEADER + b",,,\n", [CUT[4]]),
        (HEADER + b"NA,NA,NA,NA\n", [CUT[4]]),
        (HEADER + b' +1.5e0 ,Good,TRUE,"2020-01-01T01:00:00+01:00"\n', [ANSWER]),
        (HEADER + b".5,Good,1.0,\n", [50.0 + 10.0 + CUT[1]]),
        (HEADER + b"0,Fair,0,1970-01-02 12:00\n0,Fair,0,1970-01-02T12:00:00.5Z\n",
         [CUT[0] + 1.5, CUT[0] + 1.5 + 0.5 / 86_400]),
        (b"sold,certified,cut,carat weight\n2020-01-01,true,Good,1.5\n", [ANSWER]),
    ],
)  # fmt: skip
def test_csv_is_read(client: httpx.Client, content: bytes, answers: list[float]) -> None:
    reply = post(client, content)
    assert reply.status_code == 200, reply.text
    np.testing.assert_allclose(reply.json()["predictions"], answers, rtol=1e-14)
    assert "x-ignored-columns" not in reply.headers


def test_other_columns_are_ignored_and_named(client: httpx.Client) -> None:
    content = (
        b'price,carat weight,cut,certified,sold,"id, \xc3\xa4"\n9,1.5,Good,true,2020-01-01,7\n'
    )
    reply = post(client, content)
    assert reply.json()["predictions"] == [ANSWER]
    assert reply.headers["x-ignored-columns"] == "price, id%2C%20%C3%A4"


FAULTS: list[tuple[bytes, int, str, list[dict[str, Any]]]] = [
    (b"", 422, "The file is empty", []),
    (b"\n\n", 422, "The file is empty", []),
    (HEADER, 422, "not one row", []),
    (
        HEADER.replace(b",", b";") + GOOD.replace(b",", b";"),
        422,
        "separated by semicolons",
        [{"column": name, "detail": "is missing"} for name in EXAMPLE],
    ),
    ((HEADER + GOOD).replace(b",", b"\t"), 422, "separated by tabs", []),
    (HEADER + GOOD + b"1,caf\xe9,1,\n", 422, "line 3", []),
    (HEADER.replace(b"cut", b"cut\xe9") + GOOD, 422, "the header line", []),
    ((HEADER + GOOD).decode().encode("utf-16"), 415, "UTF-16", []),
    (
        HEADER.replace(b"cut", b"sold") + GOOD,
        422,
        "more than once",
        [{"column": "sold", "detail": "appears more than once"}],
    ),
    (
        b"carat weight,color\n1,E\n",
        422,
        "'cut', 'certified', 'sold'",
        [{"column": name, "detail": "is missing"} for name in ("cut", "certified", "sold")],
    ),
    (
        HEADER + GOOD + b"many,Good,true,\n,,maybe,2020-02-30\n",
        422,
        "Row 2, column 'carat weight': 'many' is not a finite number",
        [
            {
                "row": 2,
                "column": "carat weight",
                "detail": "'many' is not a finite number",
            },
            {
                "row": 3,
                "column": "certified",
                "detail": "'maybe' is not a boolean; write true, false, 1 or 0",
            },
            {
                "row": 3,
                "column": "sold",
                "detail": "'2020-02-30' is not a date: day is out of range for month",
            },
        ],
    ),
    (HEADER + b"NaN,Good,true,\n", 422, "'NaN' is not a finite number", []),
    (HEADER + b"Infinity,Good,true,\n", 422, "'Infinity' is not a finite number", []),
    (HEADER + b"-inf,Good,true,\n", 422, "'-inf' is not a finite number", []),
    (HEADER + b"1e400,Good,true,\n", 422, "'1e400' is not a finite number", []),
    (HEADER + b'"1,000",Good,true,\n', 422, "'1,000' is not a finite number", []),
    (HEADER + b"0x10,Good,true,\n", 422, "'0x10' is not a finite number", []),
    (HEADER + b"1,Good,true,31.12.2020\n", 422, "'31.12.2020' is not a date", []),
    (
        HEADER + GOOD + b"1,2\n" + GOOD + b"1,2,3,4,5\n",
        422,
        "Row 2 has 2 cells, the header has 4",
        [
            {"row": 2, "detail": "has 2 cells, the header has 4"},
            {"row": 4, "detail": "has 5 cells, the header has 4"},
        ],
    ),
    (HEADER + b'1,"never closed,true,\n' + GOOD, 422, "quotes are wrong", []),
    (HEADER + b"\n" * 5_001 + b'1,"x', 413, "at most 5000", []),
    (HEADER + b"1," + b"x" * 2 * 1024**2 + b",1,\n", 413, "larger than", []),
    (b",".join(b"c%d" % i for i in range(10_000)) + b"\n", 422, "10000 columns", []),
    (HEADER + GOOD * 5_001, 413, "5001 rows", []),
    (b"\x1f\x8b\x08\x00" + b"\x00" * 20, 415, "gzip", []),
    (b"PK\x03\x04" + b"\x00" * 20, 415, "ZIP", []),
    (b"PAR1 and no more", 422, "Parquet", []),
    (b"\x00" * 100, 422, "missing", []),
    (b"\x89PNG\r\n\x1a\n", 422, "UTF-8", []),
]


@pytest.mark.parametrize(("content", "status", "message", "errors"), FAULTS)
def test_fault_is_named(
    client: httpx.Client, content: bytes, status: int, message: str, errors: list[dict[str, Any]]
) -> None:
    reply = post(client, content)
    problem = reply.json()
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert message in problem["detail"]
    assert problem["status"] == status
    if errors:
        assert problem["errors"] == errors


def test_short_row_that_is_not_utf8_writes_nothing_to_the_log(
    client: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    problem = post(client, HEADER + GOOD + b"\xb2,2\n" * 3).json()
    assert problem["detail"].startswith("The file is not UTF-8: see line 3.")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("cell", [b",", b'"\n",'])
def test_endless_row_is_refused_before_other_threads_wait_for_it(cell: bytes) -> None:
    """Python's reader takes a row in one go: 60 MB of commas stopped all others for 2 s."""
    row = cell * (LONGEST_ROW // len(cell) + 1) + b'"'
    with pytest.raises(Problem, match="longer than 1 MiB"):
        check_quotes(HEADER + row, Limits())


def test_short_row_that_speaks_of_utf8_is_a_short_row(client: httpx.Client) -> None:
    problem = post(client, HEADER + GOOD + b"invalid UTF8 data,2\n").json()
    assert problem["errors"] == [{"row": 2, "detail": "has 2 cells, the header has 4"}]


def test_names_of_ignored_columns_fit_a_header(client: httpx.Client) -> None:
    """Python's own client takes 64 kB of a header line, others less."""
    names = ["id", *(f"{number}" + "\u00e4" * 10_000 for number in range(10))]
    content = ",".join(names).encode() + b"," + HEADER + b"," * len(names) + GOOD
    assert post(client, content).headers["x-ignored-columns"] == "id, and 10 more"


def test_faults_are_named_up_to_a_limit(client: httpx.Client) -> None:
    problem = post(client, HEADER + GOOD + b"x,y,z,w\n" * 100).json()
    assert [error["row"] for error in problem["errors"]] == sorted([2, 3, 4, 5, 6, 7] * 3 + [8, 8])


def test_file_name_is_only_a_name(client: httpx.Client) -> None:
    reply = post(client, HEADER + GOOD, "../../etc/passwd.csv")
    assert reply.json()["predictions"] == [ANSWER]


def rows_with_predictions(client: httpx.Client, content: bytes, query: str = "") -> str:
    reply = client.post(
        "/predict" + query, files={"file": ("rows.csv", content)}, headers={"accept": "text/csv"}
    )
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert reply.headers["x-model-version"]
    return reply.text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"{NAMES}\n1.50,Good,true,2020-01-01\n", "1.50,Good,true,2020-01-01"),
        (f"{NAMES}\r\n1.50,Good,true,2020-01-01", "1.50,Good,true,2020-01-01"),
        (f'{NAMES}\n"1.50",Good,true,2020-01-01\n', "1.50,Good,true,2020-01-01"),
        (f"{NAMES}\r1.5,Good,true,2020-01-01\r", "1.5,Good,true,2020-01-01"),
    ],
)
def test_rows_come_back_with_their_predictions(
    client: httpx.Client, content: str, expected: str
) -> None:
    text = rows_with_predictions(client, content.encode())
    assert text == f"{NAMES},prediction\n{expected},{ANSWER}\n"


ENDS = ["\n", "\r\n", "\r", "\r\r\n", "\n\n", "\n\r", "\r\n\r"]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 99),
            st.sampled_from(["Fair", '"Go""od"', '"a\rb"', '"a\nb"', '5" pipe', ""]),
            st.sampled_from(ENDS),
        ),
        min_size=1,
        max_size=8,
    ),
    first=st.sampled_from(["", *ENDS]),
    end=st.sampled_from(ENDS),
)
def test_each_row_keeps_its_own_prediction(
    client: httpx.Client, rows: list[tuple[int, str, str]], first: str, end: str
) -> None:
    """Whatever ends the lines, also mixed, and whatever the quotes hold."""
    lines = "".join(f"{carat},{cut},,{end}" for carat, cut, end in rows)
    text = rows_with_predictions(client, f"{first}{NAMES}{end}{lines}".encode())
    header, *replies = csv.reader(io.StringIO(text, newline=""))
    assert header == [*NAMES.split(","), "prediction"]
    alone = [next(csv.reader([cut], strict=False)) for _, cut, _ in rows]
    assert [reply[:2] for reply in replies] == [
        [str(carat), (cut or [""])[0]] for (carat, _, _), cut in zip(rows, alone, strict=True)
    ]
    answers = [100.0 * carat + CUT[{"Fair": 0, "": 4}.get(cut, 3)] for carat, cut, _ in rows]
    assert [float(reply[-1]) for reply in replies] == answers


def test_cells_with_line_breaks_keep_them(client: httpx.Client) -> None:
    content = f'note,{NAMES}\n"two\nlines",1.5,Good,true,2020-01-01\n'
    text = rows_with_predictions(client, content.encode())
    assert list(csv.reader(io.StringIO(text)))[1] == [
        "two\nlines", "1.5", "Good", "true", "2020-01-01", str(ANSWER),
    ]  # fmt: skip


def test_taken_name_gets_an_underscore(client: httpx.Client) -> None:
    text = rows_with_predictions(client, f"prediction,{NAMES}\n9,0,Fair,0,\n".encode())
    assert text.splitlines() == [f"prediction,{NAMES},prediction_", "9,0,Fair,0,,1.0"]


def test_a_long_cell_comes_back(client: httpx.Client) -> None:
    content = f'note,{NAMES}\n"{"x" * 200_000}",1.5,Good,true,2020-01-01\n'
    text = rows_with_predictions(client, content.encode())
    assert text.endswith(f"xx,1.5,Good,true,2020-01-01,{ANSWER}\n")


def test_many_rows_keep_their_order(client: httpx.Client) -> None:
    content = NAMES + "\n" + "".join(f"{i},Fair,0,\n" for i in range(4_900))
    lines = rows_with_predictions(client, content.encode()).splitlines()[1:]
    assert lines == [f"{i},Fair,0,,{100.0 * i + 1}" for i in range(4_900)]


def test_probabilities_come_as_columns_in_csv(classifier: httpx.Client) -> None:
    content = f"{NAMES}\n1.5,Good,true,2020-01-01\n".encode()
    header, row = rows_with_predictions(classifier, content, "?probabilities=true").splitlines()
    assert header == f"{NAMES},prediction,probability_low,probability_middle,probability_high"
    label, *probabilities = row.split(",")[4:]
    assert label == "low"
    assert sum(map(float, probabilities)) == pytest.approx(1.0)


def test_overflow_is_null_and_an_empty_cell(client: httpx.Client) -> None:
    record = {**EXAMPLE, "carat weight": 1.7e308}
    reply = client.post("/predict/records", json={"records": [EXAMPLE, record]})
    assert reply.json()["predictions"] == [ANSWER, None]
    text = rows_with_predictions(client, f"{NAMES}\n1.7e308,Good,true,2020-01-01\n".encode())
    assert text.splitlines()[1].endswith("2020-01-01,")
