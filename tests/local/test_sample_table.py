"""data/ comes as it is pinned, or not at all; over a real S3."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import sample_table
from local.s3 import s3_client
from stages.files import md5
from stages.repository import CommandError, dvc
from tests.conftest import ROOT, S3
from tests.project import dvc_config, environment

ROWS = "a,b\n" + "1,2\n" * 1000
SAMPLE = yaml.safe_load((ROOT / "data.dvc").read_text())["outs"][0]["md5"]


class Clone:
    """A repository without data/, whose pin is in S3 or can be written from its source."""

    def __init__(self, root: Path, s3: S3, prefix: str) -> None:
        self.root, self.s3, self.prefix = root, s3, prefix

    def forget(self) -> None:
        """As a fresh clone: no data/ and an empty cache."""
        for name in ("data", ".dvc/cache", ".dvc/tmp"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def pin(self) -> str:
        return str(yaml.safe_load((self.root / "data.dvc").read_text())["outs"][0]["md5"])

    def use_own_table(self) -> None:
        """Pin and push a table that no source but S3 has."""
        (self.root / "data").mkdir()
        (self.root / "data" / "own.csv").write_text(ROWS)
        dvc("add", "data")
        dvc("push")
        self.forget()

    def in_cache(self) -> Path:
        """The table's object in DVC's cache."""
        (copy,) = [
            file
            for file in (self.root / ".dvc" / "cache" / "files").rglob("*")
            if file.is_file() and file.suffix != ".dir"
        ]
        return copy

    def objects(self) -> dict[str, int]:
        """The size of each object in S3."""
        listed = s3_client(self.s3.environment()).list_objects_v2(
            Bucket=self.s3.bucket, Prefix=f"{self.prefix}/"
        )
        return {one["Key"]: one["Size"] for one in listed["Contents"]}

    def cut_in_s3(self) -> str:
        """Cut the table's object in S3 after half of its lines; its key."""
        client: Any = s3_client(self.s3.environment())
        (key,) = [key for key in self.objects() if not key.endswith(".dir")]
        lines = client.get_object(Bucket=self.s3.bucket, Key=key)["Body"].read().splitlines(True)
        half = b"".join(lines[: len(lines) // 2])
        client.put_object(Bucket=self.s3.bucket, Key=key, Body=half)
        return key


@pytest.fixture
def clone(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Clone:
    prefix = f"sample/{request.node.name}"
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(environment(s3, "")):
        monkeypatch.delenv(name)
    for name, value in environment(s3, "").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SERVE_REMOTE", f"s3://{s3.bucket}/{prefix}")
    (tmp_path / ".dvc").mkdir()
    for name, text in dvc_config(s3, prefix).items():
        (tmp_path / ".dvc" / name).write_text(text)
    dvc("config", "core.no_scm", "true")
    shutil.copy(ROOT / "data.dvc", tmp_path)
    return Clone(tmp_path, s3, prefix)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # while plotnine is imported
def test_the_sample_table_is_written_once_and_pulled_by_the_next(
    clone: Clone, capsys: pytest.CaptureFixture[str]
) -> None:
    sample_table.main()
    assert md5(clone.root / "data") == clone.pin() == SAMPLE
    assert "written from its source" in capsys.readouterr().out
    clone.forget()
    sample_table.main()
    assert md5(clone.root / "data") == SAMPLE
    assert "pulled from S3" in capsys.readouterr().out
    sample_table.main()
    assert capsys.readouterr().out == ""


def test_a_table_that_was_cut_in_s3_is_refused(clone: Clone) -> None:
    clone.use_own_table()
    key = clone.cut_in_s3()
    with pytest.raises(CommandError, match="`dvc pull` failed"):
        dvc("pull")
    assert not (clone.root / "data").exists()
    with pytest.raises(SystemExit, match=rf"{key} .* has md5 .* it was changed after"):
        sample_table.main()
    assert not (clone.root / "data").exists()


def test_a_sample_table_that_was_cut_in_s3_is_named(clone: Clone) -> None:
    """It is written from its source, but `dvc push` leaves what S3 has."""
    sample_table.main()
    key = clone.cut_in_s3()
    clone.forget()
    with pytest.raises(SystemExit, match=rf"{key} .* it was changed after it was pushed"):
        sample_table.main()
    assert md5(clone.root / "data") == SAMPLE


def test_a_table_that_s3_lacks_is_named(clone: Clone) -> None:
    clone.use_own_table()
    client: Any = s3_client(clone.s3.environment())
    for key in clone.objects():
        client.delete_object(Bucket=clone.s3.bucket, Key=key)
    with pytest.raises(SystemExit, match=r"not the sample table\. .* the object is not there"):
        sample_table.main()
    assert not (clone.root / "data").exists()


def cut(copy: Path) -> None:
    copy.write_text(ROWS[: len(ROWS) // 2])


def flip(copy: Path) -> None:
    copy.write_text(ROWS.replace("1,2", "1,3", 1))


@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_copy_in_the_cache_is_pulled_again(
    clone: Clone, damage: Callable[[Path], None]
) -> None:
    clone.use_own_table()
    dvc("fetch")
    clone.in_cache().chmod(0o644)
    damage(clone.in_cache())
    clone.in_cache().chmod(0o444)  # as DVC marks what it takes as whole
    sample_table.main()
    assert (clone.root / "data" / "own.csv").read_text() == ROWS
    assert md5(clone.in_cache()) == md5(clone.root / "data" / "own.csv")


def test_a_table_that_was_changed_by_hand_is_left_alone(clone: Clone) -> None:
    clone.use_own_table()
    sample_table.main()
    (clone.root / "data" / "own.csv").chmod(0o644)
    (clone.root / "data" / "own.csv").write_text("a,b\n7,7\n")
    with pytest.raises(SystemExit):
        sample_table.main()
    assert (clone.root / "data" / "own.csv").read_text() == "a,b\n7,7\n"
