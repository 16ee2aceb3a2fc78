"""The command on Azure's and Google's storage, as people run it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import Settings
from app.storage import Storage, storage_of
from tests.app.batch.conftest import csv_text, records, score
from tests.app.clouds import Cloud, push
from tests.app.conftest import lock, write_model
from tests.conftest import ROOT


@pytest.fixture
def known(settings: Settings, cloud: Cloud, tmp_path: Path) -> Settings:
    """Settings that find the tiny regression in the cloud alone."""
    known = cloud.known_to(settings, f"{tmp_path.name}/dvc")
    model = write_model(tmp_path / "model")
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    lock(push(known, files), known.lock_file)
    return known


def batch(folder: Path, known: Settings, cloud: Cloud, *arguments: str) -> tuple[int, str]:
    clouds = ("AWS", "AZURE", "GOOGLE", "SERVE", "STORAGE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(clouds)}
    run = subprocess.run(
        [sys.executable, "-m", "app.batch", *arguments],
        cwd=folder,
        env={
            **inherited,
            **cloud.environment,
            "PYTHONPATH": str(ROOT),
            "SERVE_REMOTE": known.remote,
            "SERVE_MODEL_CACHE": "cache-of-the-command",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return run.returncode, run.stderr


def write(storage: Storage, path: str, text: str) -> None:
    with storage.create(path) as file:
        file.write(text.encode())


def test_a_folder_there_is_scored_as_one_here_is(
    tmp_path: Path, known: Settings, cloud: Cloud
) -> None:
    root = f"{cloud.root}/{tmp_path.name}"
    storage = storage_of(root, known)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.csv", "deep/b.csv"):
        text = csv_text(records(200)).replace("row-150,", "row-150,heavy")
        (tmp_path / "in" / name).write_text(text)
        write(storage, f"{root}/in/{name}", text)
    status, said = batch(tmp_path, known, cloud, f"{root}/in", f"{root}/out")
    assert status == 3, said
    score(tmp_path / "in", tmp_path / "out", known)
    written = [path for path in tmp_path.glob("out*/**/*") if path.is_file()]
    assert len(written) >= 4
    for path in written:
        with storage.open(f"{root}/{path.relative_to(tmp_path)}") as file:
            assert file.read() == path.read_bytes()


def test_parquet_there_is_read_from_its_end_and_written(
    tmp_path: Path, known: Settings, cloud: Cloud
) -> None:
    root = f"{cloud.root}/{tmp_path.name}"
    storage = storage_of(root, known)
    write(storage, f"{root}/in.csv", csv_text(records(100)))
    for source, target in (("in.csv", "out.parquet"), ("out.parquet", "again.csv")):
        status, said = batch(
            tmp_path, known, cloud, f"{root}/{source}", f"{root}/{target}", "--strict"
        )
        assert status == 0, said
    with storage.open(f"{root}/again.csv") as file:
        assert len(file.read().splitlines()) == 101


def test_after_a_failure_there_is_no_output(tmp_path: Path, known: Settings, cloud: Cloud) -> None:
    root = f"{cloud.root}/{tmp_path.name}"
    storage = storage_of(root, known)
    text = csv_text(records(200)).replace("row-150,", "row-150,heavy")
    write(storage, f"{root}/in.csv", text)
    arguments = (f"{root}/in.csv", f"{root}/out.csv", "--strict")
    status, said = batch(tmp_path, known, cloud, *arguments)
    assert status == 1
    assert f"{root}/in.csv: Line 152" in said
    assert storage.entry(f"{root}/out.csv") is None


def test_what_is_not_there_is_told_in_a_line(tmp_path: Path, known: Settings, cloud: Cloud) -> None:
    missing = f"{cloud.root}-not-there/in"
    status, said = batch(tmp_path, known, cloud, missing, "out")
    assert status == 1
    assert missing in said
    assert len(said.splitlines()) == 1
