"""The local services: S3 (SeaweedFS) and the MLflow tracking server, on loopback only.

$ python -m local.services up      # start what is ours and not running, wait until it answers
$ python -m local.services down    # stop just what `up` started

Their addresses and credentials are those of `.env`; their data and logs live in `.local/`.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import psutil
from botocore.exceptions import BotoCoreError, ClientError
from dotenv import dotenv_values

START_SECONDS = 60
STOP_SECONDS = 3
# SeaweedFS is four servers, each with an HTTP and a gRPC port; S3's comes first.
S3_PORTS = 8


class ServiceError(Exception):
    """A service cannot be started; the message says which, why and what to do."""


@dataclass(frozen=True)
class Started:
    """A process that `up` started. The start time tells it from a later one with its number.

    `child` is the same process where this very program started it.
    """

    name: str
    pid: int
    created: float
    child: subprocess.Popen[bytes] | None = field(default=None, compare=False, repr=False)

    def process(self) -> psutil.Process | None:
        """The process, or None when it has ended."""
        try:
            process = psutil.Process(self.pid)
        except psutil.NoSuchProcess:
            return None
        return process if process.create_time() == self.created else None


def local_port(url: str) -> int | None:
    """The port of a service that is ours to start, from its URL in `.env`; None for any other."""
    parts = urlsplit(url)
    return parts.port if parts.hostname == "127.0.0.1" else None


def owner(port: int) -> str | None:
    """Who listens on a port of this machine: a description, or None when it is free."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # some systems show them to the administrator only
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
            if connection.pid is None:
                return "another user's process"
            process = psutil.Process(connection.pid)
            return f"process {process.pid} ({' '.join(process.cmdline())[:80]})"
    return None


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def answers(url: str) -> bool:
    """Whether an HTTP server answers 2xx at `url`."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 - loopback only
            return bool(reply.status < 300)
    except (urllib.error.URLError, OSError):
        return False


def launch(
    name: str,
    command: Sequence[str],
    environment: dict[str, str],
    log: Path,
    cwd: Path | None = None,
) -> Started:
    """Start a process that outlives this one, its output in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command line
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=cwd,
        )
    return Started(name, process.pid, psutil.Process(process.pid).create_time(), process)


def wait(started: Started, url: str, log: Path) -> None:
    """Wait until a started service answers, or raise with the end of its log."""
    deadline = time.monotonic() + START_SECONDS
    while not answers(url):
        process = started.process()
        dead = process is None or process.status() == psutil.STATUS_ZOMBIE
        if dead or time.monotonic() > deadline:
            state = "ended" if dead else f"does not answer after {START_SECONDS} s"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            stop(started)
            raise ServiceError(f"The {started.name} server {state}. Its log ({log}):\n{tail}")
        time.sleep(0.1)


def start_s3(folder: Path, port: int, key: str, secret: str) -> tuple[Started, Path]:
    """Start SeaweedFS with just the servers that S3 needs, all on 127.0.0.1."""
    data = folder / "s3"
    data.mkdir(parents=True, exist_ok=True)
    names = ["s3", "master", "volume", "filer"]
    ports = [
        f"-{name}.port{kind}={port + 2 * i + j}"
        for i, name in enumerate(names)
        for j, kind in enumerate(["", ".grpc"])
    ]
    command = [
        str(Path(sys.executable).with_name("weed")),
        "server",
        "-s3",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *ports,
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=1024",
        "-volume.max=0",
        "-volume.preStopSeconds=0",
    ]
    log = folder / "logs" / "s3.log"
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    return launch("S3", command, environment, log), log


