"""The stream's workers beside a bare loop of the same client, and under faults.

$ python -m benchmarks.stream [--root FOLDER] [--messages N] [--rounds N] [--seconds S] [--faults N]

Starts a broker of its own. Prints one JSON line; docs/benchmarks.md says what each figure means.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import nats
import psutil
import uvloop
from nats.aio.msg import Msg
from nats.js.api import Header

from app.stream.jetstream import answers_stream, requests_stream
from benchmarks import servers
from benchmarks.stream.faults import faults
from benchmarks.stream.setting import Setting, answered, bodies, fill, percentile
from benchmarks.workspace import Workspace, workspace_argument
from local import processes

FIRST = 0.1  # of the answers: until then a worker starts
KILLS = 5


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    workspace_argument(parser)
    parser.add_argument("--messages", type=int, default=50_000, help="in each turn of the rate")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each loop")
    parser.add_argument("--seconds", type=float, default=10, help="of the latency's load")
    parser.add_argument("--faults", type=int, default=200_000, help="messages under faults")
    parser.add_argument("--only", choices=("rates", "faults"), help="a part of it alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workspace = Workspace(given.root.resolve())
        servers.prepare_with_model(workspace, folder)
        url = f"nats://benchmark:benchmark@127.0.0.1:{processes.free_port()}"
        print(json.dumps(uvloop.run(measure(Setting(folder, url), workspace, given))))


async def measure(
    setting: Setting, workspace: Workspace, given: argparse.Namespace
) -> dict[str, Any]:
    """Every figure of the stream."""
    figures: dict[str, Any] = {"benchmark": "stream", "cores": len(os.sched_getaffinity(0))}
    requests = bodies(workspace)
    service = setting.start_broker()
    try:
        if given.only != "faults":
            figures |= await rates(setting, requests, given)
        if given.only != "rates":
            figures["faults"] = await faults(
                setting, service, workspace, requests, given.faults, KILLS
            )
    finally:
        processes.stop(service)
    return figures


async def rates(
    setting: Setting, requests: list[bytes], given: argparse.Namespace
) -> dict[str, Any]:
    """Both loops in turn, then the latency at half of our rate."""
    turns: dict[str, list[dict[str, float]]] = {"bare": [], "ours": []}
    for turn in range(given.rounds):
        for name, module in (("bare", "benchmarks.stream.bare"), ("ours", "app.stream")):
            turns[name].append(
                await rate(setting, module, f"{name}-{turn}", requests, given.messages)
            )
    figures: dict[str, Any] = {"messages": given.messages}
    for name, all_ in turns.items():
        figures[name] = {key: statistics.median(one[key] for one in all_) for key in all_[0]}
    pairs = list(zip(turns["ours"], turns["bare"], strict=True))
    half = figures["ours"]["messages_s"] / 2
    return figures | {
        "ours_per_bare": statistics.median(
            ours["messages_s"] / bare["messages_s"] for ours, bare in pairs
        ),
        "bare_cpu_per_ours": statistics.median(
            bare["cpu_us_message"] / ours["cpu_us_message"] for ours, bare in pairs
        ),
        "half_rate": await latency(setting, requests, half, given.seconds),
    }


async def rate(
    setting: Setting, module: str, name: str, requests: list[bytes], count: int
) -> dict[str, float]:
    """How fast one worker empties a full stream."""
    arguments = ("--name", name) if module == "app.stream" else (name,)
    async with setting.stream(name) as (js, names):
        await fill(js, names, requests, count)
        worker = setting.start(module, *arguments)
        try:
            begun, here = await answered(js, names, int(count * FIRST))
            cpu = _cpu(worker)
            ended, _ = await answered(js, names, count)
            cpu = _cpu(worker) - cpu
        finally:
            worker.terminate()
            worker.wait()
        for stream in (requests_stream(names), answers_stream(names)):
            await js.delete_stream(stream)
    return {
        "messages_s": (count - here) / (ended - begun),
        "cpu_us_message": cpu / (count - here) * 1e6,
    }


async def latency(
    setting: Setting, requests: list[bytes], per_second: float, seconds: float
) -> dict[str, float]:
    """From when a request was due to its answer, at a constant rate."""
    arrivals: dict[str, float] = {}

    async def note(message: Msg) -> None:
        arrivals[(message.headers or {})["id"]] = time.perf_counter()

    async with setting.stream("half") as (js, names):
        receiver, sender = await nats.connect(setting.url), await nats.connect(setting.url)
        await receiver.subscribe(names.predictions, cb=note)
        worker = setting.start("app.stream", "--name", "half")
        try:
            await fill(js, names, requests, 1_000)  # a warm-up
            await answered(js, names, 1_000)
            count = int(per_second * seconds)
            begun = time.perf_counter()
            due: dict[str, float] = {}
            for number in range(count):
                moment = begun + number / per_second
                if (early := moment - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                due[f"timed-{number}"] = moment
                # Not waiting for the broker's word: two cores hold sender, broker and worker
                await sender.publish(
                    names.requests,
                    requests[number % len(requests)],
                    headers={Header.MSG_ID: f"timed-{number}"},
                )
            await answered(js, names, count + 1_000)
            await asyncio.sleep(0.5)  # for those on their way to this process
        finally:
            worker.terminate()
            worker.wait()
            await receiver.close()
            await sender.close()
    waits = [arrivals[id_] - moment for id_, moment in due.items()]
    return {
        "messages_s": per_second,
        "p50_ms": percentile(waits, 0.5) * 1e3,
        "p99_ms": percentile(waits, 0.99) * 1e3,
        "max_ms": max(waits) * 1e3,
    }


def _cpu(worker: psutil.Popen) -> float:
    with suppress(psutil.NoSuchProcess):
        times = worker.cpu_times()
        return float(times.user + times.system)
    return 0.0


if __name__ == "__main__":
    main()
