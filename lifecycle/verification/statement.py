"""The verification as a file, its signature, and both beside the model in S3."""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.model.manifest import Manifest
from app.model.store import Remote
from app.model.verification import Rebuilt, Verification, key_text, places, sha256
from app.settings import Settings
from lifecycle.verification.comparison import Compared
from stages.arithmetic import CAP
from stages.files import SERVING

STATEMENT = Path("verification.json")
SIGNATURE = Path("verification.sig")
STATE = "import json; from stages import arithmetic; print(json.dumps(arithmetic.state()))"


class SigningError(Exception):
    """A key cannot be read or made; the message says why."""


def statement(version: str, commit: str, clone: Path, compared: Sequence[Compared]) -> Verification:
    """What a rebuild showed, and on which machine."""
    return Verification(
        version=version,
        commit=commit,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        same=not any(one.fault for one in compared),
        outputs={one.path: Rebuilt(locked=one.locked, rebuilt=one.rebuilt) for one in compared},
        sha256=sha256(clone / SERVING),
        machine=machine(),
        cap=dict(CAP),
        libraries=Manifest.read(clone / SERVING).lineage["libraries"],
    )


def machine() -> dict[str, str]:
    """The processor, the system, and how a stage computes on them."""
    done = subprocess.run(  # noqa: S603 - a process of its own, for the cap is set before it starts
        [sys.executable, "-c", STATE],
        env={**os.environ, **CAP},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {
        "processor": processor(),
        "system": platform.platform(),
        "C library": " ".join(platform.libc_ver()),
        "Python": platform.python_version(),
        **json.loads(done.stdout),
    }


def processor() -> str:
    """The processor by name."""
    described = Path("/proc/cpuinfo")
    text = described.read_text() if described.exists() else ""
    names = re.findall(r"^model name\s*: (.*)$", text, re.M)
    return names[0] if names else platform.processor() or platform.machine()


def write(said: Verification) -> bytes:
    """Write `verification.json`; its bytes."""
    content = (said.model_dump_json(indent=2) + "\n").encode()
    STATEMENT.write_bytes(content)
    SIGNATURE.unlink(missing_ok=True)  # it would be that of another one
    return content


def sign(content: bytes, version: str, key: Ed25519PrivateKey, settings: Settings) -> None:
    """Sign `verification.json`, and put it and the signature beside the model in S3."""
    signature = key.sign(content)
    SIGNATURE.write_bytes(signature)
    remote = Remote(settings)
    for path, one in zip(places(version, public(key)), (content, signature), strict=True):
        remote.put(path, one)


def public(key: Ed25519PrivateKey) -> bytes:
    """A private key's public key, 32 bytes."""
    return key.public_key().public_bytes_raw()


def read_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key, as `make key` and `openssl genpkey -algorithm ed25519` write it.

    Raises:
        SigningError: it is none.
    """
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise SigningError(f"SIGN={path}: {error}. `make key KEY={path}` makes one.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError(f"SIGN={path}: it is no Ed25519 key. `make key` makes one.")
    return key


def make_key(path: Path) -> Path:
    """Write a new private key, readable by its owner alone, and its public one in base64.

    Returns:
        The public key's file: `path` with `.pub` behind.

    Raises:
        SigningError: there is a file already.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        path.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise SigningError(f"KEY={path}: {error}") from error
    path.write_bytes(pem)
    beside = path.with_name(f"{path.name}.pub")
    beside.write_text(key_text(public(key)) + "\n")
    return beside
