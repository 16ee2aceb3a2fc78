"""Send the holdout through a stream, and show rates and latencies.

$ make stream-demo

Starts one worker under a name of its own; the broker must run. First all rows at once, as a
burst: what the worker can do. Then rows at half of that rate: how long each one waits.
"""

import asyncio
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import nats
import pandas as pd
from nats.aio.msg import Msg
from nats.js.api import Header

from app.model.manifest import Manifest
from app.stream.broker import Names
from app.stream.jetstream import answers_stream, prepare, requests_stream
from stages.files import TEST

NAME = "stream-demo"
TICK_SECONDS = 0.01
PATIENCE_SECONDS = 60
SERVING = Path("model/serving")


class Receiver:
    """Notes when each answer came."""

    def __init__(self) -> None:
        self.arrivals: dict[str, float] = {}
        self.rejected = 0

    async def on_message(self, message: Msg) -> None:
        """Note one."""
        headers = message.headers or {}
        self.arrivals[headers["id"]] = time.perf_counter()
        self.rejected += "reason" in headers

    async def wait_for(self, count: int) -> None:
        """Wait for so many answers."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.arrivals) < count:
            if time.monotonic() > deadline:
                sys.exit(f"Only {len(self.arrivals)} of {count} answers came. See the log above.")
            await asyncio.sleep(TICK_SECONDS)


def main() -> None:
    """Command line."""
    url = os.environ.get("NATS_URL", "")
    if not TEST.exists():
        sys.exit(f"{TEST} is not there. Run `dvc repro` or `dvc pull` first.")
    manifest = Manifest.read(SERVING)
    table = pd.read_parquet(TEST)[[feature.name for feature in manifest.features]]
    bodies = [line.encode() for line in table.to_json(orient="records", lines=True).splitlines()]
    command = [sys.executable, "-m", "app.stream", "--name", NAME]
    worker = subprocess.Popen(command)  # noqa: S603 - our own command line
    try:
        asyncio.run(demonstrate(url, bodies))
    finally:
        worker.terminate()
        worker.wait()


async def demonstrate(url: str, bodies: list[bytes]) -> None:
    """Send, receive, print."""
    connection = await nats.connect(url)
    js, names = connection.jetstream(), Names(NAME)
    await prepare(js, names)
    for stream in (requests_stream(names), answers_stream(names)):
        await js.purge_stream(stream)
    receiver = Receiver()
    for subject in (names.predictions, names.rejected):
        await connection.subscribe(subject, cb=receiver.on_message)
    run = f"{time.time_ns():x}"

    async def send(number: int) -> float:
        body = bodies[number % len(bodies)]
        sent = time.perf_counter()
        await js.publish_async(names.requests, body, headers={Header.MSG_ID: f"{run}-{number}"})
        return sent

    await send(0)  # when it is answered, the worker is ready
    await receiver.wait_for(1)
    count = len(bodies)
    begun = time.perf_counter()
    for number in range(1, count + 1):
        await send(number)
    await receiver.wait_for(count + 1)
    rate = count / (max(receiver.arrivals.values()) - begun)
    print(f"burst     {count:,} rows: {rate:,.0f} answers/s, {receiver.rejected:,} rejected")

    sent: dict[str, float] = {}
    steady = min(count, math.ceil(rate / 2 * 5))
    begun = time.perf_counter()
    for number in range(count + 1, count + 1 + steady):
        due = begun + (number - count) / (rate / 2)
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        sent[f"{run}-{number}"] = await send(number)
    await receiver.wait_for(count + 1 + steady)
    waits = sorted(receiver.arrivals[one] - moment for one, moment in sent.items())
    shares = {name: waits[int(len(waits) * share)] for name, share in PERCENTILES.items()}
    latencies = ", ".join(f"{name} {seconds * 1e3:.1f} ms" for name, seconds in shares.items())
    print(f"half rate {steady:,} rows at {rate / 2:,.0f}/s: {latencies}")
    await connection.close()


PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


if __name__ == "__main__":
    main()
