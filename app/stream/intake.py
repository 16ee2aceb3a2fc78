"""Requests as the broker delivers them: a request for more is always on its way.

The client's own `fetch` starts a task for each message, and waits for a full batch or a time-out;
here messages are taken as they lie, however many there are.
"""

import asyncio
import json
import time
from collections import deque

from nats.aio.client import Client
from nats.aio.msg import Msg

from app.stream.broker import CONSUMER, Names

# How long a request for more stands; also the longest that the end of a worker has to wait.
STANDING_SECONDS = 0.5
# Until then the broker's word that it is over must be here; after a reconnection it never comes.
GRACE_SECONDS = 1.0


class Intake:
    """Messages of the workers' consumer."""

    def __init__(self, connection: Client, names: Names, batch: int) -> None:
        """Make one for at most `batch` messages at a time, and as many waiting."""
        self._connection = connection
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{names.requests_stream}.{CONSUMER}"
        self._inbox = connection.new_inbox()
        self._batch = batch
        self._here: deque[Msg] = deque()
        self._arrival = asyncio.Event()
        self._expected = 0
        self._expected_until = 0.0

    async def open(self) -> None:
        """Begin to listen."""
        await self._connection.subscribe(self._inbox, cb=self._on_message)

    async def take(self) -> list[Msg]:
        """Give what is here, at most a batch; wait a moment where there is nothing."""
        if len(self._here) + self._still_expected() <= self._batch // 2:
            await self._ask()
        if not self._here:
            self._arrival.clear()
            try:
                await asyncio.wait_for(self._arrival.wait(), STANDING_SECONDS)
            except TimeoutError:
                return []
        return self._taken()

    async def take_last(self) -> list[Msg]:
        """Give what still comes of what was asked for; nothing when it is over."""
        while not self._here and self._still_expected():
            await asyncio.sleep(0.01)
        return self._taken()

    def _taken(self) -> list[Msg]:
        return [self._here.popleft() for _ in range(min(self._batch, len(self._here)))]

    def _still_expected(self) -> int:
        if time.monotonic() > self._expected_until:
            self._expected = 0
        return self._expected

    async def _ask(self) -> None:
        order = {"batch": self._batch, "expires": int(STANDING_SECONDS * 1e9)}
        await self._connection.publish(self._subject, json.dumps(order).encode(), self._inbox)
        self._expected += self._batch
        self._expected_until = time.monotonic() + STANDING_SECONDS + GRACE_SECONDS

    async def _on_message(self, message: Msg) -> None:
        headers = message.headers or {}
        if "Status" in headers:  # a request for more is over: so many did not come
            rest = int(headers.get("Nats-Pending-Messages", self._batch))
            self._expected = max(0, self._expected - rest)
        else:
            self._expected = max(0, self._expected - 1)
            self._here.append(message)
        self._arrival.set()