def start_mlflow(
    folder: Path, port: int, artifacts: str, s3: dict[str, str]
) -> tuple[Started, Path]:
    """Start the MLflow server: runs in SQLite, artifacts at an S3 URL that it proxies."""
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host=127.0.0.1",
        f"--port={port}",
        "--workers=1",
        f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}",
        f"--artifacts-destination={artifacts}",
    ]
    environment = {
        **os.environ,
        **s3,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # scorers and the like: not used here
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    log = folder / "logs" / "mlflow.log"
    return launch("MLflow", command, environment, log), log


def s3_client(s3: Mapping[str, str]) -> Any:
    """A client of the S3 that the AWS_* variables in `s3` name."""
    return boto3.client(
        "s3",
        endpoint_url=s3["AWS_ENDPOINT_URL"] or None,  # empty means Amazon's
        aws_access_key_id=s3["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=s3["AWS_SECRET_ACCESS_KEY"],
        region_name=s3["AWS_DEFAULT_REGION"],
    )


def create_bucket(bucket: str, s3: Mapping[str, str]) -> None:
    """Create the bucket if it is missing; a server that has just started may need a moment."""
    client = s3_client(s3)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            client.create_bucket(Bucket=bucket)
            return
        except client.exceptions.BucketAlreadyOwnedByYou:
            return
        except (BotoCoreError, ClientError) as error:
            refused = isinstance(error, ClientError) and error.response["Error"]["Code"] in {
                "AccessDenied",
                "InvalidAccessKeyId",
                "SignatureDoesNotMatch",
            }
            if refused or time.monotonic() > deadline:
                raise ServiceError(
                    f"S3 at {s3['AWS_ENDPOINT_URL']} will not create the bucket {bucket}: {error}. "
                    "If the keys in .env changed since it started, run `make down` and `make up`."
                ) from error
            time.sleep(0.2)


def stop(started: Started) -> bool:
    """Stop a started process with its children; False when it had ended already."""
    process = started.process()
    if process is not None:
        family = [process, *process.children(recursive=True)]
        for member in family:
            member.terminate()
        for member in psutil.wait_procs(family, timeout=STOP_SECONDS)[1]:
            member.kill()
        psutil.wait_procs(family, timeout=STOP_SECONDS)
    if started.child is not None:
        started.child.wait(STOP_SECONDS)
    return process is not None


def read_state(path: Path) -> list[Started]:
    """The processes that an earlier `up` started."""
    if not path.exists():
        return []
    return [Started(**one) for one in json.loads(path.read_text())]


def write_state(path: Path, started: Sequence[Started]) -> None:
    """Remember what was started, for `down`."""
    known = [{"name": one.name, "pid": one.pid, "created": one.created} for one in started]
    path.write_text(json.dumps(known))


def up(root: Path) -> list[Started]:
    """Start what is ours and not running, and wait until it answers.

    A service whose URL in `.env` is empty or names another host is somebody else's: skipped.

    Returns:
        What this call started; empty when all ran already.

    Raises:
        ServiceError: a port is taken by a stranger, or a server does not come up.
    """
    settings = {name: value or "" for name, value in dotenv_values(root / ".env").items()}
    folder = root / ".local"
    folder.mkdir(exist_ok=True)
    state = folder / "services.json"
    running = [one for one in read_state(state) if one.process()]
    names = {one.name for one in running}
    addresses, missing = {}, {}  # of the services that are ours
    for name, variable, count, health in (
        ("S3", "AWS_ENDPOINT_URL", S3_PORTS, "healthz"),
        ("MLflow", "MLFLOW_TRACKING_URI", 1, "health"),
    ):
        url = settings.get(variable, "")
        port = local_port(url)
        if port is None:
            print(f"{name} is not started: {variable}={url} is not http://127.0.0.1:PORT")
            continue
        addresses[name] = (url, health)
        if name not in names:
            refuse_taken(name, range(port, port + count), variable)
            missing[name] = port
    bucket = urlsplit(settings["SERVE_REMOTE"]).netloc
    started = []
    if "S3" in missing:
        key, secret = settings["AWS_ACCESS_KEY_ID"], settings["AWS_SECRET_ACCESS_KEY"]
        started.append(start_s3(folder, missing["S3"], key, secret)[0])
    if "MLflow" in missing:
        artifacts = f"s3://{bucket}/mlflow"
        started.append(start_mlflow(folder, missing["MLflow"], artifacts, settings)[0])
    write_state(state, [*running, *started])
    for one in [*running, *started]:
        if one.name in addresses:
            address, health = addresses[one.name]
            wait(one, f"{address}/{health}", folder / "logs" / f"{one.name.lower()}.log")
            print(f"{one.name} answers at {address}", flush=True)
    if "S3" in addresses:  # a bucket elsewhere is its owner's to create
        create_bucket(bucket, settings)
    return started


def refuse_taken(name: str, ports: range, variable: str) -> None:
    """Raise ServiceError when another program listens on one of a service's ports."""
    for port in ports:
        if who := owner(port):
            raise ServiceError(
                f"Port {port}, which the {name} server needs, is taken by {who}. Stop that, or "
                f"name another port in .env, {variable}=http://127.0.0.1:PORT, and repeat."
            )


def down(root: Path) -> None:
    """Stop what `up` started, and nothing else."""
    state = root / ".local" / "services.json"
    for one in read_state(state):
        print(f"{one.name} {'stopped' if stop(one) else 'was not running'}")
    state.unlink(missing_ok=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["up", "down"])
    action = parser.parse_args().action
    try:
        if action == "up":
            up(Path.cwd())
        else:
            down(Path.cwd())
    except ServiceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
