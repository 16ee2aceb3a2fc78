"""The proof that a version was rebuilt elsewhere with the same bits, signed by who did it.

`make verify SIGN=key` writes two objects beside the model in the DVC remote, below
`verifications/<version>/`: `<public key>.json`, a `Verification`, and `<public key>.sig`, the
Ed25519 signature of its bytes. The public key stands in hexadecimal digits. A server with
`SERVE_TRUSTED_KEYS` takes over no version without such a pair by one of those keys.
"""

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from app.model.store import LISTING, VERIFICATIONS, MissingError, Remote

if TYPE_CHECKING:
    from app.settings import Settings


class VerificationError(Exception):
    """A version must not be served, for nobody trusted has verified it; the text says why."""


class Rebuilt(BaseModel):
    """An output: the md5 that `dvc.lock` holds, and the md5 that the rebuild gave."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    locked: str | None
    rebuilt: str | None


class Verification(BaseModel):
    """`verification.json`.

    Attributes:
        version: the model's: the md5 of `model/serving` in `dvc.lock`, without `.dir`.
        commit: what was rebuilt.
        when: UTC, ISO 8601.
        same: whether every output came out as locked.
        outputs: by path.
        sha256: of each file of the model's folder, by name: md5, which is the version's, does not
            hold against someone who makes two files of one md5.
        machine: the processor, the system, and how the stages computed.
        cap: the settings that held the arithmetic.
        libraries: by name, their versions.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    version: str
    commit: str
    when: str
    same: bool
    outputs: dict[str, Rebuilt]
    sha256: dict[str, str]
    machine: dict[str, str]
    cap: dict[str, str]
    libraries: dict[str, str]


def key_text(key: bytes) -> str:
    """A public key as `make key` writes it and SERVE_TRUSTED_KEYS takes it."""
    return base64.b64encode(key).decode()


def places(version: str, key: bytes) -> tuple[str, str]:
    """Where a signer's verification of a version and its signature lie, below the remote."""
    stem = f"{VERIFICATIONS}/{version}/{key.hex()}"
    return f"{stem}.json", f"{stem}.sig"


def require(folder: Path, settings: "Settings") -> None:
    """Refuse a version that no trusted key has signed as verified.

    A signed verification is kept in the model cache, and its signature checked again each time.

    Args:
        folder: the version's, as `app.model.store.fetch` gives it.
        settings: with the keys, and where to look.

    Raises:
        VerificationError: there is none, or it does not hold.
        StoreError: S3 does not answer.
    """
    version, reasons = folder.name, []
    for key in settings.trusted_keys:
        try:
            said = _signed(version, key, settings)
            _check_files(folder, said)
        except MissingError:
            reasons.append(f"none by {key_text(key)}")
        except VerificationError as error:
            reasons.append(str(error))
        else:
            return
    raise VerificationError(
        f"Version {version} is not verified by a key of SERVE_TRUSTED_KEYS ({'; '.join(reasons)}). "
        "Run `make verify REV=commit SIGN=key` on a machine that holds such a key."
    )


def is_kept(folder: Path, settings: "Settings") -> bool:
    """Whether the model cache holds what `require` asks for; S3 is not asked."""
    for key in settings.trusted_keys:
        try:
            said = _kept(folder.name, key, settings)
            if said is not None:
                _check_files(folder, said)
                return True
        except VerificationError:
            continue  # damaged on this disk, or signed anew: S3 decides
    return False


def _kept(version: str, key: bytes, settings: "Settings") -> Verification | None:
    kept = [settings.model_cache / path for path in places(version, key)]
    if not all(file.exists() for file in kept):
        return None
    return check(version, key, *(file.read_bytes() for file in kept))


def _signed(version: str, key: bytes, settings: "Settings") -> Verification:
    try:
        if said := _kept(version, key, settings):
            return said
    except VerificationError:
        pass  # damaged on this disk, or signed anew: S3 decides
    remote = Remote(settings)
    paths = places(version, key)
    contents = [remote.get(path) for path in paths]
    said = check(version, key, *contents)
    for path, content in zip(paths, contents, strict=True):
        file = settings.model_cache / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return said


def check(version: str, key: bytes, statement: bytes, signature: bytes) -> Verification:
    """Check one verification; what it says.

    Raises:
        VerificationError: the signature is not the key's, or it says something else.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, statement)
        said = Verification.model_validate_json(statement)
    except InvalidSignature:
        raise VerificationError(f"the signature is not that of {key_text(key)}") from None
    except ValidationError as error:
        raise VerificationError(f"what {key_text(key)} signed is no verification") from error
    if said.version != version:
        raise VerificationError(f"what {key_text(key)} signed is about version {said.version}")
    if not said.same:
        raise VerificationError(f"what {key_text(key)} signed says that the rebuild differed")
    return said


def sha256(folder: Path) -> dict[str, str]:
    """The sha256 of each file of a version's folder, by name; without DVC's listing."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != LISTING)
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def _check_files(folder: Path, said: Verification) -> None:
    if sha256(folder) != said.sha256:
        raise VerificationError("the files have another sha256 than those that were verified")
