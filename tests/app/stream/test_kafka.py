"""Workers against a broker that speaks Kafka's protocol."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgpack
import pytest
from confluent_kafka import Consumer, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from app.settings import SettingsError
from app.stream.broker import Message as Taken
from app.stream.broker import Names
from app.stream.kafka import Kafka, connected, read_properties
from app.stream.messages import Answer
from local.processes import free_port
from tests.app.batch.conftest import answers, records
from tests.app.stream.conftest import environment, worker

# A worker that is killed is missed after the session's time; the least that the protocol allows
GROUP = "session.timeout.ms=6000\nheartbeat.interval.ms=500\n"
PATIENCE_SECONDS = 60


@pytest.fixture
def properties(folder: Path, kafka_servers: str) -> dict[str, str]:
    """The settings that name the broker."""
    file = folder / "kafka.properties"
    file.write_text(f"bootstrap.servers={kafka_servers}\n{GROUP}")
    return {"KAFKA_PROPERTIES": str(file)}


def send(servers: str, names: Names, bodies: Sequence[bytes], key: bytes | None = None) -> None:
    """Send requests, their numbers as ids."""
    producer = Producer({"bootstrap.servers": servers})
    for number, body in enumerate(bodies):
        producer.produce(names.requests, body, key, headers={"id": str(number)})
    assert producer.flush(30) == 0


def receive(servers: str, names: Names, ids: int) -> list[Message]:
    """Read answers, of both topics, until so many ids have one."""
    reader = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"reader-{time.time_ns()}",
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6000,
            "topic.metadata.refresh.interval.ms": 500,
        }
    )
    reader.subscribe([names.predictions, names.rejected])
    messages: list[Message] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len({told(message)["id"] for message in messages}) < ids:
        assert time.monotonic() < deadline, f"{len(messages)} of {ids}"
        messages += [one for one in reader.consume(1000, 0.5) if one.error() is None]
    reader.close()
    return messages


async def batch(broker: Kafka) -> list[Taken]:
    """Take what is there, once there is something."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (messages := await broker.take()):
            continue
    return messages


def told(message: Message) -> dict[str, str]:
    """The headers."""
    return {
        name: value.decode()
        for name, value in dict(message.headers() or []).items()
        if isinstance(value, bytes)
    }


def test_every_request_gets_its_answer_and_poison_its_reason(
    folder: Path, kafka_servers: str, properties: dict[str, str]
) -> None:
    names, rows = Names("answers"), records(600)
    bodies = [json.dumps(row).encode() for row in rows]
    bodies[100] = b"poison"
    bodies[200] = msgpack.packb(rows[200])
    with worker(folder, properties, "answers", "--batch", "64"):
        send(kafka_servers, names, bodies)
        messages = receive(kafka_servers, names, len(bodies))
    assert len(messages) == len(bodies)
    (version,) = [path.name for path in (folder / "cache").iterdir()]
    expected = answers(rows)
    for message in messages:
        headers, data = told(message), message.value() or b""
        number = int(headers["id"])
        assert headers["version"] == version
        assert message.key() == headers["id"].encode()
        if number == 100:
            assert (message.topic(), data) == ("answers.rejected", b"poison")
            assert headers["reason"].startswith("is not JSON: ")
        else:
            decode = msgpack.unpackb if number == 200 else json.loads
            assert decode(data)["prediction"] == pytest.approx(expected[number], rel=1e-15)


@pytest.mark.slow
def test_killed_workers_lose_nothing(
    folder: Path, kafka_servers: str, properties: dict[str, str]
) -> None:
    names, rows = Names("killed"), records(2_000)
    with (
        worker(folder, properties, "killed", "--batch", "10") as killed,
        worker(folder, properties, "killed", "--batch", "10"),
    ):
        send(kafka_servers, names, [json.dumps(row).encode() for row in rows])
        receive(kafka_servers, names, 20)
        killed.kill()
        messages = receive(kafka_servers, names, len(rows))
    answered: dict[int, set[bytes]] = {}
    for message in messages:
        answered.setdefault(int(told(message)["id"]), set()).add(message.value() or b"")
    assert answered.keys() == set(range(len(rows)))
    for expected, data in zip(answers(rows), (answered[n] for n in range(len(rows))), strict=True):
        (one,) = data  # twice perhaps, but never two answers
        assert json.loads(one)["prediction"] == pytest.approx(expected, rel=1e-15)


