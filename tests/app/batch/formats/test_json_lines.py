import json
from pathlib import Path

import pytest

from app.batch.formats import lines
from app.settings import Settings
from tests.app.batch.conftest import answers, records, score


def test_objects_come_back_with_their_predictions(
    tmp_path: Path, published: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "PIECE", 500)
    rows = records(200)
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    score(tmp_path / "in.jsonl", tmp_path / "out.jsonl", published)
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [one.pop("prediction") for one in found] == pytest.approx(answers(rows), rel=1e-15)
    assert found == rows


def test_lines_that_do_not_fit_are_named_and_the_rest_is_scored(
    tmp_path: Path, published: Settings
) -> None:
    (fine,) = map(json.dumps, records(1))
    faulty = ["{", "[1]", fine.replace('"carat weight"', '"weight"')]
    (tmp_path / "in.jsonl").write_text("\n".join([faulty[0], fine, "", *faulty[1:], fine]))
    result = score(tmp_path / "in.jsonl", tmp_path / "out.jsonl", published, keep=("id", "none"))
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        {"id": "row-0", "none": None, "prediction": pytest.approx(answers(records(1))[0])}
    ] * 2
    assert (tmp_path / "out.jsonl.rejected.csv").read_text().splitlines() == [
        "line,column,reason",
        "1,,is not JSON: unexpected end of data: line 1 column 2 (char 1)",
        "4,,[1] is not an object",
        '5,carat weight,"is missing; give a value, or null where there is none"',
    ]
    assert (result.scored, result.rejected) == (2, 3)


def test_no_table_is_made_of_them(tmp_path: Path, published: Settings) -> None:
    (tmp_path / "in.jsonl").write_text("")
    (failure,) = score(tmp_path / "in.jsonl", tmp_path / "out.csv", published).failures
    assert f"end {tmp_path / 'out.csv'} in .jsonl" in failure


def test_a_name_that_is_taken_gets_an_underscore(
    tmp_path: Path, published_classes: Settings
) -> None:
    (row,) = records(1)
    (tmp_path / "in.jsonl").write_text(json.dumps(row | {"prediction": 7}))
    score(tmp_path / "in.jsonl", tmp_path / "out.jsonl", published_classes, probabilities=True)
    found = json.loads((tmp_path / "out.jsonl").read_text())
    assert found["prediction"] == 7
    assert found["prediction_"] == "low"
    assert found["probability_low"] + found["probability_high"] == pytest.approx(1)
