"""The model store against Azure's and Google's storage; S3's is in test_store.py."""

from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from app.model.store import LISTING, MissingError, Remote, StoreError, fetch
from app.settings import Settings
from tests.app.clouds import Cloud, key, md5, push
from tests.app.hanging import HEAD, Fault, s3_that
from tests.app.storage.test_clouds import NOBODYS, with_key

FILES: Mapping[str, bytes] = {"a.txt": b"one", "sub/b.txt": b"two", "same.txt": b"one"}


@pytest.fixture
def remote(settings: Settings, cloud: Cloud, request: pytest.FixtureRequest) -> Settings:
    """Settings of a server that reads below this test's prefix."""
    return cloud.known_to(settings, md5(request.node.name.encode()))


def google_at(settings: Settings, address: str) -> Settings:
    return settings.model_copy(
        update={"remote": "gs://tests/dvc", "storage_emulator_host": address}
    )


def test_version_is_pulled_whole(remote: Settings) -> None:
    version = push(remote, FILES)
    folder = fetch(version, remote)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert md5((folder / LISTING).read_bytes()) == version
    assert [path.name for path in remote.model_cache.iterdir()] == [version]


def test_every_piece_is_told(remote: Settings) -> None:
    told: list[int] = []
    one = Remote(remote, progress=lambda: told.append(1))
    one.put("large", b"x" * 2_000_000)
    assert one.get("large") == b"x" * 2_000_000
    assert len(told) > 5
    one.put("empty", b"")
    assert one.get("empty") == b""


def test_missing_object_says_to_push(remote: Settings) -> None:
    with pytest.raises(MissingError, match=r"the object is not there; run `dvc push`.*\.$"):
        fetch("0" * 32, remote)


def test_altered_object_is_refused(remote: Settings) -> None:
    version = push(remote, FILES)
    Remote(remote).put(key(md5(b"one")), b"onf")
    with pytest.raises(StoreError, match=f"md5 {md5(b'onf')} instead of {md5(b'one')}"):
        fetch(version, remote)
    assert list(remote.model_cache.iterdir()) == []


def test_missing_bucket_is_told_from_a_missing_object(remote: Settings, cloud: Cloud) -> None:
    elsewhere = remote.model_copy(update={"remote": f"{cloud.root}-not-there/dvc"})
    with pytest.raises(StoreError, match="bucket does not exist; check SERVE_REMOTE") as caught:
        fetch("0" * 32, elsewhere)
    assert not isinstance(caught.value, MissingError)
    with pytest.raises(StoreError, match="Check the path"):
        Remote(elsewhere).put("a", b"")


def test_azure_that_refuses_the_key_says_so(settings: Settings, azure: Cloud) -> None:
    known = with_key(azure.known_to(settings, "dvc"), azure, NOBODYS)
    with pytest.raises(StoreError, match="refuses the key; check AZURE_STORAGE_CONNECTION_STRING"):
        fetch("0" * 32, known)


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_google_that_refuses_the_key_says_so(settings: Settings, status: str) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with (
        s3_that(Fault(head=head.encode(), ends=True)) as address,
        pytest.raises(StoreError, match="refuses the key; check GOOGLE_APPLICATION_CREDENTIALS"),
    ):
        fetch("0" * 32, google_at(settings, address))


def test_object_that_is_cut_is_not_taken(settings: Settings) -> None:
    with (
        s3_that(Fault(head=HEAD + b"x", ends=True)) as address,
        pytest.raises(StoreError, match=f"Cannot read gs://.*that {address} can be reached"),
    ):
        fetch("0" * 32, google_at(settings, address))


def test_remote_that_is_not_there_says_what_to_check(settings: Settings) -> None:
    with pytest.raises(StoreError, match=r"Check GOOGLE.*, and that http://127\.0\.0\.1:9 can be"):
        fetch("0" * 32, google_at(settings, "http://127.0.0.1:9"))


def test_remote_without_an_account_says_so(settings: Settings) -> None:
    nobodys = settings.model_copy(
        update={"remote": "az://tests", "azure_storage_key": SecretStr(NOBODYS)}
    )
    with pytest.raises(StoreError, match="Account must be specified"):
        fetch("0" * 32, nobodys)
