"""The service beside the bare framework, PyCaret behind FastAPI, and `mlflow models serve`.

$ python -m benchmarks.serving [--root FOLDER] [--rounds N] [--seconds S]

Prints one JSON line; docs/benchmarks.md says what each figure means.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import in_process, load, servers, versions
from benchmarks.connection import Call
from benchmarks.servers import Server
from benchmarks.workspace import Workspace, workspace_argument
from local import processes
from local import s3 as local_s3

CONNECTIONS = 16
UPLOADS = 5
COLD_STARTS = 3
BOUNDARY = "tabular-model-benchmark"
REMOTE = "s3://benchmark/dvc"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    workspace_argument(parser)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server")
    parser.add_argument("--seconds", type=float, default=3, help="of load in each turn")
    parser.add_argument("--peer-seconds", type=float, default=10, help="of load on the slow peers")
    arguments = parser.parse_args()
    workspace = Workspace(arguments.root)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(
            workspace, Path(folder), arguments.rounds, arguments.seconds, arguments.peer_seconds
        )
    print(json.dumps(figures))


def measure(
    workspace: Workspace, folder: Path, rounds: int, seconds: float, peer_seconds: float
) -> dict[str, Any]:
    """Every figure of the serving benchmark; leaves its files in `folder`."""
    empty = folder / "empty"
    version = servers.prepare_with_model(workspace, empty)
    measured = beside_the_floor(workspace, folder, rounds, seconds)
    measured["tutorial"] = tutorial(workspace, folder, peer_seconds)
    measured["mlflow"] = mlflow(workspace, folder, peer_seconds)
    return {
        "benchmark": "serving",
        "cores": len(os.sched_getaffinity(0)),
        "load_tool": load.tool(),
        "rounds": rounds,
        "table_rows": len(workspace.table),
        "servers": measured,
        "cold_start": cold_starts(workspace, folder, version),
        "csv_in_process": in_process.compare(workspace.serving, workspace.csv(), 3 * UPLOADS),
        "ratios": ratios(measured),
    }


def beside_the_floor(
    workspace: Workspace, folder: Path, rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
    """The service and both floors, in turn, so that the machine's moods strike all alike."""
    with ExitStack() as stack:
        running: dict[str, Server] = {
            "floor": stack.enter_context(servers.floor(workspace, folder)),
            "json_floor": stack.enter_context(servers.floor(workspace, folder, "json-floor")),
            "ours": stack.enter_context(servers.ours(workspace, folder / "empty")),
        }
        turns: dict[str, list[dict[str, float]]] = {name: [] for name in running}
        for turn in range(rounds):
            names = list(running) if turn % 2 == 0 else list(reversed(running))
            loads: dict[str, dict[str, float]] = {name: {} for name in names}
            for connections in (1, CONNECTIONS):
                for name in names:
                    loads[name] |= under_load(running[name], connections, seconds)
            for name in names:
                turns[name].append(loads[name])
        figures = {name: medians(turns[name]) for name in running}
        # Ratios within a turn, then their median: a busy moment weighs on one turn alone.
        for name in ("json_floor", "ours"):
            pairs = list(zip(turns[name], turns["floor"], strict=True))
            for key in ("one_row_p50_ms", "requests_per_second", "cpu_us_per_request"):
                figures[name][f"{key}_per_floor"] = statistics.median(
                    mine[key] / floor[key] for mine, floor in pairs
                )
        ours = running["ours"]
        figures["ours"]["table_csv_seconds"] = upload(multipart(ours, workspace.csv()))
        for name, server in running.items():
            figures[name]["memory_mb"] = server.memory_mb()
    return figures


def tutorial(workspace: Workspace, folder: Path, seconds: float) -> dict[str, float]:
    """The tutorial's way."""
    with servers.tutorial(workspace, folder) as server:
        body = multipart(server, workspace.csv(workspace.columns))
        return peer(server, body, seconds)


def mlflow(workspace: Workspace, folder: Path, seconds: float) -> dict[str, float]:
    """MLflow's own server."""
    with servers.mlflow(workspace, folder) as server:
        table = workspace.csv(workspace.columns)
        return peer(server, Call(server.row.url, table, "text/csv"), seconds)


