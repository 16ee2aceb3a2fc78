"""What a fault did: the rows of the table, and the load under which it is made."""

import itertools
import math
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

from tests.app.conftest import EXAMPLE, regression_answer

Outcome = Literal["right", "wrong", "refused", "lost"]


@dataclass
class Count:
    """What came of one kind of fault.

    Attributes:
        tries: how often it was made.
        survived: after how many of them all was as it must be.
        lost: replies or files that must be there and are not.
        wrong: answers or files that are not what they must be.
        note: a figure beside these.
    """

    tries: int = 0
    survived: int = 0
    lost: int = 0
    wrong: int = 0
    note: str = ""

    def add(self, *, lost: int = 0, wrong: int = 0) -> None:
        """Count a try."""
        self.tries += 1
        self.survived += not lost and not wrong
        self.lost += lost
        self.wrong += wrong


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        name: for people.
        make: makes it so many times, in a folder of its own.
        few: tries of the tests; 0 where it takes too long for them, or they have it elsewhere.
        many: tries of `make chaos`.
    """

    name: str
    make: Callable[[int, Path], Count]
    few: int
    many: int

    def timed(self, part: float) -> tuple[Count, float]:
        """Make it that part of `many` times, in a folder of its own; what came of it, and in how
        many seconds.
        """
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
            count = self.make(max(1, round(part * self.many)), Path(folder))
        return count, time.monotonic() - begun


@dataclass(frozen=True)
class Request:
    """A request of the load.

    Attributes:
        begun: when.
        sent: when the last byte of its body was sent; infinite where it was not.
        ended: when.
        outcome: what came of it.
    """

    begun: float
    sent: float
    ended: float
    outcome: Outcome


@dataclass
class Load:
    """Clients that ask until told to stop.

    Attributes:
        url: the server's.
        answers: the right answer of each version.
        rows: sent as a file of so many rows where there are more than one.
        clients: how many ask at once, at most.
        rate: requests that come in a second, of all clients together, however long the answers
            take; without it, a client asks again as soon as it has its answer.
    """

    url: str
    answers: Mapping[str, float]
    rows: int = 1
    clients: int = 4
    rate: float = math.inf
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._ended = threading.Event()
        self._begun = time.monotonic()
        self._numbers = itertools.count()  # one step of it is atomic
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def count(self, outcome: Outcome, since: float = 0, sent_by: float = math.inf) -> int:
        """How many requests begun since then, and sent by then, came to an outcome."""
        return sum(
            one.outcome == outcome
            and one.begun >= since
            and (one.sent <= sent_by or sent_by == math.inf)
            for one in [*self.requests]
        )

    def _ask(self) -> None:
        path, content = "/predict/records", dict[str, Any](json={"records": [EXAMPLE]})
        if self.rows > 1:
            lines = ["carat weight,cut,certified,sold", *["1.5,Good,true,2020-01-01"] * self.rows]
            path, content = "/predict", {"files": {"file": ("rows.csv", "\n".join(lines))}}
        while not self._ended.wait(self._pause()):
            begun, sent = time.monotonic(), math.inf

            def note(event: str, _: object) -> None:
                nonlocal sent
                if event == "http11.send_request_body.complete":
                    sent = time.monotonic()

            outcome: Outcome
            try:
                with httpx.Client(base_url=self.url, timeout=30) as client:
                    outcome = self._judge(client.post(path, **content, extensions={"trace": note}))
            except httpx.ConnectError:
                outcome = "refused"
                time.sleep(0.01)
            except httpx.TransportError:
                outcome = "lost"
            self.requests.append(Request(begun, sent, time.monotonic(), outcome))

    def _pause(self) -> float:
        """Seconds until the next request is to come."""
        comes = self._begun + next(self._numbers) / self.rate
        return max(0.0, comes - time.monotonic())

    def _judge(self, reply: httpx.Response) -> Outcome:
        if reply.status_code in (413, 503):
            return "refused"
        if reply.status_code != 200:
            return "wrong"
        said = reply.json()
        right = [self.answers[said["model"]["version"]]] * self.rows
        return "right" if said["predictions"] == right else "wrong"


def is_right(client: httpx.Client, shift: float = 0.0) -> bool:
    """Whether a server answers one row as it must."""
    reply = client.post("/predict/records", json={"records": [EXAMPLE]}, timeout=30)
    if reply.status_code != 200:
        return False
    return bool(reply.json()["predictions"] == [regression_answer(EXAMPLE, shift)])