def test_what_is_put_back_comes_again_and_what_is_acknowledged_does_not(
    kafka_servers: str, properties: dict[str, str]
) -> None:
    names, file = Names("again"), Path(properties["KAFKA_PROPERTIES"])
    client = AdminClient({"bootstrap.servers": kafka_servers})
    (creation,) = client.create_topics([NewTopic(names.requests, num_partitions=1)]).values()
    creation.result()

    async def taken(count: int) -> list[str]:
        """Take so many requests; acknowledge those after the first batch that came twice."""
        ids: list[str] = []
        async with connected(file, names, 5) as broker:
            if count == 10:
                await asyncio.to_thread(send, kafka_servers, names, 10 * [b"{}"])
            first = await batch(broker)
            assert await broker.lag() == count
            await broker.put_back(first)
            while len(ids) < 5:
                messages = await batch(broker)
                ids += [message.request.id for message in messages]
                sent = [Answer(one.request.id, b"1") for one in messages]
                await broker.publish(messages, sent, "v1")
                await broker.acknowledge(messages)
            assert await broker.lag() == count - len(ids)
        return ids

    assert asyncio.run(taken(10)) == ["0", "1", "2", "3", "4"]
    assert asyncio.run(taken(5)) == ["5", "6", "7", "8", "9"]
    answered = [told(one)["id"] for one in receive(kafka_servers, names, 10)]
    assert sorted(answered) == list("0123456789")


@pytest.mark.parametrize(
    ("name", "body", "key", "kept", "reason"),
    [
        ("large", bytes(999_000), None, bytes(1_000_000 - 16_384), "here are the first 983616 of"),
        ("keyed", bytes(900_000), bytes(99_000), bytes(900_000), "xxx"),
    ],
    ids=["its data", "its key"],
)
def test_a_rejected_request_that_is_too_large_with_headers_is_cut(
    name: str,
    body: bytes,
    key: bytes | None,
    kept: bytes,
    reason: str,
    kafka_servers: str,
    properties: dict[str, str],
) -> None:
    names, file = Names(name), Path(properties["KAFKA_PROPERTIES"])

    async def run() -> None:
        async with connected(file, names, 5) as broker:
            await asyncio.to_thread(send, kafka_servers, names, [body], key)
            messages = await batch(broker)
            await broker.publish(messages, [Answer("0", body, 2_000 * "x")], "v1")
            await broker.acknowledge(messages)

    asyncio.run(run())
    (message,) = receive(kafka_servers, names, 1)
    assert message.topic() == names.rejected
    assert (message.value(), message.key()) == (kept, b"0")
    assert told(message)["reason"].startswith(reason)


def test_a_file_that_names_no_broker_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    with pytest.raises(SettingsError, match=r"cannot be read: .*No such file"):
        read_properties(file)
    file.write_text("sasl.username=me\n")
    with pytest.raises(SettingsError, match=r"has no line bootstrap\.servers=host:port\."):
        read_properties(file)


def test_settings_are_taken_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("# ours\nbootstrap.servers=a:1,b:2\nsasl.password=p$HOME#'=\n")
    assert read_properties(file) == {"bootstrap.servers": "a:1,b:2", "sasl.password": "p$HOME#'="}


@pytest.mark.parametrize(
    ("line", "reason"),
    [("", "transport failure"), ("no.such.setting=1", "No such configuration property")],
    ids=["nobody answers", "an unknown setting"],
)
def test_a_broker_that_cannot_be_used_ends_the_worker(line: str, reason: str, folder: Path) -> None:
    file = folder / "kafka.properties"
    file.write_text(f"bootstrap.servers=127.0.0.1:{free_port()}\n{line}\n")
    done = subprocess.run(
        [sys.executable, "-m", "app.stream", "--name", "none"],
        cwd=folder,
        env=environment({"KAFKA_PROPERTIES": str(file)}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("The broker cannot be used: ")
    assert reason in last
    assert "KAFKA_PROPERTIES" in last