def peer(server: Server, table: Call, seconds: float) -> dict[str, float]:
    """A server that is slower by orders of magnitude: one turn tells enough."""
    return {
        "cold_start_seconds": server.start_seconds,
        **under_load(server, 1, seconds),
        "table_csv_seconds": upload(table),
        **under_load(server, CONNECTIONS, seconds),
        "memory_mb": server.memory_mb(),
    }


def under_load(server: Server, connections: int, seconds: float) -> dict[str, float]:
    """One row: the latency on one connection, or the throughput on several.

    Raises:
        RuntimeError: requests failed, so that the figures would mean nothing.
    """
    before = server.cpu_seconds()
    result = load.measure(server.row, connections, seconds)
    used = server.cpu_seconds() - before
    if result.failed or not result.answered:
        raise RuntimeError(
            f"{server.row.url}: {result.failed} of {result.answered} requests failed under load."
        )
    if connections > 1:
        # Tells more than the rate where other programs share the cores.
        microseconds = used / result.answered * 1e6
        return {"requests_per_second": result.per_second, "cpu_us_per_request": microseconds}
    return {"one_row_p50_ms": result.p50_ms, "one_row_p99_ms": result.p99_ms}


def multipart(server: Server, table: bytes) -> Call:
    """A file upload."""
    head = (
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="table.csv"\r\n'
        "Content-Type: text/csv\r\n\r\n"
    )
    body = head.encode() + table + f"\r\n--{BOUNDARY}--\r\n".encode()
    return Call(server.url("/predict"), body, f"multipart/form-data; boundary={BOUNDARY}")


def upload(table: Call) -> float:
    """Median seconds to send a table and read all its answers.

    Raises:
        RuntimeError: it is refused.
    """
    seconds = []
    for _ in range(UPLOADS):
        begun = time.perf_counter()
        servers.answer(table)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def cold_starts(workspace: Workspace, folder: Path, version: str) -> dict[str, float]:
    """Median seconds from the start of the service's process to its first answer."""
    empty = folder / "empty"
    port = servers.neighbouring_ports(local_s3.S3_PORTS)
    s3 = {
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SERVE_REMOTE": REMOTE,
    }
    on_disk, pulled = [], []
    for _ in range(COLD_STARTS):
        with servers.ours(workspace, empty) as server:
            on_disk.append(server.start_seconds)
    service = local_s3.start_s3(folder, port, "benchmark", "benchmark")
    try:
        processes.wait(service, f"{s3['AWS_ENDPOINT_URL']}/healthz")
        local_s3.create_bucket("benchmark", s3)
        versions.push(empty / "models" / version, REMOTE, s3)
        for number in range(COLD_STARTS):
            cache = {"SERVE_MODEL_CACHE": str(folder / f"pulled-{number}")}
            with servers.ours(workspace, empty, {**s3, **cache}) as server:
                pulled.append(server.start_seconds)
    finally:
        processes.stop(service)
    return {
        "on_disk_seconds": statistics.median(on_disk),
        "pulled_from_s3_seconds": statistics.median(pulled),
    }


def medians(turns: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}


def ratios(measured: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """What the project promises, each a quotient of two servers of this run."""
    ours = measured["ours"]
    quotients = {
        "ours_one_row_p50_per_floor": ours["one_row_p50_ms_per_floor"],
        "ours_requests_per_second_per_floor": ours["requests_per_second_per_floor"],
        "ours_cpu_us_per_request_per_floor": ours["cpu_us_per_request_per_floor"],
    }
    for name in ("tutorial", "mlflow"):
        other = measured[name]
        quotients |= {
            f"ours_requests_per_second_per_{name}": ours["requests_per_second"]
            / other["requests_per_second"],
            f"{name}_one_row_p50_per_ours": other["one_row_p50_ms"] / ours["one_row_p50_ms"],
            f"{name}_table_csv_seconds_per_ours": other["table_csv_seconds"]
            / ours["table_csv_seconds"],
        }
    return quotients


if __name__ == "__main__":
    main()
