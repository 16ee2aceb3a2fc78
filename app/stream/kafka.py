"""Kafka: topics in place of subjects, a consumer group in place of the shared consumer.

The client waits for the brokers in the thread that calls it, so it has one of its own here. Which
worker has which partition of a topic changes only while messages are taken, and what was taken
before is answered and acknowledged by then.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as Record
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from dotenv import dotenv_values

from app.operations import log
from app.settings import SettingsError
from app.stream.broker import (
    LONGEST_ID,
    PUBLISH_SECONDS,
    STANDING_SECONDS,
    Message,
    Names,
    outgoing,
)
from app.stream.messages import Answer, Request

GROUP = "workers"
SERVERS = "bootstrap.servers"
CRITICAL = 2  # of the client's own log; what it says of connections, `_note` writes
# How long the brokers may take to tell of topics and offsets, or to take offsets.
TELL_SECONDS = 10.0
MESSAGE_BYTES = 1_000_000  # the client's default, which `message.max.bytes` changes

Result = TypeVar("Result")


class Kafka:
    """A member of the group of workers; see `app.stream.broker.Broker`."""

    errors: tuple[type[Exception], ...] = (KafkaException,)
    most_batches = 1  # a partition's messages are acknowledged in their order

    def __init__(self, properties: Mapping[str, str], names: Names, batch: int) -> None:
        """Prepare for at most `batch` messages at a time.

        Args:
            properties: the client's settings.
            names: the topics.
            batch: most messages at a time.
        """
        self._names = names
        self._batch = batch
        told = _logged(properties)
        self._producer = Producer(told)
        self._most_bytes = int(properties.get("message.max.bytes", MESSAGE_BYTES))
        first = {"group.id": f"{names.base}-{GROUP}", "auto.offset.reset": "earliest"}
        self._consumer = Consumer({**first, **told, "enable.auto.commit": False})
        self._thread = ThreadPoolExecutor(1, "kafka")

    async def open(self, properties: Mapping[str, str]) -> None:
        """Create topics that are missing, as the brokers do by default, and join the group.

        Raises:
            KafkaException: the brokers cannot be reached, or refuse.
        """
        await self._beside(_create_topics, properties, self._names)
        await self._beside(self._consumer.subscribe, [self._names.requests])

    async def close(self) -> None:
        """Leave the group."""
        await self._beside(self._consumer.close)
        self._thread.shutdown()

    async def take(self) -> list[Message]:
        """Give what is here, at most a batch; wait a moment where there is nothing."""
        records = await self._beside(self._consumer.consume, self._batch, STANDING_SECONDS)
        for record in records:
            if (error := record.error()) is not None:
                _note(error)
        return [
            Message(Request(request_id(record), record.value() or b""), record)
            for record in records
            if record.error() is None
        ]

    async def take_last(self) -> list[Message]:
        """Give nothing: what is not taken stays where it is."""
        return []

    async def publish(
        self, messages: Sequence[Message], answers: Sequence[Answer], version: str
    ) -> None:
        """Publish answers under the keys of their requests, or else under their ids."""
        await self._beside(self._publish, messages, answers, version)

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell that a batch, and all before it, is answered."""
        places = _places(messages, max, 1)
        committed = await self._beside(
            lambda: self._consumer.commit(offsets=places, asynchronous=False)
        )
        for place in committed or []:
            if place.error is not None:
                raise KafkaException(place.error)

    async def put_back(self, messages: Sequence[Message]) -> None:
        """Take a batch again."""
        for place in _places(messages, min, 0):
            try:
                await self._beside(self._consumer.seek, place)
            except KafkaException as error:  # another worker's by now, who takes it again
                _note(error.args[0])

    async def lag(self) -> int:
        """Count the requests of this worker's partitions that are not answered yet."""
        return await self._beside(self._lag)

    async def _beside(self, call: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def _publish(
        self, messages: Sequence[Message], answers: Sequence[Answer], version: str
    ) -> None:
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Record) -> None:
            if error is not None:
                failures.append(error)

        for message, one in zip(messages, answers, strict=True):
            topic, data, headers = outgoing(self._names, one, version, self._most_bytes)
            key = message.handle.key()
            self._producer.produce(
                topic,
                data,
                key=key if key and len(key) <= LONGEST_ID else one.id,
                headers=headers,
                on_delivery=delivered,
            )
        if self._producer.flush(PUBLISH_SECONDS):
            self._producer.purge()
            self._producer.flush()
        if failures:
            raise KafkaException(failures[0])

    def _lag(self) -> int:
        total = 0
        for place in self._consumer.committed(self._consumer.assignment(), TELL_SECONDS):
            first, last = self._consumer.get_watermark_offsets(place, cached=True)
            total += max(0, last - max(first, place.offset))
        return total


@asynccontextmanager
async def connected(file: Path, names: Names, batch: int) -> AsyncIterator[Kafka]:
    """Connect a worker.

    Args:
        file: the client's settings, as `read_properties` takes them.
        names: what to read and write there.
        batch: most requests at a time.
    """
    properties = read_properties(file)
    broker = Kafka(properties, names, batch)
    try:
        await broker.open(properties)
        yield broker
    finally:
        await broker.close()


def read_properties(file: Path) -> dict[str, str]:
    """Read the client's settings: `name=value` lines, names as librdkafka has them.

    Raises:
        SettingsError: the file cannot be read, or does not name the brokers.
    """
    try:
        with file.open() as lines:
            properties = dotenv_values(stream=lines, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"KAFKA_PROPERTIES: {file} cannot be read: {error}") from error
    if not properties.get(SERVERS):
        raise SettingsError(f"KAFKA_PROPERTIES: {file} has no line {SERVERS}=host:port.")
    return {name: value or "" for name, value in properties.items()}


def request_id(record: Record) -> str:
    """Give what a request is known by: its header `id`, or its place."""
    for name, value in reversed(record.headers() or []):
        if name == "id" and isinstance(value, bytes) and 0 < len(value) <= LONGEST_ID:
            return value.decode(errors="replace")
    return f"{record.topic()}-{record.partition()}-{record.offset()}"


def _create_topics(properties: Mapping[str, str], names: Names) -> None:
    client = AdminClient(_logged(properties))
    here = client.list_topics(timeout=TELL_SECONDS).topics
    missing = [
        NewTopic(name)
        for name in (names.requests, names.predictions, names.rejected)
        if name not in here
    ]
    for creation in client.create_topics(missing).values() if missing else ():
        try:
            creation.result(TELL_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another worker was first
                raise


def _places(
    messages: Sequence[Message], choose: Callable[[Iterable[int]], int], ahead: int
) -> list[TopicPartition]:
    """Of each partition of a batch the offset that is chosen, and so many ahead of it."""
    offsets: dict[tuple[str, int], list[int]] = defaultdict(list)
    for message in messages:
        record = message.handle
        offsets[record.topic(), record.partition()].append(record.offset())
    return [
        TopicPartition(topic, partition, choose(all_) + ahead)
        for (topic, partition), all_ in offsets.items()
    ]


def _logged(properties: Mapping[str, str]) -> dict[str, Any]:
    """The client's settings, with our log. Else each would warn of what is another's there."""
    return {"log_level": CRITICAL, **properties, "error_cb": _note}


def _note(error: KafkaError) -> None:
    """Write what the client says of a connection that it mends itself."""
    log.write("broker", error=error.name(), detail=error.str())
