"""Which verification a server trusts, and which it refuses, against a real S3."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr, ValidationError

from app.model.store import Remote, StoreError
from app.model.verification import Verification, VerificationError, places, require, sha256
from app.settings import Settings
from tests.app.clouds import Cloud
from tests.app.conftest import IsolatedSettings, publish, serve, write_model
from tests.app.waiting import wait_for
from tests.conftest import S3

FILES = {"model.onnx": b"a graph", "manifest.json": b"{}"}
VERSION = "5" * 32
KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()

Sign = Callable[..., None]


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


@pytest.fixture
def trusting(s3: S3, settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Settings of a server that trusts one key and reads below this test's prefix."""
    prefix = hashlib.md5(request.node.name.encode()).hexdigest()
    return settings.model_copy(
        update={
            "remote": f"s3://{s3.bucket}/{prefix}",
            "aws_endpoint_url": s3.endpoint,
            "aws_access_key_id": s3.key_id,
            "aws_secret_access_key": SecretStr(s3.secret),
            "aws_region": "us-east-1",
            "trusted_keys": (public(KEY),),
        }
    )


@pytest.fixture
def folder(trusting: Settings) -> Path:
    """A version's folder, as it is in the model cache."""
    return pulled(trusting, VERSION)


def pulled(settings: Settings, version: str) -> Path:
    folder = settings.model_cache / version
    folder.mkdir(parents=True)
    for name, content in {**FILES, ".dir": b"[]"}.items():
        (folder / name).write_bytes(content)
    return folder


def sign(
    settings: Settings,
    version: str = VERSION,
    by: Ed25519PrivateKey = KEY,
    posing_as: Ed25519PrivateKey | None = None,
    **changes: Any,
) -> None:
    """Put a signed verification where `make verify` would."""
    fields: Mapping[str, Any] = {
        "version": version,
        "commit": "c" * 40,
        "when": "2026-01-01T00:00:00+00:00",
        "same": True,
        "outputs": {},
        "sha256": {name: hashlib.sha256(one).hexdigest() for name, one in FILES.items()},
        "machine": {},
        "cap": {},
        "libraries": {},
    }
    content = Verification.model_validate({**fields, **changes}).model_dump_json().encode()
    remote = Remote(settings)
    paths = places(version, public(posing_as or by))
    for path, one in zip(paths, (content, by.sign(content)), strict=True):
        remote.put(path, one)


def test_a_version_signed_by_a_trusted_key_is_accepted(trusting: Settings, folder: Path) -> None:
    sign(trusting)
    require(folder, trusting)
    # Kept in the cache: S3 is asked no more
    require(folder, trusting.model_copy(update={"aws_endpoint_url": "http://127.0.0.1:9"}))


def test_a_signature_may_lie_on_another_cloud(
    settings: Settings, cloud: Cloud, tmp_path: Path
) -> None:
    known = cloud.known_to(settings, tmp_path.name)
    trusting = known.model_copy(update={"trusted_keys": (public(KEY),)})
    folder = pulled(trusting, VERSION)
    with pytest.raises(VerificationError, match="none by"):
        require(folder, trusting)
    sign(trusting)
    require(folder, trusting)


def test_one_trusted_key_of_several_is_enough(trusting: Settings, folder: Path) -> None:
    sign(trusting, by=OTHER)
    keys = (public(KEY), public(OTHER))
    require(folder, trusting.model_copy(update={"trusted_keys": keys}))


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        ({}, "none by"),
        ({"by": OTHER}, "none by"),
        ({"by": OTHER, "posing_as": KEY}, "the signature is not that of"),
        ({"same": False}, "says that the rebuild differed"),
    ],
    ids=["unsigned", "stranger", "forged", "different"],
)
def test_any_other_version_is_refused_with_a_reason(
    trusting: Settings, folder: Path, signed: dict[str, Any], reason: str
) -> None:
    if signed:
        sign(trusting, **signed)
    with pytest.raises(VerificationError, match=reason) as refusal:
        require(folder, trusting)
    assert "make verify REV=commit SIGN=key" in str(refusal.value)


