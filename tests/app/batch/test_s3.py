import time
from pathlib import Path

import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from app.batch.formats import lines
from app.settings import Settings
from app.storage import storage_of
from tests.app.batch.conftest import csv_text, records, score, with_s3
from tests.app.conftest import publish, write_model
from tests.conftest import S3


def test_a_folder_in_s3_is_scored_as_one_here_is(
    tmp_path: Path, published: Settings, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "PIECE", 2_000)
    settings = with_s3(published, s3)
    root = f"s3://{s3.bucket}/{tmp_path.name}"
    storage = storage_of(root, settings)
    for number in range(3):
        text = csv_text(records(200, number))
        path = tmp_path / "in" / f"{number}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("row-150,", "row-150,heavy") if number == 1 else text)
        with storage.create(f"{root}/in/{number}.csv") as file:
            file.write(path.read_bytes())
    table = arrow_csv.read_csv(tmp_path / "in" / "0.csv")
    parquet.write_table(table, tmp_path / "in" / "3.parquet")
    with storage.create(f"{root}/in/3.parquet") as file:
        file.write((tmp_path / "in" / "3.parquet").read_bytes())
    time.sleep(1.1)  # S3 tells times in whole seconds

    there = score(f"{root}/in", f"{root}/out", settings)
    here = score(tmp_path / "in", tmp_path / "out", settings)
    assert (there.scored, there.rejected) == (here.scored, here.rejected) == (799, 1)
    for folder in ("out", "out.rejected"):
        for path in (tmp_path / folder).iterdir():
            with storage.open(f"{root}/{folder}/{path.name}") as file:
                assert file.read() == path.read_bytes()
    assert score(f"{root}/in", f"{root}/out", settings).skipped == 4


def test_another_version_in_the_same_second_begins_anew(
    tmp_path: Path, published: Settings, s3: S3
) -> None:
    settings = with_s3(published, s3)
    root = f"s3://{s3.bucket}/{tmp_path.name}"
    with storage_of(root, settings).create(f"{root}/in/a.csv") as file:
        file.write(csv_text(records(3)).encode())
    time.sleep(1.1)
    score(f"{root}/in", f"{root}/out", settings)
    other = write_model(tmp_path / "other", shift=1.0)
    publish(other, settings.model_cache, settings.lock_file)
    assert score(f"{root}/in", f"{root}/out", settings).skipped == 0
    assert score(f"{root}/in", f"{root}/out", settings).skipped == 1
