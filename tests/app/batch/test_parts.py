import os
import time
from pathlib import Path

import pytest

from app.errors import Problem
from app.settings import Settings
from tests.app.batch.conftest import csv_text, records, score
from tests.app.conftest import publish, write_model


def table(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(csv_text(records(20, seed)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        table(tmp_path / "in" / f"day={number}" / "part.csv", number)
    (tmp_path / "in" / "_SUCCESS").touch()
    (tmp_path / "in" / "notes.txt").touch()
    return tmp_path / "in"


def outputs(folder: Path) -> dict[str, int]:
    """Every output with the time it was written at."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*.csv")
    }


def test_a_folder_gives_a_folder(tmp_path: Path, folder: Path, published: Settings) -> None:
    result = score(folder, tmp_path / "out", published)
    assert sorted(outputs(tmp_path / "out")) == [f"day={number}/part.csv" for number in range(3)]
    score(folder / "day=1" / "part.csv", tmp_path / "one.csv", published)
    assert (tmp_path / "out/day=1/part.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert (result.scored, result.skipped) == (60, 0)


def test_a_pattern_names_files(tmp_path: Path, folder: Path, published: Settings) -> None:
    score(f"{folder}/day=[12]/*.csv", tmp_path / "out", published)
    assert sorted(outputs(tmp_path / "out")) == ["day=1/part.csv", "day=2/part.csv"]


def test_a_file_goes_into_a_folder(tmp_path: Path, folder: Path, published: Settings) -> None:
    score(folder / "day=1" / "part.csv", f"{tmp_path}/out/", published)
    assert sorted(outputs(tmp_path / "out")) == ["part.csv"]


def test_a_second_run_scores_what_is_missing_or_changed(
    tmp_path: Path, folder: Path, published: Settings
) -> None:
    score(folder, tmp_path / "out", published)
    before = outputs(tmp_path / "out")
    (tmp_path / "out/day=0/part.csv").unlink()
    soon = time.time() + 5
    os.utime(folder / "day=1/part.csv", (soon, soon))
    assert score(folder, tmp_path / "out", published).skipped == 1
    after = outputs(tmp_path / "out")
    assert [name for name in after if after[name] == before[name]] == ["day=2/part.csv"]


def test_another_version_or_other_options_begin_anew(
    tmp_path: Path, folder: Path, published: Settings
) -> None:
    score(folder, tmp_path / "out", published)
    assert score(folder, tmp_path / "out", published, keep=("id",)).skipped == 0
    assert score(folder, tmp_path / "out", published, keep=("id",)).skipped == 3
    other = write_model(tmp_path / "other", shift=1.0)
    publish(other, published.model_cache, published.lock_file)
    assert score(folder, tmp_path / "out", published, keep=("id",)).skipped == 0


def test_rejected_rows_lie_beside_the_folder(
    tmp_path: Path, folder: Path, published: Settings
) -> None:
    path = folder / "day=1" / "part.csv"
    path.write_text(path.read_text().replace("row-3,", "row-3,heavy"))
    assert score(folder, tmp_path / "out", published).rejected == 1
    assert sorted(outputs(tmp_path / "out.rejected")) == ["day=1/part.csv.csv"]
    again = score(folder, tmp_path / "out", published)
    assert (again.skipped, again.skipped_rejected, again.rejected) == (3, 1, 0)


def test_a_part_that_fails_leaves_the_others(
    tmp_path: Path, folder: Path, published: Settings
) -> None:
    (folder / "day=1" / "part.csv").write_text("a,b\n1,2\n")
    result = score(folder, tmp_path / "out", published)
    (failure,) = result.failures
    assert failure.startswith(f"{folder / 'day=1' / 'part.csv'}: These columns are missing")
    assert sorted(outputs(tmp_path / "out")) == ["day=0/part.csv", "day=2/part.csv"]
    assert result.scored == 40


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("in", "in/out", "would be input next time"),
        ("in/day=0/part.csv", "in/day=0/part.csv", "written over itself"),
        ("in", "-", "name a folder"),
        ("nothing", "out", "There is no file at"),
        ("in/*.jsonl", "out", "There is no file at"),
    ],
)
def test_what_cannot_begin(
    tmp_path: Path,
    folder: Path,
    published: Settings,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    target: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Problem, match=message):
        score(source, target, published)


def test_probabilities_of_a_model_that_has_none(
    tmp_path: Path, folder: Path, published: Settings
) -> None:
    with pytest.raises(Problem, match="gives no probabilities"):
        score(folder, tmp_path / "out", published, probabilities=True)
