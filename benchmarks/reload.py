"""Twenty version changes back and forth under constant load: what goes wrong meanwhile.

$ python -m benchmarks.reload [--root FOLDER] [--changes N] [--rate N]

The load is open-loop: requests leave at their time, however slow the replies are. Prints one
JSON line; docs/benchmarks.md says what each figure means.
"""

import argparse
import asyncio
import hashlib
import itertools
import json
import shutil
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
from onnx import helper, numpy_helper

from app.model.manifest import MANIFEST, Manifest
from app.model.model import Model
from benchmarks import servers, versions
from benchmarks.connection import Call, Connection, Reply
from benchmarks.workspace import Workspace, random_records, workspace_argument

KEY = "benchmark"
PAUSE_SECONDS = 0.25  # between two changes
PATIENCE_SECONDS = 5.0  # a later reply counts as failed
ROWS = 8  # different requests, in turn


@dataclass
class Tally:
    """What became of the requests.

    Attributes:
        expected: the right answer by version and number of the request's row.
        failed: no reply in time, a broken connection, an error status.
        strange: replies from a version other than those expected.
        wrong: replies that differ from what the version they name gives.
        latencies: seconds from when a request was due to its reply.
        by_version: good replies of each version.
    """

    expected: dict[str, list[Any]]
    failed: int = 0
    strange: int = 0
    wrong: int = 0
    latencies: list[float] = field(default_factory=list)
    by_version: Counter[str] = field(default_factory=Counter)

    def count(self, row: int, reply: Reply, seconds: float) -> None:
        """Take a reply down."""
        self.latencies.append(seconds)
        if reply.status != 200:
            self.failed += 1
            return
        answer = orjson.loads(reply.body)
        version = answer["model"]["version"]
        if version not in self.expected:
            self.strange += 1
        elif answer["predictions"] != [self.expected[version][row]]:
            self.wrong += 1
        else:
            self.by_version[version] += 1


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    workspace_argument(parser)
    parser.add_argument("--changes", type=int, default=20, help="of the version")
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Workspace(given.root), Path(folder), given.changes, given.rate)
    print(json.dumps(figures))


def measure(workspace: Workspace, folder: Path, changes: int, rate: int) -> dict[str, Any]:
    """Serve the model and a variant of it in turn, under load; leave the files in `folder`."""
    empty = folder / "empty"
    servers.prepare_folder(empty)
    variant = write_variant(workspace.serving, folder / "variant")
    cache = empty / "models"
    two = [versions.publish(path, cache) for path in (workspace.serving, variant)]
    versions.lock(two[0], empty / "dvc.lock")
    records = random_records(workspace.manifest, ROWS)
    tally = Tally({version: answers(cache / version, records) for version in two})
    with servers.ours(workspace, empty, {"SERVE_API_KEY": KEY}) as server:
        calls = [
            replace(server.row, body=orjson.dumps({"records": [record]})) for record in records
        ]
        reload = replace(server.row, url=server.url("/reload"), body=b"")

        async def change_under_load() -> list[float]:
            done = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(constant_load(calls, rate, tally, done))
                try:
                    return await change(reload, empty / "dvc.lock", two, changes)
                finally:
                    done.set()

        seconds = asyncio.run(change_under_load())
    p50, p99, longest = np.percentile(tally.latencies, [50, 99, 100]) * 1e3
    return {
        "benchmark": "reload",
        "changes": len(seconds),
        "change_seconds_median": statistics.median(seconds),
        "rate_per_second": rate,
        "requests": len(tally.latencies),
        "failed_requests": tally.failed,
        "other_versions": tally.strange,
        "wrong_answers": tally.wrong,
        "right_answers_by_version": [tally.by_version[version] for version in two],
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "max_ms": float(longest),
    }


async def change(reload: Call, lock_file: Path, two: Sequence[str], changes: int) -> list[float]:
    """Lock the other version and have it taken over, so many times; seconds of each.

    Raises:
        RuntimeError: a change did not take place.
    """
    seconds = []
    for number in range(1, changes + 1):
        await asyncio.sleep(PAUSE_SECONDS)
        version = two[number % 2]
        versions.lock(version, lock_file)
        begun = time.perf_counter()
        async with Connection.open(reload.address) as connection:
            reply = await connection.send(reload.wire)
        seconds.append(time.perf_counter() - begun)
        taken = orjson.loads(reply.body)
        if reply.status != 200 or taken["model"]["version"] != version:
            raise RuntimeError(f"Change {number} to {version} failed: {reply.body!r}")
    await asyncio.sleep(PAUSE_SECONDS)
    return seconds


async def constant_load(
    calls: Sequence[Call], rate: int, tally: Tally, done: asyncio.Event
) -> None:
    """Send the calls in turn, each at its time, until told that it is enough."""
    idle: list[Connection] = []  # a reply that is late keeps its connection; the next takes another
    async with AsyncExitStack() as connections, asyncio.TaskGroup() as group:

        async def send(row: int, due: float) -> None:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    if idle:
                        connection = idle.pop()
                    else:
                        opening = Connection.open(calls[row].address)
                        connection = await connections.enter_async_context(opening)
                    reply = await connection.send(calls[row].wire)
            except (OSError, EOFError):  # TimeoutError is an OSError
                tally.failed += 1
                tally.latencies.append(time.perf_counter() - due)
                return
            tally.count(row, reply, time.perf_counter() - due)
            idle.append(connection)

        begun = time.perf_counter()
        for number in itertools.count():
            due = begun + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if done.is_set():
                return
            group.create_task(send(number % len(calls), due))


def answers(folder: Path, records: list[dict[str, Any]]) -> list[Any]:
    """What a version gives, as a JSON reply has it."""
    model = Model.load(folder)
    return [model.predict(model.packer.pack([record])).values.tolist()[0] for record in records]


def write_variant(folder: Path, variant: Path) -> Path:
    """Write a model that answers otherwise: numbers plus one, or the classes in reverse."""
    manifest = Manifest.read(folder)
    shutil.copytree(folder, variant)
    content = (folder / manifest.file).read_bytes()
    if manifest.task == "regression":
        graph = onnx.load_from_string(content)
        one = numpy_helper.from_array(np.ones(1), "variant_one")
        for node in graph.graph.node:
            node.output[:] = [_inner(name) for name in node.output]
            node.input[:] = [_inner(name) for name in node.input]
        graph.graph.initializer.append(one)
        graph.graph.node.append(
            helper.make_node("Add", [_inner("prediction"), "variant_one"], ["prediction"])
        )
        content = graph.SerializeToString()
        (variant / manifest.file).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    draft = manifest.model_copy(update={"classes": manifest.classes[::-1], "sha256": digest})
    (variant / MANIFEST).write_text(draft.model_dump_json())
    answer = answers(variant, [manifest.example.record])[0]
    example = manifest.example.model_copy(update={"prediction": answer})
    final = draft.model_copy(update={"example": example})
    (variant / MANIFEST).write_text(final.model_dump_json())
    return variant


def _inner(name: str) -> str:
    return "variant_prediction" if name == "prediction" else name


if __name__ == "__main__":
    main()
