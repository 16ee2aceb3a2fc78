"""Storage that speaks as Azure's and Google's do, on 127.0.0.1, for the tests.

Azure's is Azurite, Microsoft's emulator, from npm. Google's emulators in packages know another
interface than the one that is used here, XML, which an S3 server that asks for no key knows.
"""

import base64
import fcntl
import hashlib
import hmac
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.model.store import Remote
from app.settings import Settings
from local.processes import free_port, launch, stop, wait
from local.s3 import S3_PORTS, start_s3
from tests.conftest import ROOT, free_ports

AZURITE = "azurite@3.35.0"
INSTALLED = ROOT / ".local" / "npm" / AZURITE
ACCOUNT = "account"
KEY = base64.b64encode(b"the key of the tests' own account").decode()
BUCKET = "tests"
API = "2021-12-02"


@dataclass(frozen=True)
class Cloud:
    """A server and how it is found.

    Attributes:
        root: the URL of its bucket.
        environment: the variables of a program that uses it.
    """

    root: str
    environment: Mapping[str, str]

    def known_to(self, settings: Settings, folder: str) -> Settings:
        """The settings of a server whose remote is a folder there."""
        return settings.model_copy(
            update={
                "remote": f"{self.root}/{folder}",
                **{
                    name.lower(): SecretStr(value) if name.startswith("AZURE") else value
                    for name, value in self.environment.items()
                },
            }
        )


def connection(endpoint: str, key: str = KEY) -> str:
    """A connection string."""
    parts = f"AccountName={ACCOUNT};AccountKey={key};BlobEndpoint={endpoint}"
    return f"DefaultEndpointsProtocol=http;{parts};"


@contextmanager
def running_azure(folder: Path) -> Iterator[Cloud]:
    """Azurite with one container."""
    program = _installed_azurite()
    port = free_port()
    command = [
        *("node", str(program), "--blobHost", "127.0.0.1", "--blobPort", str(port)),
        *("--location", str(folder), "--silent", "--disableTelemetry"),
    ]
    environment = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
    service = launch("Azurite", command, environment, folder / "log", cwd=folder)
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    try:
        wait(service, endpoint, _listens)
        _create_container(endpoint)
        yield Cloud(f"az://{BUCKET}", {"AZURE_STORAGE_CONNECTION_STRING": connection(endpoint)})
    finally:
        stop(service)


@contextmanager
def running_google(folder: Path) -> Iterator[Cloud]:
    """An S3 server that asks for no key, with one bucket."""
    port = free_ports(S3_PORTS)
    service = start_s3(folder, port, "", "")
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait(service, f"{endpoint}/healthz")
        httpx.put(f"{endpoint}/{BUCKET}").raise_for_status()
        yield Cloud(f"gs://{BUCKET}", {"STORAGE_EMULATOR_HOST": endpoint})
    finally:
        stop(service)


def push(settings: Settings, files: Mapping[str, bytes]) -> str:
    """Push files to the settings' remote as DVC does; gives the version."""
    remote = Remote(settings)
    version, objects = as_pushed(files)
    for name, content in objects.items():
        remote.put(name, content)
    return version


def as_pushed(files: Mapping[str, bytes]) -> tuple[str, dict[str, bytes]]:
    """The version that files are, and DVC's objects of it by their keys."""
    entries = [{"md5": md5(files[name]), "relpath": name} for name in sorted(files)]
    listing = json.dumps(entries, sort_keys=True).encode()
    objects = {key(md5(content)): content for content in files.values()}
    return md5(listing), {**objects, key(md5(listing)) + ".dir": listing}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def key(digest: str) -> str:
    return f"files/md5/{digest[:2]}/{digest[2:]}"


def _installed_azurite() -> Path:
    """The program; installed once, for all tests and runs."""
    program = INSTALLED / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Azurite needs node and npm, which are not installed")
    INSTALLED.parent.mkdir(parents=True, exist_ok=True)
    with INSTALLED.with_name(f"{AZURITE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be installing it
        if not program.exists():
            draft = INSTALLED.with_name(f"{AZURITE}.partial")
            shutil.rmtree(draft, ignore_errors=True)
            options = ["--prefix", str(draft), "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run(
                ["npm", "install", *options, AZURITE], capture_output=True, text=True, check=False
            )
            if done.returncode:
                pytest.skip(f"npm does not bring {AZURITE}: {done.stderr[-300:]}")
            draft.rename(INSTALLED)
    return program


def _listens(url: str) -> bool:
    """Whether Azurite answers, be it with a refusal."""
    try:
        httpx.get(url, timeout=2)
    except httpx.TransportError:
        return False
    return True


def _create_container(endpoint: str) -> None:
    """As Azure's tools do: the library makes none."""
    headers: dict[str, Any] = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": API}
    lines = [f"{name}:{value}" for name, value in headers.items()]
    text = "\n".join(["PUT", *[""] * 11, *lines, f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}"])
    digest = hmac.digest(base64.b64decode(KEY), f"{text}\nrestype:container".encode(), "sha256")
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    reply = httpx.put(f"{endpoint}/{BUCKET}?restype=container", headers=headers)
    reply.raise_for_status()
