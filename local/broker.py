"""A local NATS broker with JetStream, for `app.stream`; nobody uses it without the password."""

import json
import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from local.private_file import write_private
from local.processes import Service, launch

BROKER = "NATS"
LARGEST_MESSAGE = 8 * 1024**2  # bytes


def start_broker(folder: Path, url: str) -> Service:
    """Start it on 127.0.0.1.

    Args:
        folder: for its data and its log.
        url: `nats://user:password@127.0.0.1:port`.
    """
    parts = urlsplit(url)
    data = (folder / "nats").absolute()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = {
        "listen": f"127.0.0.1:{parts.port}",
        "authorization": {"user": parts.username, "password": parts.password},
        "jetstream": {"store_dir": str(data)},
        "max_payload": LARGEST_MESSAGE,
    }
    # In a file: a command line can be read by everyone.
    write_private(data / "broker.json", json.dumps(settings))
    command = [
        str(Path(sys.executable).with_name("nats-server")),
        "--config",
        str(data / "broker.json"),
    ]
    return launch(BROKER, command, os.environ, folder / "logs" / "nats.log")


def broker_answers(url: str) -> bool:
    """Whether a broker greets who connects."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=2) as one:
            return one.recv(4) == b"INFO"
    except OSError:
        return False
