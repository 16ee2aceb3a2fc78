"""The same contract for files of this machine and for objects of S3 and of other clouds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.storage import Storage, fixed_folder, s3, storage_of
from local.s3 import s3_client
from tests.app.batch.conftest import with_s3
from tests.app.clouds import Cloud
from tests.app.conftest import settings_in
from tests.conftest import S3


@dataclass(frozen=True)
class Place:
    storage: Storage
    root: str

    def write(self, name: str, content: bytes = b"x") -> str:
        path = f"{self.root}/{name}"
        with self.storage.create(path) as file:
            file.write(content)
        return path

    def read(self, name: str) -> bytes:
        with self.storage.open(f"{self.root}/{name}") as file:
            return file.read()

    def names(self, path: str = "") -> list[str]:
        found = self.storage.find(f"{self.root}/{path}".rstrip("/"))
        return [entry.path.removeprefix(f"{self.root}/") for entry in found]


OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("azure", "google")]


@pytest.fixture(params=["local", "s3", *OTHERS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    settings = settings_in(tmp_path)
    root = str(tmp_path / "files")
    if request.param == "s3":
        server: S3 = request.getfixturevalue("s3")
        settings = with_s3(settings, server)
        root = f"s3://{server.bucket}/{tmp_path.name}"
    elif request.param != "local":
        cloud: Cloud = request.getfixturevalue(request.param)
        settings = cloud.known_to(settings, tmp_path.name)
        root = settings.remote
    return Place(storage_of(root, settings), root)


def test_a_file_appears_at_the_end(place: Place) -> None:
    with place.storage.create(f"{place.root}/a") as file:
        file.write(b"one ")
        file.write(memoryview(b"two"))
        assert place.storage.entry(f"{place.root}/a") is None
    entry = place.storage.entry(f"{place.root}/a")
    assert entry is not None
    assert entry.size == 7
    assert place.read("a") == b"one two"


@pytest.mark.parametrize("size", [10, 20 * 1024**2])
def test_after_an_exception_the_old_file_stays(place: Place, size: int) -> None:
    place.write("a", b"old")

    def fail() -> None:
        with place.storage.create(f"{place.root}/a") as file:
            file.write(b"x" * size)
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        fail()
    assert place.read("a") == b"old"
    assert place.names() == ["a"]


def test_folders_and_patterns(place: Place) -> None:
    for name in ("b/2.csv", "b/1.csv", "a/1.csv", "a/deep/3.csv", "a/_SUCCESS", "b/.x/4.csv"):
        place.write(name)
    assert place.names() == ["a/1.csv", "a/deep/3.csv", "b/1.csv", "b/2.csv"]
    assert place.names("b") == ["b/1.csv", "b/2.csv"]
    assert place.names("*/1.csv") == ["a/1.csv", "b/1.csv"]
    assert place.names("b/[2-9].csv") == ["b/2.csv"]
    assert place.names("**/?.csv") == ["a/1.csv", "a/deep/3.csv", "b/1.csv", "b/2.csv"]
    assert place.names("a/1.csv") == ["a/1.csv"]
    assert place.names("nothing") == []
    assert place.storage.is_folder(f"{place.root}/a")
    assert not place.storage.is_folder(f"{place.root}/a/1.csv")


@pytest.mark.parametrize("name", ["day=1/a b.csv", "50%20.csv", "ä#1&+~.csv"])
def test_names_are_taken_as_they_are(place: Place, name: str) -> None:
    path = place.write(name)
    assert place.names() == place.names(name) == [name]
    assert place.read(name) == b"x"
    place.storage.remove(path)
    assert place.names() == []


def test_reading_anywhere_in_a_file(place: Place) -> None:
    content = bytes(range(256)) * 100
    place.write("a", content)
    with place.storage.open(f"{place.root}/a") as file:
        file.seek(-3, 2)
        assert file.read() == content[-3:]
        file.seek(1_000)
        assert file.read(500) == content[1_000:1_500]


def test_removing(place: Place) -> None:
    path = place.write("a")
    place.storage.remove(path)
    place.storage.remove(path)
    assert place.names() == []


def test_what_is_not_there_cannot_be_opened(place: Place) -> None:
    with pytest.raises(FileNotFoundError):
        place.storage.open(f"{place.root}/a")


def test_two_writers_of_one_file(tmp_path: Path) -> None:
    place = Place(storage_of(str(tmp_path), settings_in(tmp_path)), str(tmp_path))
    with place.storage.create(f"{place.root}/a") as file:
        with (
            pytest.raises(BlockingIOError, match="Another process"),
            place.storage.create(f"{place.root}/a"),
        ):
            pass
        file.write(b"mine")
    assert place.read("a") == b"mine"


def test_a_draft_of_a_killed_run_is_written_over(tmp_path: Path) -> None:
    place = Place(storage_of(str(tmp_path), settings_in(tmp_path)), str(tmp_path))
    (tmp_path / ".a.partial").write_bytes(b"half a fi")
    place.write("a", b"whole")
    assert place.read("a") == b"whole"
    assert not (tmp_path / ".a.partial").exists()


@pytest.fixture
def client(s3: S3) -> Any:
    return s3_client(s3.environment())


def test_a_large_object_is_uploaded_in_parts_and_earlier_ones_are_abandoned(
    s3: S3, tmp_path: Path, client: Any
) -> None:
    place = Place(
        storage_of("s3://", with_s3(settings_in(tmp_path), s3)), f"s3://{s3.bucket}/{tmp_path.name}"
    )
    key = f"{tmp_path.name}/large"
    client.create_multipart_upload(Bucket=s3.bucket, Key=key)  # as a killed run leaves one
    content = b"0123456789abcdef" * 1024**2
    with place.storage.create(f"{place.root}/large") as file:
        for start in range(0, len(content), 3 * 1024**2):
            file.write(content[start : start + 3 * 1024**2])
        assert place.storage.entry(f"{place.root}/large") is None
    assert place.read("large") == content
    assert not client.list_multipart_uploads(Bucket=s3.bucket, Prefix=key).get("Uploads")


def test_a_storage_that_does_not_answer_says_so(tmp_path: Path) -> None:
    storage = s3.S3(
        settings_in(tmp_path).model_copy(
            update={"aws_access_key_id": "a", "aws_region": "us-east-1"}
        )
    )
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9 fails for s3://bucket/a: .* Check the path"):
        storage.entry("s3://bucket/a")


@pytest.mark.parametrize(
    ("path", "folder"),
    [("a/b", "a/b/"), ("a/b/", "a/b/"), ("a/*.csv", "a/"), ("*.csv", ""), ("a/b*/c", "a/")],
)
def test_the_folder_of_a_pattern(path: str, folder: str) -> None:
    assert fixed_folder(path) == folder
