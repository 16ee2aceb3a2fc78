"""Closed-loop load: so many connections, each sending its next request after the reply."""

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.connection import Call, Connection

SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True)
class Load:
    """What a server did under load.

    Attributes:
        answered: replies.
        failed: replies with an error status, broken connections, timeouts.
        seconds: how long it lasted.
        p50_ms: median latency, milliseconds.
        p99_ms: 99th percentile of the latency, milliseconds.
    """

    answered: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Good replies a second."""
        return (self.answered - self.failed) / self.seconds


def tool() -> str:
    """The load generator that `measure` uses: wrk where it is installed, else Python's."""
    return "wrk" if shutil.which("wrk") else "python"


def measure(call: Call, connections: int, seconds: float) -> Load:
    """Put a server under load.

    Args:
        call: what to send.
        connections: how many at once.
        seconds: how long; wrk rounds up to whole ones.
    """
    if tool() == "wrk":
        return measure_with_wrk(call, connections, seconds)
    return asyncio.run(measure_with_python(call, connections, seconds))


def measure_with_wrk(call: Call, connections: int, seconds: float) -> Load:
    """Let wrk do it."""
    with tempfile.NamedTemporaryFile() as body:
        body.write(call.body)
        body.flush()
        command = ["wrk", "--threads=1", f"--connections={connections}", "--timeout=60s"]
        command += [f"--duration={-int(-seconds // 1)}s", f"--script={SCRIPT}", call.url]
        done = subprocess.run(  # noqa: S603 - our own command line
            [*command, "--", body.name, call.content_type],
            capture_output=True,
            text=True,
            check=True,
        )
    return Load(**json.loads(done.stdout.splitlines()[-1]))


async def measure_with_python(call: Call, connections: int, seconds: float) -> Load:
    """Do it on this interpreter: some thousand requests a second, one a connection at least."""
    deadline = time.perf_counter() + seconds
    latencies: list[float] = []
    failed = 0

    async def repeat() -> None:
        nonlocal failed
        wire = call.wire
        async with Connection.open(call.address) as connection:
            now = time.perf_counter()
            while True:
                before = now
                reply = await connection.send(wire)
                now = time.perf_counter()
                latencies.append(now - before)
                failed += reply.status >= 400
                if now >= deadline:
                    return

    started = time.perf_counter()
    async with asyncio.timeout(seconds + 60), asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(repeat())
    lasted = time.perf_counter() - started
    p50, p99 = np.percentile(latencies, [50, 99]) * 1e3
    return Load(len(latencies), failed, lasted, float(p50), float(p99))