@pytest.mark.parametrize("change", ["edit", "add", "remove"])
def test_files_that_are_not_those_verified_are_refused(
    trusting: Settings, folder: Path, change: str
) -> None:
    """Even where their md5 is the version's, which `fetch` has checked before."""
    sign(trusting)
    if change == "remove":
        (folder / "model.onnx").unlink()
    else:
        (folder / ("model.onnx" if change == "edit" else "more")).write_bytes(b"another graph")
    with pytest.raises(VerificationError, match="another sha256 than those that were verified"):
        require(folder, trusting)


def test_the_verification_of_another_version_is_refused(trusting: Settings, folder: Path) -> None:
    sign(trusting)
    remote = Remote(trusting)
    other = "6" * 32
    for ours, theirs in zip(places(VERSION, public(KEY)), places(other, public(KEY)), strict=True):
        remote.put(theirs, remote.get(ours))
    with pytest.raises(VerificationError, match=f"is about version {VERSION}"):
        require(pulled(trusting, other), trusting)


def test_what_was_changed_in_the_cache_is_fetched_again(trusting: Settings, folder: Path) -> None:
    sign(trusting)
    require(folder, trusting)
    kept = trusting.model_cache / places(VERSION, public(KEY))[0]
    whole = kept.read_bytes()
    kept.write_bytes(whole.replace(b"true", b"True"))
    require(folder, trusting)
    assert kept.read_bytes() == whole


def test_a_silent_s3_verifies_nothing(trusting: Settings, folder: Path) -> None:
    unreachable = trusting.model_copy(update={"aws_endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(StoreError, match="Check AWS_ENDPOINT_URL"):
        require(folder, unreachable)


def test_a_server_goes_on_with_the_old_version_until_the_new_one_is_verified(
    trusting: Settings, tmp_path: Path
) -> None:
    settings = trusting.model_copy(update={"api_key": SecretStr("a key")})
    folders = [write_model(tmp_path / f"model{shift}", shift=shift) for shift in (0.0, 1.0)]
    old = publish(folders[0], settings.model_cache, settings.lock_file)
    sign(settings, old, sha256=sha256(settings.model_cache / old))
    with serve(settings) as client:
        wait_for(lambda: client.get("/ready").status_code == 200)  # the signature is in S3 alone
        assert client.get("/model").json()["version"] == old
        new = publish(folders[1], settings.model_cache, settings.lock_file)
        reply = client.post("/reload", headers={"X-API-Key": "a key"})
        assert reply.status_code == 503
        assert f"Version {new} is not verified by a key of SERVE_TRUSTED_KEYS" in reply.text
        assert client.get("/model").json()["version"] == old
        assert client.get("/ready").status_code == 200
        sign(settings, new, sha256=sha256(settings.model_cache / new))
        assert client.post("/reload", headers={"X-API-Key": "a key"}).json()["changed"] is True
        assert client.get("/model").json()["version"] == new


def test_keys_are_read_from_base64_and_from_files(tmp_path: Path) -> None:
    ours, theirs = (base64.b64encode(public(key)).decode() for key in (KEY, OTHER))
    file = tmp_path / "release.pub"
    file.write_text(f"{theirs}\n")
    settings = IsolatedSettings.model_validate(
        {"remote": "s3://bucket/prefix", "trusted_keys": f"{ours}, {file}"}
    )
    assert settings.trusted_keys == (public(KEY), public(OTHER))


@pytest.mark.parametrize("wrong", ["release.pub", "AAAA", "ö"])
def test_a_key_that_is_none_is_named(wrong: str) -> None:
    with pytest.raises(ValidationError, match="neither a file nor 32 bytes in base64"):
        IsolatedSettings.model_validate({"remote": "s3://bucket/prefix", "trusted_keys": wrong})
