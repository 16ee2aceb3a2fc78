"""The server that counts what it answers beside two that do not, in turns; and the counting alone.

$ python -m benchmarks.drift [--root FOLDER] [--rounds 5] [--seconds 3]

Prints one JSON line; docs/benchmarks.md says what each figure means.
"""

import argparse
import json
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from app.drift.watch import MAX_WAITING, Watch
from app.model.model import Model
from benchmarks import load, servers
from benchmarks.servers import Server
from benchmarks.serving import multipart
from benchmarks.workspace import Workspace, workspace_argument

# What each says to SERVE_DRIFT; the twin tells how far two servers of one kind are apart
SERVERS = {"counting": "true", "without": "false", "twin": "false"}
REMEMBERED = 250_000
TRIES = 50
CONNECTIONS = 16
UPLOADS = 5  # of the whole table in a turn


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    workspace_argument(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    workspace = Workspace(arguments.root.resolve())
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(workspace, Path(folder), arguments.rounds, arguments.seconds)))


def measure(workspace: Workspace, folder: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """Ratios of processor time and of replies a second, counting to not counting."""
    table = workspace.csv()
    with ExitStack() as stack:
        running: dict[str, Server] = {}
        for name, setting in SERVERS.items():
            place = folder / name
            servers.prepare_with_model(workspace, place)
            settings = {"SERVE_DRIFT": setting}
            running[name] = stack.enter_context(servers.ours(workspace, place, settings))
        turns = []
        for turn in range(rounds):
            names = list(running) if turn % 2 == 0 else list(reversed(running))
            turns.append({name: figures(running[name], table, seconds) for name in names})
        memory = {name: server.memory_mb() for name, server in running.items()}
    keys = ("cpu_us_per_row_request", "cpu_ms_per_table", "requests_per_second")
    return {
        "rounds": rounds,
        **{key: statistics.median(turn["counting"][key] for turn in turns) for key in keys},
        **{f"{key}_ratio": ratio(turns, "counting", key) for key in keys},
        **{f"{key}_noise": ratio(turns, "twin", key) for key in keys},
        "memory_mb": memory["counting"],
        "memory_mb_without": memory["without"],
        **alone(workspace, folder / "alone"),
    }


def ratio(turns: list[dict[str, dict[str, float]]], name: str, key: str) -> float:
    """The median of a server's figure over that of the one that does not count."""
    return statistics.median(turn[name][key] / turn["without"][key] for turn in turns)


def alone(workspace: Workspace, folder: Path) -> dict[str, float]:
    """Processor time of the counting in this process: for a request, and once a second.

    The best of many tries: servers in processes of their own differ by more than it takes.
    """
    version = servers.prepare_with_model(workspace, folder)
    model = Model.load(folder / "models" / version)
    watch = Watch(folder / "models", REMEMBERED)
    rows = model.packer.pack([workspace.record()])
    answers = model.predict(rows).values
    adding, counting = [], []
    for _ in range(TRIES):
        begun = time.process_time()
        for number in range(MAX_WAITING):
            watch.add(version, str(number), rows, answers)
        added = time.process_time()
        watch.count()
        adding.append((added - begun) / MAX_WAITING)
        counting.append(time.process_time() - added)
    watch.close()
    return {"add_us_per_request": 1e6 * min(adding), "count_ms_per_second": 1e3 * min(counting)}


def figures(server: Server, table: bytes, seconds: float) -> dict[str, float]:
    """One row at a time on many connections, then the whole table."""
    before = server.cpu_seconds()
    answered = load.measure(server.row, CONNECTIONS, seconds)
    between = server.cpu_seconds()
    call = multipart(server, table)
    for _ in range(UPLOADS):
        servers.answer(call)
    after = server.cpu_seconds()
    return {
        "cpu_us_per_row_request": 1e6 * (between - before) / answered.answered,
        "cpu_ms_per_table": 1e3 * (after - between) / UPLOADS,
        "requests_per_second": answered.per_second,
    }


if __name__ == "__main__":
    main()
