"""Faults of a running server: load, signals, clients that do not behave, reloads."""

import http.client
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from statistics import median

import httpx

from tests.app.conftest import EXAMPLE, lock, publish, regression_answer, write_model
from tests.app.operations.test_workers import workers
from tests.app.processes import Running, folder_with_model, started
from tests.app.waiting import wait_for
from tests.chaos.counts import Count, Fault, Load, is_right

MOST_RESIDENT = 160_000_000
BODY = json.dumps({"records": [EXAMPLE]})
wait_long = partial(wait_for, seconds=300)


def sigterm_under_load(tries: int, folder: Path) -> Count:
    """Requests in work when the server is told to end are answered."""
    count = Count()
    server_folder = folder_with_model(folder)
    for _ in range(tries):
        _end_under_load(server_folder, count)
    return count


def _end_under_load(folder: Path, count: Count) -> None:
    answers = {version(folder): regression_answer(EXAMPLE)}
    with started(folder, "app") as server:
        with Load(str(server.client.base_url), answers, rows=60_000) as load:
            wait_long(lambda: load.count("right") >= 4)
            told = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(30)
        # Who is still connecting or sending when the port closes has to ask again.
        count.add(lost=load.count("lost", sent_by=told), wrong=load.count("wrong"))


def killed_worker(tries: int, folder: Path) -> Count:
    """The other worker answers meanwhile, the killed one has a successor."""
    count = Count()
    server_folder = folder_with_model(folder)
    answers = {version(server_folder): regression_answer(EXAMPLE)}
    with started(server_folder, "app", settings={"SERVE_WORKERS": "2"}) as server:
        for _ in range(tries):
            _kill_one(server, answers, count)
    return count


def _kill_one(server: Running, answers: Mapping[str, float], count: Count) -> None:
    wait_long(lambda: len(workers(server)) == 2)
    before = workers(server)
    with Load(str(server.client.base_url), answers) as load:
        wait_long(lambda: load.count("right") > 20)
        os.kill(min(before), signal.SIGKILL)
        wait_long(lambda: len(workers(server) - before) == 1)
        recovered = time.monotonic()
        wait_long(lambda: load.count("right", since=recovered) > 20)
    count.add(lost=load.count("lost", since=recovered), wrong=load.count("wrong"))


