"""Model versions outside DVC: locked and stored as `dvc repro` and `dvc push` would."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from local.s3 import s3_client


def publish(folder: Path, cache: Path) -> str:
    """Put a model folder in a server's cache; return its version."""
    entries = [
        {"md5": _md5(path.read_bytes()), "relpath": path.name} for path in sorted(folder.iterdir())
    ]
    listing = json.dumps(entries, sort_keys=True).encode()
    version = _md5(listing)
    shutil.copytree(folder, cache / version)
    (cache / version / ".dir").write_bytes(listing)
    return version


def lock(version: str, lock_file: Path) -> None:
    """Write the `dvc.lock` that names a version, at once."""
    out = {"path": "model/serving", "hash": "md5", "md5": f"{version}.dir", "nfiles": 2}
    stages = {"deploy": {"cmd": "python -m stages.deploy", "outs": [out]}}
    draft = lock_file.with_suffix(".draft")
    draft.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    draft.rename(lock_file)


def push(folder: Path, remote: str, s3: Mapping[str, str]) -> None:
    """Upload a version's folder of a server's cache to `s3://bucket/prefix`."""
    bucket, _, prefix = remote.removeprefix("s3://").partition("/")
    files = {f"{folder.name}.dir": folder / ".dir"}
    for entry in json.loads((folder / ".dir").read_bytes()):
        files[entry["md5"]] = folder / entry["relpath"]
    client = s3_client(s3)
    for md5, path in files.items():
        client.upload_file(str(path), bucket, f"{prefix}/files/md5/{md5[:2]}/{md5[2:]}")


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
