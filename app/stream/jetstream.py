"""NATS JetStream: its streams and the consumer that all workers share.

A request for more is always on its way. The client's own `fetch` starts a task for each message,
and waits for a full batch or a time-out; here messages are taken as they lie, however many there
are.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, Header, RetentionPolicy, StreamConfig
from nats.js.errors import NotFoundError

from app.operations import log
from app.stream.broker import (
    LONGEST_ID,
    PUBLISH_SECONDS,
    STANDING_SECONDS,
    Message,
    Names,
    outgoing,
)
from app.stream.messages import Answer, Request

CONSUMER = "workers"
RECONNECT_SECONDS = 0.5
# A request that a worker took and did not answer, say because it was killed, comes again.
ACK_SECONDS = 30.0
# The broker drops a second answer to one id for so long; a request comes again well before.
DUPLICATE_SECONDS = 120.0
ANSWERS_SECONDS = 7 * 24 * 3600.0
# Requests that all workers together may have in work.
MAX_IN_WORK = 50_000
# Until then the broker's word that it is over must be here; after a reconnection it never comes.
GRACE_SECONDS = 1.0


def requests_stream(names: Names) -> str:
    """The stream of what comes in."""
    return f"{names.base}-requests"


def answers_stream(names: Names) -> str:
    """The stream of what goes out."""
    return f"{names.base}-answers"


async def prepare(js: JetStreamContext, names: Names) -> None:
    """Create streams and consumer where they are missing; what is there keeps its settings.

    A request stays until it is acknowledged, and the stream grows with what waits.
    """
    configs = [
        StreamConfig(
            name=requests_stream(names),
            subjects=[names.requests],
            retention=RetentionPolicy.WORK_QUEUE,
        ),
        StreamConfig(
            name=answers_stream(names),
            subjects=[names.predictions, names.rejected],
            max_age=ANSWERS_SECONDS,
            duplicate_window=DUPLICATE_SECONDS,
        ),
    ]
    for config in configs:
        try:
            await js.stream_info(str(config.name))
        except NotFoundError:
            await js.add_stream(config)
    try:
        await js.consumer_info(requests_stream(names), CONSUMER)
    except NotFoundError:
        await js.add_consumer(
            requests_stream(names),
            ConsumerConfig(
                durable_name=CONSUMER,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_SECONDS,
                max_ack_pending=MAX_IN_WORK,
            ),
        )


class JetStream:
    """A connection's part of the work; see `app.stream.broker.Broker`."""

    errors: tuple[type[Exception], ...] = (nats.errors.Error, TimeoutError)

    def __init__(self, connection: Client, names: Names, batch: int, most_batches: int) -> None:
        """Make one for at most `batch` messages at a time, and as many waiting."""
        self.most_batches = most_batches
        self._connection = connection
        self._js = connection.jetstream()
        self._names = names
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{requests_stream(names)}.{CONSUMER}"
        self._inbox = connection.new_inbox()
        self._batch = batch
        self._here: deque[Msg] = deque()
        self._arrival = asyncio.Event()
        self._expected = 0
        self._expected_until = 0.0

    async def open(self) -> None:
        """Create what is missing, and begin to listen."""
        await prepare(self._js, self._names)
        await self._connection.subscribe(self._inbox, cb=self._on_message)

    async def take(self) -> list[Message]:
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

    async def take_last(self) -> list[Message]:
        """Give what still comes of what was asked for; nothing when it is over."""
        while not self._here and self._still_expected():
            await asyncio.sleep(0.01)
        return self._taken()

    async def publish(
        self, messages: Sequence[Message], answers: Sequence[Answer], version: str
    ) -> None:
        """Publish answers; the broker drops a second one to the same id."""
        async with asyncio.timeout(PUBLISH_SECONDS):
            confirmations = [await self._publish(one, version) for one in answers]
            await asyncio.gather(*confirmations)

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell that a batch is answered."""
        for message in messages:
            await message.handle.ack()

    async def put_back(self, messages: Sequence[Message]) -> None:
        """Do nothing: what is not acknowledged comes again by itself."""

    async def lag(self) -> int:
        """Count the requests of all workers that are not answered yet."""
        info = await self._js.consumer_info(requests_stream(self._names), CONSUMER)
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def _publish(self, answer: Answer, version: str) -> "asyncio.Future[object]":
        most = self._connection.max_payload
        subject, data, headers = outgoing(self._names, answer, version, most)
        # Without a limit of its own, which would cost a task and a timer for each message.
        return await self._js.publish_async(  # type: ignore[return-value]
            subject, data, headers={Header.MSG_ID: answer.id, **headers}
        )

    def _taken(self) -> list[Message]:
        taken = [self._here.popleft() for _ in range(min(self._batch, len(self._here)))]
        return [Message(Request(request_id(one), one.data), one) for one in taken]

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
        if message.reply:  # where to acknowledge it
            self._expected = max(0, self._expected - 1)
            self._here.append(message)
        else:  # the broker's own: a request for more is over, and so many did not come
            rest = int((message.headers or {}).get("Nats-Pending-Messages", self._batch))
            self._expected = max(0, self._expected - rest)
        self._arrival.set()


@asynccontextmanager
async def connected(
    url: str, names: Names, batch: int, most_batches: int
) -> AsyncIterator[JetStream]:
    """Connect a worker.

    Args:
        url: the broker's, with its credentials.
        names: what to read and write there.
        batch: most requests at a time.
        most_batches: how many calls of the model may be in work at once.
    """
    connection = await nats.connect(
        url,
        name="app.stream",
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_SECONDS,
        error_cb=_note,
    )
    try:
        broker = JetStream(connection, names, batch, most_batches)
        await broker.open()
        yield broker
        await connection.flush()  # the last acknowledgements
    finally:
        await connection.close()


async def _note(error: Exception) -> None:
    """Write what the client says of a connection that it mends itself."""
    log.write("broker", error=type(error).__name__, detail=str(error))


def request_id(message: Msg) -> str:
    """Give what a request is known by: its header `id`, its message id, or its number."""
    given = message.headers or {}
    for name in ("id", Header.MSG_ID):
        if (told := given.get(name)) and len(told.encode()) <= LONGEST_ID:
            return told
    return f"{message.metadata.stream}-{message.metadata.sequence.stream}"
