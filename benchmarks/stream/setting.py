"""What every figure of the stream needs: a broker of its own, workers, requests and answers."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nats
import numpy as np
import psutil
from nats.js import JetStreamContext
from nats.js.api import Header

from app.stream.broker import Names
from app.stream.jetstream import answers_stream, prepare
from benchmarks.workspace import Workspace
from local import broker, processes

PROJECT = Path(__file__).parents[2]
IN_FLIGHT = 2_000  # requests whose confirmation is awaited
POLL_SECONDS = 0.02
PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Setting:
    """A folder with a locked model, and a broker.

    Attributes:
        folder: where workers run.
        url: the broker's.
    """

    folder: Path
    url: str

    def start_broker(self) -> processes.Service:
        """Start the broker, on the data that it left."""
        service = broker.start_broker(self.folder, self.url)
        processes.wait(service, self.url, broker.broker_answers)
        return service

    def start(self, module: str, *arguments: str) -> psutil.Popen:
        """Start a worker."""
        settings = {
            "NATS_URL": self.url,
            "PYTHONPATH": str(PROJECT),
            "SERVE_REMOTE": "s3://nowhere/models",
            "SERVE_MODEL_CACHE": "models",
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SERVE_"))}
        with (self.folder / "workers.log").open("ab") as log:
            return psutil.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=self.folder,
                env=inherited | settings,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @asynccontextmanager
    async def stream(self, name: str) -> AsyncIterator[tuple[JetStreamContext, Names]]:
        """Connect, with the streams of a name."""
        connection = await nats.connect(
            self.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_ignore
        )
        try:
            js, names = connection.jetstream(), Names(name)
            await prepare(js, names)
            yield js, names
        finally:
            await connection.close()


def bodies(workspace: Workspace) -> list[bytes]:
    """The model's table as requests."""
    kinds = {feature.name: feature.kind for feature in workspace.manifest.features}
    return [
        json.dumps({name: _value(kinds[str(name)], text) for name, text in row.items()}).encode()
        for row in workspace.table.to_dict("records")
    ]


def _value(kind: str, text: object) -> object:
    if not isinstance(text, str):
        return None
    if kind == "boolean":
        return text.lower() in ("true", "1")
    return float(text) if kind == "number" else text


async def fill(js: JetStreamContext, names: Names, requests: Sequence[bytes], count: int) -> None:
    """Send so many requests, their numbers as ids, until the broker has confirmed each."""
    for start in range(0, count, IN_FLIGHT):
        confirmations = [
            await js.publish_async(
                names.requests,
                requests[number % len(requests)],
                headers={Header.MSG_ID: str(number)},
            )
            for number in range(start, min(count, start + IN_FLIGHT))
        ]
        await asyncio.gather(*confirmations)


async def answered(js: JetStreamContext, names: Names, count: int) -> tuple[float, int]:
    """Wait until so many answers are there; the moment, by `time.perf_counter`, and how many.

    Raises:
        RuntimeError: they do not come.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (here := (await js.stream_info(answers_stream(names))).state.messages) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"Only {here} of {count} answers came.")
        await asyncio.sleep(POLL_SECONDS)
    return time.perf_counter(), here


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return float(np.quantile(values, share, method="inverted_cdf"))


async def _ignore(error: Exception) -> None:
    """The client mends a lost connection itself."""
