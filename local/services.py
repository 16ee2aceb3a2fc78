"""The local services: S3 (SeaweedFS), the MLflow tracking server, a broker; on loopback only.

$ python -m local.services up      # start what is ours and not running, wait until it answers
$ python -m local.services up --stream    # the broker of app.stream, too
$ python -m local.services down    # stop just what `up` started

Their addresses and credentials are those of `.env`; their data and logs live in `.local/`.
"""

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from local import environment
from local.broker import BROKER, broker_answers, start_broker
from local.processes import (
    Service,
    ServiceError,
    answers_http,
    launch,
    port_owner,
    stop,
    wait,
)
from local.s3 import S3_PORTS, create_bucket, start_s3, takes_key

# Each service: the setting that holds its URL, how many ports it takes, where it tells its health
SERVICES = {
    "S3": ("AWS_ENDPOINT_URL", S3_PORTS, "healthz"),
    "MLflow": ("MLFLOW_TRACKING_URI", 1, "health"),
}


def start_mlflow(
    folder: Path, port: int, artifacts: str, s3: Mapping[str, str], database: str = ""
) -> Service:
    """Start the MLflow server.

    Args:
        folder: for its database and log.
        port: on 127.0.0.1.
        artifacts: the URL, in S3, of the artifacts that it hands on.
        s3: the variables by which it finds that S3.
        database: its URL; SQLite in the folder where it is empty.
    """
    sqlite = f"sqlite:///{folder / 'mlflow.db'}"
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host=127.0.0.1",
        f"--port={port}",
        "--workers=1",
        f"--backend-store-uri={database or sqlite}",
        f"--artifacts-destination={artifacts}",
    ]
    environment = {
        **os.environ,
        **s3,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # scorers and the like: not used here
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    return launch("MLflow", command, environment, folder / "logs" / "mlflow.log")


def up(root: Path, *, stream: bool = False) -> list[Service]:
    """Start what is ours and not running, and wait until it answers; with `stream` a broker, too.

    A service whose URL in `.env` is empty or names another host is somebody else's: skipped.

    Returns:
        What this call started; empty when all ran already.

    Raises:
        ServiceError: a port is taken by a stranger, or a server does not come up.
    """
    settings = environment.settings(root / ".env", os.environ)
    with locked(root / ".local") as folder:
        ports = local_ports(settings)
        missing = {n: port for n, port in ports.items() if service(folder, n).first() is None}
        for name in missing:
            stop(service(folder, name))  # what is left of one whose first process was killed
        shared = {name for name, port in missing.items() if is_anothers(name, port, settings)}
        missing = {name: port for name, port in missing.items() if name not in shared}
        for name, port in missing.items():
            refuse_taken(name, port)
        bucket = urlsplit(settings["SERVE_REMOTE"]).netloc
        started = []
        if "S3" in missing:
            key, secret = settings["AWS_ACCESS_KEY_ID"], settings["AWS_SECRET_ACCESS_KEY"]
            started.append(start_s3(folder, missing["S3"], key, secret))
        if "MLflow" in missing:
            artifacts = f"s3://{bucket}/mlflow"
            started.append(start_mlflow(folder, missing["MLflow"], artifacts, settings))
        for name in ports:
            variable, _, health = SERVICES[name]
            if name not in shared:
                wait(service(folder, name), f"{settings[variable]}/{health}")
            owner = ", started elsewhere (another clone's, say)" if name in shared else ""
            print(f"{name} answers at {settings[variable]}{owner}", flush=True)
        if "S3" in ports:  # a bucket elsewhere is its owner's to create
            create_bucket(bucket, settings)
        if stream:
            started += up_broker(folder, settings.get("NATS_URL", ""))
    return started


def up_broker(folder: Path, url: str) -> list[Service]:
    """Start the broker of `app.stream` where it does not run; see `up`."""
    parts = urlsplit(url)
    if parts.hostname != "127.0.0.1" or parts.port is None or not parts.password:
        raise ServiceError(
            "NATS is not started: NATS_URL in .env is not nats://USER:PASSWORD@127.0.0.1:PORT. "
            "A line of .env.example shows it; choose a password."
        )
    broker, started = service(folder, BROKER), []
    if broker.first() is None:
        if owner := port_owner(parts.port):
            raise ServiceError(
                f"Port {parts.port}, which the NATS server needs, is taken by {owner}. Stop that, "
                "or name another port in .env, NATS_URL, and repeat."
            )
        started.append(broker := start_broker(folder, url))
    wait(broker, url, broker_answers)
    print(f"NATS answers at nats://127.0.0.1:{parts.port}", flush=True)
    return started


def down(root: Path) -> None:
    """Stop what `up` started, and nothing else."""
    with locked(root / ".local") as folder:
        for name in SERVICES:
            print(f"{name} {'stopped' if stop(service(folder, name)) else 'was not running'}")
        if stop(service(folder, BROKER)):
            print("NATS stopped")


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """The folder of the services, for one `up` or `down` at a time; another one waits."""
    folder.mkdir(exist_ok=True)
    with (folder / "services.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def service(folder: Path, name: str) -> Service:
    """A service of the project, whether it runs or not."""
    return Service(name, folder / "logs" / f"{name.lower()}.log")


def local_ports(settings: Mapping[str, str]) -> dict[str, int]:
    """The port of each service that is ours to start; says which are not."""
    ports = {}
    for name, (variable, _, _) in SERVICES.items():
        url = settings.get(variable, "")
        parts = urlsplit(url)
        if parts.hostname == "127.0.0.1" and parts.port is not None:
            ports[name] = parts.port
        else:
            print(f"{name} is not started: {variable}={url} is not http://127.0.0.1:PORT")
    return ports


def is_anothers(name: str, port: int, settings: Mapping[str, str]) -> bool:
    """Whether such a service, started elsewhere, answers at a port and takes our key.

    Raises:
        ServiceError: it is an S3 server that refuses the key.
    """
    if port_owner(port) is None:
        return False
    variable, _, health = SERVICES[name]
    if not answers_http(f"{settings[variable]}/{health}"):
        return False
    if name == "S3" and not takes_key(settings):
        raise ServiceError(
            f"An S3 server that this clone did not start answers at {settings[variable]} and "
            "refuses its key. To share it, copy AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY from "
            f"the .env of the clone that started it; or set a free port in {variable}. Then "
            "`make setup`, and repeat."
        )
    return True


def refuse_taken(name: str, first: int) -> None:
    """Raise ServiceError when another program listens on one of a service's ports."""
    variable, count, _ = SERVICES[name]
    for port in range(first, first + count):
        if owner := port_owner(port):
            raise ServiceError(
                f"Port {port}, which the {name} server needs, is taken by {owner}. Stop that, or "
                f"name another port in .env, {variable}=http://127.0.0.1:PORT, and repeat."
            )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["up", "down"])
    parser.add_argument("--stream", action="store_true", help="the broker of app.stream, too")
    arguments = parser.parse_args()
    try:
        if arguments.action == "up":
            up(Path.cwd(), stream=arguments.stream)
        else:
            down(Path.cwd())
    except ServiceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
