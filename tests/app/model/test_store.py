"""The model store against a real S3."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
import yaml
from pydantic import SecretStr

from app.model.store import LISTING, StoreError, fetch, locked_version
from app.settings import Settings
from tests.app.clouds import as_pushed, key, md5
from tests.app.conftest import lock, write_model
from tests.conftest import S3

Push = Callable[[dict[str, bytes]], str]


@pytest.fixture
def bucket(s3: S3, request: pytest.FixtureRequest) -> Callable[[str, bytes | None], None]:
    """Put an object below this test's own prefix, or with None delete it."""
    client = boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        aws_access_key_id=s3.key_id,
        aws_secret_access_key=s3.secret,
        region_name="us-east-1",
    )

    def put(key: str, content: bytes | None) -> None:
        full = f"{md5(request.node.name.encode())}/{key}"
        if content is None:
            client.delete_object(Bucket=s3.bucket, Key=full)
        else:
            client.put_object(Bucket=s3.bucket, Key=full, Body=content)

    return put


@pytest.fixture
def remote(s3: S3, settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Settings of a server that reads below this test's prefix."""
    return settings.model_copy(
        update={
            "remote": f"s3://{s3.bucket}/{md5(request.node.name.encode())}",
            "aws_endpoint_url": s3.endpoint,
            "aws_access_key_id": s3.key_id,
            "aws_secret_access_key": SecretStr(s3.secret),
            "aws_region": "us-east-1",
        }
    )


@pytest.fixture
def push(bucket: Callable[[str, bytes | None], None]) -> Push:
    """Push files as DVC does; gives the version."""

    def push_files(files: dict[str, bytes]) -> str:
        version, objects = as_pushed(files)
        for name, content in objects.items():
            bucket(name, content)
        return version

    return push_files


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != LISTING
    }


def test_locked_version_is_the_md5_of_the_output(tmp_path: Path) -> None:
    lock("0" * 32, tmp_path / "dvc.lock")
    assert locked_version(tmp_path / "dvc.lock", "deploy", "model/serving") == "0" * 32


@pytest.mark.parametrize(
    ("stage", "path", "md5sum", "message"),
    [
        ("train", "model/serving", "0" * 32, "no output 'model/serving' of a stage 'train'"),
        ("deploy", "model", "0" * 32, "no output 'model' of a stage 'deploy'"),
        ("deploy", "model/serving", "../../etc/passwd", "not a directory's"),
    ],
)
def test_lock_without_the_model_says_so(
    tmp_path: Path, stage: str, path: str, md5sum: str, message: str
) -> None:
    lock(md5sum, tmp_path / "dvc.lock")
    with pytest.raises(StoreError, match=message):
        locked_version(tmp_path / "dvc.lock", stage, path)


@pytest.mark.parametrize("content", [b"", b"[]", b"stages: 5", b"\xff\xfe", b"a: [", b"- x"])
def test_lock_that_is_none_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dvc.lock").write_bytes(content)
    with pytest.raises(StoreError, match=r"dvc\.lock"):
        locked_version(tmp_path / "dvc.lock", "deploy", "model/serving")


def test_missing_lock_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        locked_version(tmp_path / "dvc.lock", "deploy", "model/serving")


def test_version_is_pulled_whole(push: Push, remote: Settings, tmp_path: Path) -> None:
    files = {"a.txt": b"one", "sub/b.txt": b"two", "same.txt": b"one"}
    version = push(files)
    folder = fetch(version, remote)
    assert folder == remote.model_cache / version
    assert files_of(folder) == files
    assert [path.name for path in remote.model_cache.iterdir()] == [version]


