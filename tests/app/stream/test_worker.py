"""Workers as people run them, against a real broker."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgpack
import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, Header

from app.stream.broker import Names
from app.stream.jetstream import answers_stream, prepare, requests_stream
from local.broker import broker_answers, start_broker
from local.processes import free_port, stop, wait
from tests.app.batch.conftest import answers, records
from tests.app.conftest import publish, write_model
from tests.app.stream.conftest import worker


async def ignore(error: Exception) -> None:
    """The client mends a lost connection itself."""


@asynccontextmanager
async def stream(url: str, name: str) -> AsyncIterator[tuple[JetStreamContext, Names]]:
    connection = await nats.connect(url, error_cb=ignore)
    names = Names(name)
    try:
        js = connection.jetstream()
        await prepare(js, names)
        yield js, names
    finally:
        await connection.close()


async def send(
    js: JetStreamContext, names: Names, bodies: Sequence[bytes], prefix: str = ""
) -> None:
    waiting = [
        await js.publish_async(names.requests, body, headers={Header.MSG_ID: f"{prefix}{number}"})
        for number, body in enumerate(bodies)
    ]
    await asyncio.wait_for(asyncio.gather(*waiting), 30)


async def receive(js: JetStreamContext, names: Names, count: int) -> list[Any]:
    """Read so many answers, of both subjects; and see that there are no more."""
    plain = ConsumerConfig(ack_policy=AckPolicy.NONE)
    reader = await js.pull_subscribe("", stream=answers_stream(names), config=plain)
    messages: list[Any] = []
    deadline = time.monotonic() + 60
    while len(messages) < count:
        assert time.monotonic() < deadline, f"{len(messages)} of {count}"
        try:
            messages += await reader.fetch(500, timeout=0.2)
        except TimeoutError:
            continue
    info = await js.stream_info(answers_stream(names))
    assert info.state.messages == count
    return messages


def test_every_request_gets_its_answer_and_poison_its_reason(folder: Path, broker_url: str) -> None:
    rows = records(600)
    bodies = [json.dumps(row).encode() for row in rows]
    bodies[100] = b"poison"
    bodies[200] = msgpack.packb(rows[200])
    bodies[300] = json.dumps(rows[300] | {"sold": 7}).encode()

    async def run() -> tuple[list[Any], int]:
        async with stream(broker_url, "answers") as (js, names):
            await send(js, names, bodies)
            with worker(folder, {"NATS_URL": broker_url}, "answers", "--batch", "64"):
                messages = await receive(js, names, len(bodies))
            left = (await js.stream_info(requests_stream(names))).state.messages
            return messages, left

    messages, left = asyncio.run(run())
    assert left == 0
    (version,) = [path.name for path in (folder / "cache").iterdir()]
    assert {message.headers["version"] for message in messages} == {version}
    rejected = {m.headers["id"]: m for m in messages if m.subject == "answers.rejected"}
    assert rejected.keys() == {"100", "300"}
    assert rejected["100"].data == b"poison"
    assert rejected["100"].headers["reason"].startswith("is not JSON: ")
    assert rejected["300"].headers["reason"].startswith("column 'sold': 7 is not a date")
    expected = answers(rows)
    for message in messages:
        number = int(message.headers["id"])
        if number not in (100, 300):
            decode = msgpack.unpackb if number == 200 else json.loads
            assert decode(message.data)["prediction"] == pytest.approx(expected[number], rel=1e-15)


def test_an_id_is_answered_once(folder: Path, broker_url: str) -> None:
    (body,) = [json.dumps(row).encode() for row in records(1)]

    async def run() -> list[Any]:
        async with stream(broker_url, "once") as (js, names):
            for _ in range(3):
                # A header that the broker's own messages have, too
                headers = {"id": "same", "Status": "new", "Nats-Pending-Messages": "many"}
                await js.publish(names.requests, body, headers=headers)
            with worker(folder, {"NATS_URL": broker_url}, "once"):
                async with asyncio.timeout(30):
                    while (await js.stream_info(requests_stream(names))).state.messages:
                        await asyncio.sleep(0.05)
                return await receive(js, names, 1)

    (message,) = asyncio.run(run())
    assert message.headers["id"] == "same"


def test_poison_as_large_as_a_message_may_be_stops_no_other(folder: Path, broker_url: str) -> None:
    (body,) = [json.dumps(row).encode() for row in records(1)]

    async def run() -> tuple[list[Any], int]:
        async with stream(broker_url, "large") as (js, names):
            poison = bytes(js._nc.max_payload - 100)  # with its headers just as large
            await js.publish(names.requests, poison, headers={"id": "large"})
            await js.publish(names.requests, b"poison", headers={"id": 10_000 * "long"})
            await js.publish(names.requests, body, headers={"id": "sound"})
            with worker(folder, {"NATS_URL": broker_url}, "large"):
                return await receive(js, names, 3), len(poison)

    messages, size = asyncio.run(run())
    by_id = {message.headers["id"]: message for message in messages}
    assert by_id.keys() == {"large", "large-requests-2", "sound"}
    assert by_id["sound"].subject == "large.predictions"
    cut = by_id["large"]
    assert cut.subject == "large.rejected"
    assert cut.headers["reason"].startswith(f"here are the first {len(cut.data)} of its {size} ")
    assert by_id["large-requests-2"].headers["reason"].startswith("is not JSON: ")


def test_a_worker_follows_the_locked_version_and_tells_its_lag(
    folder: Path, broker_url: str
) -> None:
    rows = records(2)
    port = free_port()

    async def run() -> list[Any]:
        async with stream(broker_url, "versions") as (js, names):
            with worker(folder, {"NATS_URL": broker_url}, "versions", "--metrics-port", str(port)):
                await send(js, names, [json.dumps(rows[0]).encode()], "before-")
                await receive(js, names, 1)
                other = write_model(folder / "other", shift=1000.0)
                version = publish(other, folder / "cache", folder / "dvc.lock")
                await told(port, f'version="{version}"}} 1.0')
                await send(js, names, [json.dumps(rows[1]).encode()], "after-")
                messages = await receive(js, names, 2)
                await told(port, 'stream_messages_total{outcome="answered"} 2.0')
                await told(port, "stream_lag_messages 0.0")
                return messages

    before, after = asyncio.run(run())
    assert before.headers["version"] != after.headers["version"]
    assert json.loads(after.data)["prediction"] == pytest.approx(answers(rows)[1] + 1000)


async def answer_count(js: JetStreamContext, names: Names) -> int:
    """How many messages the stream of answers has."""
    messages: int = (await js.stream_info(answers_stream(names))).state.messages
    return messages


async def told(port: int, line: str) -> None:
    """Wait until the worker's metrics say so."""
    deadline = time.monotonic() + 30
    while line not in httpx.get(f"http://127.0.0.1:{port}/metrics").text:
        assert time.monotonic() < deadline, line
        await asyncio.sleep(0.05)


