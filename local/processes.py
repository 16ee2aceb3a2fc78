"""Programs that run in the background: started, awaited, found again and stopped.

A program is told by its log file. Every process of it carries that file's path in its
environment, from which a later call finds all of them: whoever started them, whatever the clock
says, and whether or not their parent still lives.
"""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

START_SECONDS = 180
STOP_SECONDS = 3
MARK = "LOCAL_SERVICE_LOG"


class ServiceError(Exception):
    """A service cannot be started; the message says which, why and what to do."""


@dataclass(frozen=True)
class Service:
    """A program in the background.

    Attributes:
        name: for people.
        log: where its output goes; no other program's does.
        child: its first process, where this very program started it.
    """

    name: str
    log: Path
    child: subprocess.Popen[bytes] | None = field(default=None, compare=False, repr=False)

    def processes(self) -> list[psutil.Process]:
        """All its living processes."""
        mark = str(self.log.absolute())
        return [
            process
            for process in psutil.process_iter(["environ", "status"])
            if (process.info["environ"] or {}).get(MARK) == mark
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def first(self) -> psutil.Process | None:
        """Its first process, which looks after the others; None when that has ended."""
        if self.child is not None:
            return psutil.Process(self.child.pid) if self.child.poll() is None else None
        # `launch` gives each service a session of its own, which bears its first process's number
        firsts = (one for one in self.processes() if _session(one) == one.pid)
        return next(firsts, None)


def launch(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    cwd: Path | None = None,
) -> Service:
    """Start a program that outlives this one; only its owner may read what it writes."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603 - our own command line
            command,
            env={**environment, MARK: str(log.absolute())},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=cwd,
            umask=0o077,
        )
    return Service(name, log, child)


def wait(service: Service, url: str, answers: Callable[[str], bool] | None = None) -> None:
    """Wait until a service answers.

    Args:
        service: the service.
        url: where it is to answer.
        answers: whether it does; over HTTP unless given.

    Raises:
        ServiceError: it ended or does not answer; the message holds the end of its log.
    """
    deadline = time.monotonic() + START_SECONDS
    does_answer = answers or answers_http
    while not does_answer(url):
        ended = service.first() is None
        if ended or time.monotonic() > deadline:
            state = "ended" if ended else f"does not answer after {START_SECONDS} s"
            tail = "\n".join(service.log.read_text(errors="replace").splitlines()[-15:])
            stop(service)
            raise ServiceError(
                f"The {service.name} server {state}. Its log ({service.log}):\n{tail}"
            )
        time.sleep(0.1)


def stop(service: Service) -> bool:
    """Stop every process of a service and remove its sockets; False when none was left."""
    processes = service.processes()
    sockets = {path for process in processes for path in _sockets(process)}
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # one that ended with its parent
            process.terminate()
    psutil.wait_procs(processes, timeout=STOP_SECONDS)
    while left := service.processes():  # also those that they started meanwhile
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=STOP_SECONDS)
    if service.child is not None:
        service.child.wait(STOP_SECONDS)
    for path in sockets:
        path.unlink(missing_ok=True)
    return bool(processes)


def answers_http(url: str) -> bool:
    """Whether an HTTP server answers 2xx at `url`."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 - loopback only
            return bool(reply.status < 300)
    except (urllib.error.URLError, OSError):
        return False


def port_owner(port: int) -> str | None:
    """Who listens on a port of this machine: a description, or None when it is free."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # some systems show them to the administrator only
        return None
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
            if connection.pid is None:
                return "another user's process"
            process = psutil.Process(connection.pid)
            return f"process {process.pid} ({' '.join(process.cmdline())[:80]})"
    return None


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _session(process: psutil.Process) -> int | None:
    """The first process of a process's session; None when it has just ended."""
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return None


def _sockets(process: psutil.Process) -> list[Path]:
    """The Unix sockets, by absolute path, on which a process listens."""
    try:
        connections, folder = process.net_connections("unix"), Path(process.cwd())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []
    paths = {folder / connection.laddr for connection in connections if connection.laddr}
    return [path for path in paths if path.is_socket()]