def versions_under_load(tries: int, folder: Path) -> Count:
    """Every answer is that of the version which it names."""
    server_folder = folder_with_model(folder)
    first = version(server_folder)
    lock_file = server_folder / "dvc.lock"
    shifted = write_model(server_folder / "new", shift=1.0)
    second = publish(shifted, server_folder / "cache", lock_file)
    answers = {first: regression_answer(EXAMPLE), second: regression_answer(EXAMPLE, 1.0)}
    count = Count()
    with started(server_folder, "app", settings={"SERVE_WATCH_SECONDS": "0.1"}) as server:
        with Load(str(server.client.base_url), answers) as load:
            memory = 0
            for number in range(tries):
                if number == tries // 4:  # all that is made once is there
                    memory = resident(server)
                before = load.count("lost"), load.count("wrong")
                _change(server.client, lock_file, (first, second)[number % 2])
                count.add(
                    lost=load.count("lost") - before[0], wrong=load.count("wrong") - before[1]
                )
        grown = (resident(server) - memory) / (tries - tries // 4)
        count.note = (
            f"{len(load.requests):,} requests, {resident(server) / 1e6:.0f} MB at the end, "
            f"{grown / 1e3:.1f} kB more for each version"
        )
    return count


def _change(client: httpx.Client, lock_file: Path, version: str) -> None:
    lock(version, lock_file)
    wait_long(lambda: served(client) == version)


def idle_connections(tries: int, folder: Path) -> Count:
    """The server answers beside so many connections that say nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    number = min(tries, hard - 500)
    count = Count()
    try:
        with started(folder_with_model(folder), "app") as server, ExitStack() as stack:
            for _ in range(number):
                own = stack.enter_context(closing(socket.socket()))
                own.connect((server.client.base_url.host, server.client.base_url.port))
            right = is_right(server.client)
            count = Count(tries=number, survived=number * right, lost=int(not right))
            count.note = f"{resident(server) / 1e6:.0f} MB with them open"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return count


def slow_clients(tries: int, folder: Path) -> Count:
    """So do half headers, half bodies and readers that never read, in turn."""
    body = b"carat weight,cut,certified,sold\n" + b"1.5,Good,true,2020-01-01\n" * 20_000
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    starts = (
        b"GET /live HTTP/1.1\r\nHost: x\r\nX: ",
        head + length + body[:1_000],
        head + b"Accept: text/csv\r\n" + length + body,
    )
    count = Count()
    with started(folder_with_model(folder), "app") as server, ExitStack() as stack:
        for number in range(tries):
            own = stack.enter_context(closing(socket.socket()))
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            own.connect((server.client.base_url.host, server.client.base_url.port))
            own.sendall(starts[number % 3])
            count.add(lost=not is_right(server.client))
        count.note = f"{resident(server) / 1e6:.0f} MB with them open"
    return count


def overload(tries: int, folder: Path) -> Count:
    """More files at once than there are places: right answers or 503, and `/live` answers."""
    server_folder = folder_with_model(folder)
    answers = {version(server_folder): regression_answer(EXAMPLE)}
    count = Count()
    with started(server_folder, "app", settings={"SERVE_MAX_CONCURRENT": "4"}) as server:
        with Load(str(server.client.base_url), answers, rows=20_000, clients=12) as load:
            wait_long(lambda: len(load.requests) >= tries)
            alive = server.client.get("/live", timeout=30).status_code == 200
        count.tries = len(load.requests)
        count.lost = load.count("lost") + (not alive)
        count.wrong = load.count("wrong")
        count.survived = count.tries - count.lost - count.wrong
        count.note = f"{load.count('refused')} refused"
    return count


def arrivals(tries: int, folder: Path) -> Count:
    """Files that come at 0.5, 1 and 1.5 times the rate at which the server answers them."""
    server_folder = folder_with_model(folder)
    load = partial(Load, answers={version(server_folder): regression_answer(EXAMPLE)}, rows=20_000)
    count = Count()
    notes = []
    with started(server_folder, "app", settings={"SERVE_MAX_CONCURRENT": "4"}) as server:
        url = str(server.client.base_url)
        with load(url) as closed:
            wait_long(partial(has_come_to, closed, max(20, tries // 6)))
        begun, ended = closed.requests[0].ended, closed.requests[-1].ended
        saturation = (len(closed.requests) - 1) / (ended - begun)
        for share in (0.5, 1.0, 1.5):
            with load(url, clients=100, rate=share * saturation) as open_:
                wait_long(partial(has_come_to, open_, tries // 3))
                alive = server.client.get("/live", timeout=30).status_code == 200
            count.tries += len(open_.requests)
            count.lost += open_.count("lost") + (not alive)
            count.wrong += open_.count("wrong")
            seconds = [one.ended - one.begun for one in open_.requests if one.outcome == "right"]
            refused = open_.count("refused") / len(open_.requests)
            notes.append(f"{share:g}: {refused:.0%} refused, half within {median(seconds):.2f} s")
    count.survived = count.tries - count.lost - count.wrong
    count.note = "; ".join(notes)
    return count


def has_come_to(load: Load, requests: int) -> bool:
    """Whether so many requests have ended."""
    return len(load.requests) >= requests


def many_requests(tries: int, folder: Path) -> Count:
    """The memory of a worker stays small."""
    with started(folder_with_model(folder), "app") as server:
        address = server.client.base_url
        with closing(http.client.HTTPConnection(address.host, address.port)) as connection:
            for _ in range(min(tries, 10_000)):  # until all that is made once is there
                is_right_over(connection)
            before = resident(server)
            wrong = sum(not is_right_over(connection) for _ in range(tries))
        after = resident(server)
    grown = (after - before) / max(1, tries)
    return Count(
        tries=tries,
        survived=tries - wrong,
        wrong=wrong + (after > MOST_RESIDENT),
        note=f"{after / 1e6:.0f} MB at the end, {grown:.1f} bytes more for each request",
    )


def is_right_over(connection: http.client.HTTPConnection) -> bool:
    """Whether one row is answered as it must be; `is_right` by a client a tenth as costly."""
    connection.request("POST", "/predict/records", BODY, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    content = reply.read()
    if reply.status != 200:
        return False
    return bool(json.loads(content)["predictions"] == [regression_answer(EXAMPLE)])


def version(folder: Path) -> str:
    """The version that a folder's cache holds."""
    (one,) = [path.name for path in (folder / "cache").iterdir() if path.is_dir()]
    return one


def served(client: httpx.Client) -> str:
    """The version in service."""
    return str(client.get("/model").json()["version"])


def serves(server: Running, version: str) -> bool:
    """Whether a version is in service."""
    return served(server.client) == version


def resident(server: Running) -> int:
    """Bytes that a server has in memory."""
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


FAULTS = (
    Fault("SIGTERM while files are answered", sigterm_under_load, 1, 10),
    Fault("SIGKILL of one of two workers", killed_worker, 0, 10),
    Fault("another version under load", versions_under_load, 6, 200),
    Fault("idle connections", idle_connections, 200, 10_000),
    Fault("half headers, half bodies, no reading", slow_clients, 9, 150),
    Fault("three times as many files as places", overload, 30, 300),
    Fault("files at 0.5, 1 and 1.5 times the rate that saturates", arrivals, 60, 900),
    Fault("one request after the other", many_requests, 300, 1_000_000),
)
