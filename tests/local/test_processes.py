import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.processes import Service, ServiceError, free_port, launch, port_owner, stop, wait

SLEEP = "import time; time.sleep(60)"
# A parent that starts a child and waits for it, as a server does with its workers
FAMILY = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{SLEEP}'])"
PATIENCE_SECONDS = 30


def family(tmp_path: Path, name: str = "server") -> Service:
    """A running parent with its child."""
    service = launch(name, [sys.executable, "-c", FAMILY], {}, tmp_path / f"{name}.log")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(service.processes()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    started = family(tmp_path)
    yield started
    stop(started)


def test_a_service_is_found_again_by_its_log_alone(service: Service) -> None:
    again = Service("server", service.log)
    first = again.first()
    assert service.child is not None
    assert first is not None
    assert first.pid == service.child.pid
    assert stop(again)
    assert service.processes() == []
    assert not stop(again)


def test_the_children_of_a_killed_parent_are_stopped(service: Service) -> None:
    again = Service("server", service.log)
    assert service.child is not None
    service.child.send_signal(signal.SIGKILL)
    service.child.wait()
    (child,) = again.processes()
    assert again.first() is None
    assert stop(again)
    assert not child.is_running()


def test_only_the_service_itself_is_stopped(service: Service, tmp_path: Path) -> None:
    other = family(tmp_path, "other")
    try:
        stop(service)
        assert len(other.processes()) == 2
    finally:
        stop(other)


def test_a_server_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    ended = launch("S3", [sys.executable, "-c", "exit('no disk')"], {}, tmp_path / "log")
    with pytest.raises(ServiceError, match=r"S3 server ended(.|\n)*no disk"):
        wait(ended, f"http://127.0.0.1:{free_port()}/")


def test_what_a_service_writes_is_its_owners_alone(tmp_path: Path) -> None:
    program = "open('data', 'w').close()"
    writer = launch("S3", [sys.executable, "-c", program], {}, tmp_path / "log", tmp_path)
    assert writer.child is not None
    assert writer.child.wait() == 0
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_a_stopped_service_leaves_no_socket(tmp_path: Path) -> None:
    program = (
        "import socket, time; one = socket.socket(socket.AF_UNIX); one.bind('s.sock');"
        "one.listen(); time.sleep(60)"
    )
    listener = launch("S3", [sys.executable, "-c", program], {}, tmp_path / "log", tmp_path)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (tmp_path / "s.sock").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert stop(listener)
    assert not (tmp_path / "s.sock").exists()


def test_the_owner_of_a_port_is_described() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert (port_owner(server.getsockname()[1]) or "").startswith(f"process {os.getpid()} (")
    assert port_owner(free_port()) is None
