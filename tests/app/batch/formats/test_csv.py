import csv
import random
from pathlib import Path

import pytest

from app.batch.formats import lines
from app.settings import Settings
from tests.app.batch.conftest import HEADER, answers, csv_text, records, score


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def rejected(target: Path) -> list[list[str]]:
    return read(target.with_name(f"{target.name}.rejected.csv"))


def test_every_row_comes_back_with_its_prediction(tmp_path: Path, published: Settings) -> None:
    rows = records(1_000)
    (tmp_path / "in.csv").write_text(csv_text(rows))
    result = score(tmp_path / "in.csv", tmp_path / "out.csv", published)
    header, *found = read(tmp_path / "out.csv")
    assert header == [*HEADER.split(","), "prediction"]
    assert [line[:-1] for line in found] == read(tmp_path / "in.csv")[1:]
    assert [float(line[-1]) for line in found] == pytest.approx(answers(rows), rel=1e-15)
    assert (result.scored, result.rejected, result.failures) == (1_000, 0, [])


def test_the_size_of_the_pieces_changes_nothing(
    tmp_path: Path, published: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = records(300)
    text = csv_text(rows).replace("row-1", '"row\n""1"""').replace("row-7", '"row,\r\n7"')
    (tmp_path / "in.csv").write_text(text)
    score(tmp_path / "in.csv", tmp_path / "one.csv", published)
    monkeypatch.setattr(lines, "PIECE", 77)
    score(tmp_path / "in.csv", tmp_path / "many.csv", published)
    assert (tmp_path / "many.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert read(tmp_path / "one.csv")[2][0] == 'row\n"1"'


@pytest.mark.parametrize("piece", [4 * 1024**2, 60])
def test_rows_that_do_not_fit_are_named_and_the_rest_is_scored(
    tmp_path: Path, published: Settings, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(lines, "PIECE", piece)
    (tmp_path / "in.csv").write_bytes(
        b"id,carat weight,cut,certified,sold\n"
        b"a,1.5,Good,true,2020-01-01\n"
        b"\n"
        b'"b\nb",heavy,Good,true,2020-01-01\n'
        b"c,1.5,Good,perhaps,someday\n"
        b"d,1.5,Good\n"
        b"\xff,1.5,Good,true,2020-01-01\n"
        b"e,1e999,Good,true,2020-01-01\n"
        b"f,2,Fair,false,2020-01-01"
    )
    result = score(tmp_path / "in.csv", tmp_path / "out.csv", published, keep=("id",))
    assert [line[0] for line in read(tmp_path / "out.csv")] == ["id", "a", "f"]
    assert rejected(tmp_path / "out.csv") == [
        ["line", "column", "reason"],
        ["4", "carat weight", "'heavy' is not a finite number"],
        ["6", "certified", "'perhaps' is not a boolean; write true, false, 1 or 0"],
        [
            "6",
            "sold",
            "'someday' is not a date; give ISO 8601 such as 2024-01-31 or 2024-01-31T12:00:00Z, "
            "or null",
        ],
        ["7", "", "has 3 cells, the header has 5"],
        ["8", "", "is not UTF-8"],
        ["9", "carat weight", "'1e999' is not a finite number"],
    ]
    assert (result.scored, result.rejected) == (2, 5)


def test_more_faults_than_a_reply_names_are_all_named(tmp_path: Path, published: Settings) -> None:
    row = ",heavy,Good,perhaps,2020-01-01\n"
    (tmp_path / "in.csv").write_text(f"{HEADER}\n" + row * 50)
    result = score(tmp_path / "in.csv", tmp_path / "out.csv", published)
    assert (result.scored, result.rejected) == (0, 50)
    assert len(rejected(tmp_path / "out.csv")) == 1 + 2 * 50
    assert read(tmp_path / "out.csv") == [[*HEADER.split(","), "prediction"]]


def test_a_later_run_without_faults_removes_the_side_file(
    tmp_path: Path, published: Settings
) -> None:
    for cell in ("heavy", "1"):
        (tmp_path / "in.csv").write_text(f"{HEADER}\na,{cell},Good,true,2020-01-01\n")
        score(tmp_path / "in.csv", tmp_path / "out.csv", published)
    assert not (tmp_path / "out.csv.rejected.csv").exists()


def test_strict_writes_nothing_and_names_the_line(tmp_path: Path, published: Settings) -> None:
    (tmp_path / "in.csv").write_text(
        f"{HEADER}\na,1,Good,true,2020-01-01\nb,heavy,Good,true,2020-01-01\n"
    )
    result = score(tmp_path / "in.csv", tmp_path / "out.csv", published, strict=True)
    place = "Line 3, column 'carat weight': 'heavy' is not a finite number."
    assert result.failures == [f"{tmp_path / 'in.csv'}: {place}"]
    assert {path.name for path in tmp_path.iterdir()} >= {"in.csv", "cache"}
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The file is empty. Send a CSV with a header line and rows."),
        (b"id,cut\n1,Good\n", "These columns are missing: 'carat weight', 'certified', 'sold'."),
        (b"\x1f\x8bxxxx", "The file is gzip data; unpack it first."),
        (b"carat weight;cut;certified;sold\n", "its columns look separated by semicolons"),
    ],
    ids=["empty", "columns missing", "gzip", "semicolons"],
)
def test_a_file_that_is_no_such_table_fails_as_in_the_service(
    tmp_path: Path, published: Settings, content: bytes, message: str
) -> None:
    (tmp_path / "in.csv").write_bytes(content)
    (failure,) = score(tmp_path / "in.csv", tmp_path / "out.csv", published).failures
    assert message in failure
    assert not list(tmp_path.glob("*out*"))


def test_a_table_without_rows_gives_one_without_rows(tmp_path: Path, published: Settings) -> None:
    (tmp_path / "in.csv").write_text(HEADER)
    score(tmp_path / "in.csv", tmp_path / "out.csv", published)
    assert (tmp_path / "out.csv").read_text() == f"{HEADER},prediction\n"


def test_only_the_kept_columns_come_back(tmp_path: Path, published: Settings) -> None:
    (tmp_path / "in.csv").write_text(f"{HEADER},prediction\n007,1.50,Good,true,2020-01-01,x\n")
    score(tmp_path / "in.csv", tmp_path / "out.csv", published, keep=("prediction", "id"))
    assert read(tmp_path / "out.csv")[0] == ["prediction", "id", "prediction_"]
    assert read(tmp_path / "out.csv")[1][:2] == ["x", "007"]
    score(tmp_path / "in.csv", tmp_path / "bare.csv", published, keep=())
    assert read(tmp_path / "bare.csv")[0] == ["prediction"]


def test_a_column_to_keep_that_is_missing_is_an_error(tmp_path: Path, published: Settings) -> None:
    (tmp_path / "in.csv").write_text(csv_text(records(3)))
    result = score(tmp_path / "in.csv", tmp_path / "out.csv", published, keep=("di",))
    assert result.failures == [
        f"{tmp_path / 'in.csv'}: These columns are to be kept and missing: 'di'."
    ]


def test_classes_come_with_probabilities(tmp_path: Path, published_classes: Settings) -> None:
    (tmp_path / "in.csv").write_text(csv_text(records(20)))
    score(tmp_path / "in.csv", tmp_path / "out.csv", published_classes, probabilities=True, keep=())
    header, *found = read(tmp_path / "out.csv")
    classes = ["low", "middle", "high"]
    assert header == ["prediction", *(f"probability_{label}" for label in classes)]
    for label, *probabilities in found:
        values = list(map(float, probabilities))
        assert sum(values) == pytest.approx(1)
        assert label == classes[values.index(max(values))]


def test_a_cut_never_falls_into_a_row() -> None:
    draw = random.Random(3)
    cells = [
        "a",
        "",
        '"q"',
        '"a,b"',
        '"a\nb"',
        '"a""b"',
        '""""',
        '5" pipe',
        'x"y"',
        '"a"b',
        "\u00e9",
    ]
    for _ in range(500):
        rows = [",".join(draw.choices(cells, k=3)) + draw.choice(["\n", "\r\n"]) for _ in range(6)]
        data = "".join(rows).encode()
        whole = [cells_ for _, cells_, _ in lines.rows_of(data)]
        end = lines.end_of_rows(data[: draw.randrange(len(data) + 1)])
        halves = [
            cells_ for part in (data[:end], data[end:]) for _, cells_, _ in lines.rows_of(part)
        ]
        assert halves == whole, data