def test_told_to_stop_a_worker_finishes_what_it_took(folder: Path, broker_url: str) -> None:
    bodies = [json.dumps(row).encode() for row in records(3_000)]

    async def run() -> None:
        async with stream(broker_url, "drained") as (js, names):
            await send(js, names, bodies)
            with worker(folder, {"NATS_URL": broker_url}, "drained", "--batch", "50") as process:
                while not await answer_count(js, names):
                    await asyncio.sleep(0.01)
                process.terminate()
                assert process.wait(30) == 0
            answered = await answer_count(js, names)
            waiting = (await js.consumer_info(requests_stream(names), "workers")).num_ack_pending
            left = (await js.stream_info(requests_stream(names))).state.messages
            assert waiting == 0
            assert answered + left == len(bodies)

    asyncio.run(run())


@pytest.mark.slow
def test_killed_workers_and_a_broker_that_starts_again_lose_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Taken and not answered, a request comes again after this time.
    monkeypatch.setattr("app.stream.jetstream.ACK_SECONDS", 2.0)
    rows = records(4_000)
    bodies = [json.dumps(row).encode() for row in rows]
    poison = set(range(0, 4_000, 500))
    for number in poison:
        bodies[number] = b"poison"
    url = f"nats://test:secret@127.0.0.1:{free_port()}"
    draw = random.Random(2)
    service = start_broker(folder / "broker", url)
    wait(service, url, broker_answers)
    try:

        async def run() -> list[Any]:
            async with stream(url, "killed") as (js, names):
                await send(js, names, bodies)
                for kill in range(3):
                    with (
                        worker(folder, {"NATS_URL": url}, "killed", "--batch", "50") as killed,
                        worker(folder, {"NATS_URL": url}, "killed", "--batch", "50"),
                    ):
                        before = await answer_count(js, names)
                        # Those of the round before may have answered all by now
                        while await answer_count(js, names) == before < len(bodies):
                            await asyncio.sleep(0.01)
                        await asyncio.sleep(draw.uniform(0, 0.1))
                        killed.kill()
                        if kill == 1:
                            await asyncio.to_thread(restart)
                with worker(folder, {"NATS_URL": url}, "killed"):
                    return await receive(js, names, len(bodies))

        def restart() -> None:
            nonlocal service
            stop(service)
            service = start_broker(folder / "broker", url)
            wait(service, url, broker_answers)

        messages = asyncio.run(run())
    finally:
        stop(service)
    found = {int(message.headers["id"]): message for message in messages}
    assert found.keys() == set(range(4_000))
    assert {n for n, message in found.items() if message.subject == "killed.rejected"} == poison
    expected = answers(rows)
    for number in found.keys() - poison:
        predicted = json.loads(found[number].data)["prediction"]
        assert predicted == pytest.approx(expected[number], rel=1e-15)
