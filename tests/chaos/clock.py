"""A clock that steps while the server runs: hours, months and years, forth and back.

time-machine gives the server another time. The clock that only measures spans goes on, as it does
when somebody sets a machine's time.

$ python -m tests.chaos.clock FILE     # the server; its clock is off by the seconds in that file
"""

import json
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import time_machine

from app.__main__ import main as serve
from tests.app.conftest import EXAMPLE, lock, publish, regression_answer, write_model
from tests.app.drift.conftest import reference
from tests.app.processes import Running, started
from tests.chaos.counts import Count, Fault, Load
from tests.chaos.server import serves, wait_long
from tests.conftest import ROOT

HOUR, DAY, YEAR = 3_600, 86_400, 365 * 86_400
STEPS = (HOUR, -HOUR, 400 * DAY, -2, 2, -30 * YEAR, 10 * YEAR, -DAY, 0)


def stepped_clock(tries: int, folder: Path) -> Count:
    """Requests, a new version and the counts of `/drift` go on beside each step."""
    answers = {}
    for shift in (1.0, 0.0):
        model = write_model(folder / f"model{shift}", shift=shift, reference=reference())
        version = publish(model, folder / "cache", folder / "dvc.lock")
        answers[version] = regression_answer(EXAMPLE, shift)
    settings = {"SERVE_WATCH_SECONDS": "0.1", "PYTHONPATH": str(ROOT)}
    count = Count()
    step = folder / "step"
    step.write_text("0")
    with (
        started(folder, "tests.chaos.clock", "step", settings=settings) as server,
        Load(str(server.client.base_url), answers) as load,
    ):
        for number in range(tries):
            before = load.count("lost"), load.count("wrong")
            step.write_text(str(STEPS[number % len(STEPS)]))
            following = [*answers][number % 2]
            lock(following, folder / "dvc.lock")
            wait_long(partial(serves, server, following))
            wait_long(partial(_has_counted_more, server, _rows_of_the_hour(server)))
            ready = server.client.get("/ready").status_code == 200
            count.add(
                lost=load.count("lost") - before[0] + (not ready),
                wrong=load.count("wrong") - before[1],
            )
    off = _most_days_off(folder / "log")
    if tries >= len(STEPS) and off < 365:
        raise RuntimeError(f"The server's clock was {off} days off at most: it has not stepped.")
    count.note = f"{len(load.requests):,} requests, the clock up to {off:,} days off"
    return count


def _rows_of_the_hour(server: Running) -> int:
    return int(server.client.get("/drift").raise_for_status().json()["windows"]["hour"]["rows"])


def _has_counted_more(server: Running, rows: int) -> bool:
    return _rows_of_the_hour(server) > rows


def _most_days_off(log: Path) -> int:
    """How far the times that a server has written are from this machine's."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    now = datetime.now(UTC)
    return max(abs((datetime.fromisoformat(line["time"]) - now).days) for line in lines)


def main() -> None:
    """Command line: the server, under a clock that follows the file."""
    threading.Thread(target=_follow, args=[Path(sys.argv.pop())], daemon=True).start()
    serve()


def _follow(step: Path) -> None:
    told = 0
    while True:
        now = int(step.read_text() or told)
        if now != told:
            time_machine.travel(timedelta(seconds=now - told), tick=True).start()
            told = now
        time.sleep(0.01)


FAULTS = (Fault("a clock that steps, up to 30 years", stepped_clock, len(STEPS), 90),)

if __name__ == "__main__":
    main()