def test_layout_is_the_one_that_dvc_pushes(s3: S3, remote: Settings, tmp_path: Path) -> None:
    source = write_model(tmp_path / "project" / "model")
    (tmp_path / "project" / ".dvc").mkdir()
    (tmp_path / "project" / ".dvc" / "config").write_text(
        "[core]\nno_scm = true\nanalytics = false\nremote = s3\n"
        f"['remote \"s3\"']\nurl = {remote.remote}\nendpointurl = {s3.endpoint}\n"
    )
    for command in (["add", "model"], ["push"]):
        subprocess.run(
            [sys.executable, "-m", "dvc", "--quiet", *command],
            cwd=tmp_path / "project",
            env={**os.environ, **s3.environment()},
            check=True,
        )
    pointer = yaml.safe_load((tmp_path / "project" / "model.dvc").read_text())
    version = pointer["outs"][0]["md5"].removesuffix(".dir")
    assert files_of(fetch(version, remote)) == files_of(source)


def test_cached_version_needs_no_s3(push: Push, remote: Settings) -> None:
    version = push({"a.txt": b"one"})
    fetch(version, remote)
    alone = remote.model_copy(update={"aws_endpoint_url": "http://127.0.0.1:9"})
    assert files_of(fetch(version, alone)) == {"a.txt": b"one"}


@pytest.mark.parametrize("damage", ["change", "remove", "listing"])
def test_damaged_cache_is_pulled_again(push: Push, remote: Settings, damage: str) -> None:
    version = push({"a.txt": b"one"})
    folder = fetch(version, remote)
    if damage == "change":
        (folder / "a.txt").write_bytes(b"two")
    elif damage == "remove":
        (folder / "a.txt").unlink()
    else:
        (folder / LISTING).write_bytes(b"[]")
    assert files_of(fetch(version, remote)) == {"a.txt": b"one"}


def test_object_changed_in_s3_is_refused(
    push: Push, bucket: Callable[[str, bytes | None], None], remote: Settings
) -> None:
    version = push({"a.txt": b"one"})
    bucket(key(md5(b"one")), b"onf")
    with pytest.raises(StoreError, match=f"md5 {md5(b'onf')} instead of {md5(b'one')}"):
        fetch(version, remote)
    assert list(remote.model_cache.iterdir()) == []


def test_listing_changed_in_s3_is_refused(
    push: Push, bucket: Callable[[str, bytes | None], None], remote: Settings
) -> None:
    version = push({"a.txt": b"one"})
    bucket(key(version) + ".dir", b"[]")
    with pytest.raises(StoreError, match="it was changed"):
        fetch(version, remote)


@pytest.mark.parametrize("path", ["../a", "/tmp/a", "sub/../../a", ".dir", ""])
def test_listing_cannot_write_outside(
    bucket: Callable[[str, bytes | None], None], remote: Settings, path: str
) -> None:
    listing = json.dumps([{"md5": md5(b"one"), "relpath": path}]).encode()
    bucket(key(md5(listing)) + ".dir", listing)
    bucket(key(md5(b"one")), b"one")
    with pytest.raises(StoreError, match="names a path outside"):
        fetch(md5(listing), remote)


def test_object_missing_in_s3_says_to_push(
    push: Push, bucket: Callable[[str, bytes | None], None], remote: Settings
) -> None:
    version = push({"a.txt": b"one"})
    bucket(key(md5(b"one")), None)
    with pytest.raises(StoreError, match="dvc push"):
        fetch(version, remote)
    with pytest.raises(StoreError, match="dvc push"):
        fetch("0" * 32, remote)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"aws_access_key_id": "nobody"}, "refuses the key"),
        ({"aws_secret_access_key": SecretStr("wrong")}, "refuses the key"),
        ({"remote": "s3://no-such-bucket/x"}, "bucket does not exist"),
        ({"aws_endpoint_url": "http://127.0.0.1:9"}, "http://127.0.0.1:9"),
    ],
)
def test_s3_that_does_not_give_says_why(
    remote: Settings, change: dict[str, object], message: str
) -> None:
    with pytest.raises(StoreError, match=message):
        fetch("0" * 32, remote.model_copy(update=change))


def test_workers_may_pull_at_once(push: Push, remote: Settings) -> None:
    version = push({f"{i}.txt": bytes([i]) * 1000 for i in range(5)})
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: fetch(version, remote), range(4)))
    assert folders == {remote.model_cache / version}
    assert [path.name for path in remote.model_cache.iterdir()] == [version]
