"""Starts the servers, each a process of its own on a free port of loopback."""

import http.client
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import psutil

from benchmarks import versions
from benchmarks.connection import Call
from benchmarks.workspace import Workspace
from local import processes

APP = Path(__file__).parents[1] / "app"
START_SECONDS = 120
POLL_SECONDS = 0.002
# The user's own must not reach the servers that are measured.
OURS = ("AWS_", "MLFLOW_", "SERVE_")


@dataclass(frozen=True)
class Server:
    """A server that answered its first request.

    Attributes:
        row: the request for one row.
        start_seconds: from the start of its process to that first answer.
        process: the one that `memory_mb` looks at, with its children.
    """

    row: Call
    start_seconds: float
    process: psutil.Process

    def url(self, path: str) -> str:
        """The address of another route."""
        return "http://{}:{}{}".format(*self.row.address, path)

    def memory_mb(self) -> float:
        """Resident memory of the worker, the largest process, in MB of 10^6 bytes."""
        return float(max(member.memory_info().rss for member in self._family()) / 1e6)

    def cpu_seconds(self) -> float:
        """Processor time that it has used so far, of all its processes."""
        times = [member.cpu_times() for member in self._family()]
        return float(sum(time.user + time.system for time in times))

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def floor(workspace: Workspace, folder: Path, kind: str = "floor") -> Iterator[Server]:
    """A bare FastAPI application of `benchmarks.peers`."""
    port = processes.free_port()
    command = _peer(kind, workspace, port)
    row = Call(f"http://127.0.0.1:{port}/predict/records", _records(workspace))
    with _running(kind, command, folder, row) as server:
        yield server


@contextmanager
def tutorial(workspace: Workspace, folder: Path) -> Iterator[Server]:
    """PyCaret's `predict_model` behind FastAPI."""
    port = processes.free_port()
    command = _peer("tutorial", workspace, port)
    body = _records(workspace, workspace.columns)
    row = Call(f"http://127.0.0.1:{port}/predict/records", body)
    with _running("tutorial", command, folder, row) as server:
        yield server


@contextmanager
def mlflow(workspace: Workspace, folder: Path) -> Iterator[Server]:
    """`mlflow models serve` of the fitted pipeline."""
    saved = save_for_mlflow(workspace, folder)
    port = processes.free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", f"--model-uri={saved}"]
    command += ["--env-manager=local", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    body = orjson.dumps({"dataframe_records": [workspace.record(workspace.columns)]})
    row = Call(f"http://127.0.0.1:{port}/invocations", body)
    # it starts Uvicorn by name
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with _running("mlflow", command, folder, row, path) as server:
        yield server


def save_for_mlflow(workspace: Workspace, folder: Path) -> Path:
    """Save the fitted pipeline as an MLflow model, which is returned."""
    import joblib
    from mlflow import sklearn

    saved = folder / "mlflow-model"
    sklearn.save_model(
        joblib.load(workspace.pipeline),
        saved,
        serialization_format="cloudpickle",
        pip_requirements=[],  # it runs in this environment
    )
    return saved


def prepare_folder(folder: Path) -> None:
    """Make a serving machine of an empty folder: the code of `app/` and nothing else."""
    shutil.copytree(APP, folder / "app", ignore=shutil.ignore_patterns("__pycache__"))


def prepare_with_model(workspace: Workspace, folder: Path) -> str:
    """The same, with the workspace's model locked and in the cache `models/`; its version."""
    prepare_folder(folder)
    version = versions.publish(workspace.serving, folder / "models")
    versions.lock(version, folder / "dvc.lock")
    return version


@contextmanager
def ours(
    workspace: Workspace, folder: Path, environment: dict[str, str] | None = None
) -> Iterator[Server]:
    """The service with its normal settings, in a folder of `prepare_folder`.

    Args:
        workspace: names the row to ask for.
        folder: holds `app/`, `dvc.lock`, and the model in `models/` where it is not to be
            pulled.
        environment: settings beside the necessary ones.
    """
    port = processes.free_port()
    own = environment or {}
    settings = {
        "SERVE_PORT": str(port),
        "SERVE_REMOTE": "s3://nowhere/models",
        "SERVE_MODEL_CACHE": "models",
        **own,
    }
    headers = {"X-API-Key": own["SERVE_API_KEY"]} if "SERVE_API_KEY" in own else {}
    url = f"http://127.0.0.1:{port}/predict/records"
    row = Call(url, _records(workspace), headers=headers)
    with _running("ours", [sys.executable, "-m", "app"], folder, row, settings) as server:
        yield server


def _peer(kind: str, workspace: Workspace, port: int) -> list[str]:
    root = str(workspace.root.resolve())
    return [sys.executable, "-m", "benchmarks.peers", kind, root, str(port)]


def _records(workspace: Workspace, names: list[str] | None = None) -> bytes:
    return orjson.dumps({"records": [workspace.record(names)]})


@contextmanager
def _running(
    name: str,
    command: Sequence[str],
    folder: Path,
    row: Call,
    settings: dict[str, str] | None = None,
) -> Iterator[Server]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    environment = {**inherited, **(settings or {})}
    cwd = folder
    if name != "ours":  # the peers are modules of this project
        cwd = APP.parent
        environment["PYCARET_CUSTOM_LOGGING_PATH"] = os.devnull  # else ./logs.log
    log = folder / f"{name}.log"
    begun = time.perf_counter()
    service = processes.launch(name, command, environment, log, cwd)
    try:
        process = _wait(service, row)
        yield Server(row, time.perf_counter() - begun, process)
    finally:
        processes.stop(service)


def _wait(service: processes.Service, row: Call) -> psutil.Process:
    """Ask for one row until it is answered; the service's first process.

    Raises:
        processes.ServiceError: the answer is an error, or does not come.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            status, body = post(row)
        except OSError as error:  # not listening yet
            status, body = 0, str(error).encode()
        process = service.first()
        if status == 200 and process is not None:
            return process
        if status or process is None or time.monotonic() > deadline:
            tail = "\n".join(service.log.read_text(errors="replace").splitlines()[-15:])
            raise processes.ServiceError(
                f"The {service.name} server {'gives no answer' if process else 'ended'}: "
                f"{status} {body[:300]!r}. The end of its log:\n{tail}"
            )
        time.sleep(POLL_SECONDS)


def post(call: Call) -> tuple[int, bytes]:
    """Send a call once; its status and body."""
    connection = http.client.HTTPConnection(*call.address, timeout=120)
    headers = {"Content-Type": call.content_type, **call.headers}
    try:
        connection.request("POST", call.path, call.body, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def answer(call: Call) -> bytes:
    """Send a call once; the body of its reply.

    Raises:
        RuntimeError: it is refused.
    """
    status, body = post(call)
    if status != 200:
        raise RuntimeError(f"{call.url} refuses the request: {status} {body[:500]!r}")
    return body


def neighbouring_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on now.

    Raises:
        RuntimeError: none were found.
    """
    for first in range(21_000, 31_000, count):
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    one = stack.enter_context(closing(socket.socket()))
                    one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise RuntimeError(f"No {count} neighbouring ports are free from 21000 to 31000.")
