"""Two workers while one of them is killed again and again, and the broker starts anew."""

import asyncio
import json
from typing import Any

import psutil
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig
from orjson import loads

from app.batch.answers import Options
from app.model.model import Model
from app.stream.broker import Names
from app.stream.jetstream import answers_stream, requests_stream
from app.stream.messages import Request, answer
from benchmarks.stream.setting import IN_FLIGHT, Setting, answered, fill
from benchmarks.workspace import Workspace
from local import processes

NAME = "faults"
POISON_EACH = 1_000  # requests
POISON = b"poison"


async def faults(
    setting: Setting,
    service: processes.Service,
    workspace: Workspace,
    requests: list[bytes],
    count: int,
    kills: int,
) -> dict[str, Any]:
    """Send requests, kill workers, start the broker anew; then look at every answer.

    Returns:
        How many answers are missing, twice, different, wrong, or of the wrong kind. Stops the
        broker at the end.
    """
    sent = [
        POISON if number % POISON_EACH == 0 else requests[number % len(requests)]
        for number in range(count)
    ]
    workers = [setting.start("app.stream", "--name", NAME) for _ in range(2)]
    try:
        async with setting.stream(NAME) as (js, names):
            await fill(js, names, sent, count)
            for kill in range(1, kills + 1):
                await answered(js, names, count * kill // (kills + 2))
                workers[kill % 2].kill()
                workers[kill % 2].wait()
                workers[kill % 2] = setting.start("app.stream", "--name", NAME)
                if kill == (kills + 1) // 2:
                    await asyncio.to_thread(processes.stop, service)
                    service = await asyncio.to_thread(setting.start_broker)
            await _all_acknowledged(js, names)
            messages = await _read(js, names)
        return judge(Model.load(workspace.serving), sent, messages)
    finally:
        for worker in workers:
            _end(worker)
        processes.stop(service)


def judge(
    model: Model, sent: list[bytes], messages: list[tuple[str, str, bytes]]
) -> dict[str, Any]:
    """Compare the answers, (subject, id, data) each, with what the model says."""
    expected: dict[bytes, float] = {}
    for start in range(0, len(sent), IN_FLIGHT):
        part = list(dict.fromkeys(sent[start : start + IN_FLIGHT]))
        for one in answer(model, [Request(body.decode(), body) for body in part], Options()):
            if not one.reason:
                expected[one.id.encode()] = json.loads(one.data)["prediction"]
    by_id: dict[int, set[tuple[str, bytes]]] = {}
    for subject, id_, data in messages:
        by_id.setdefault(int(id_), set()).add((subject, data))
    poison = {number for number, body in enumerate(sent) if body == POISON}
    rejected = {number for number, all_ in by_id.items() if any("rejected" in s for s, _ in all_)}
    wrong = sum(
        loads(data)["prediction"] != expected[sent[number]]
        for number, all_ in by_id.items()
        for subject, data in all_
        if "rejected" not in subject and number not in poison
    )
    return {
        "messages": len(sent),
        "unanswered": len(sent) - len(by_id),
        "answered_twice": len(messages) - len(by_id),
        "answered_differently": sum(len(all_) > 1 for all_ in by_id.values()),
        "wrong_answers": wrong,
        "poison": len(poison),
        "poison_not_rejected": len(poison - rejected),
        "rejected_without_reason": len(rejected - poison),
    }


async def _all_acknowledged(js: JetStreamContext, names: Names) -> None:
    while (await js.stream_info(requests_stream(names))).state.messages:
        await asyncio.sleep(0.2)


async def _read(js: JetStreamContext, names: Names) -> list[tuple[str, str, bytes]]:
    plain = ConsumerConfig(ack_policy=AckPolicy.NONE)
    reader = await js.pull_subscribe("", stream=answers_stream(names), config=plain)
    count = (await js.stream_info(answers_stream(names))).state.messages
    messages: list[tuple[str, str, bytes]] = []
    while len(messages) < count:
        try:
            for message in await reader.fetch(IN_FLIGHT, timeout=1):
                messages.append((message.subject, (message.headers or {})["id"], message.data))
        except NatsTimeoutError:
            continue
    return messages


def _end(worker: psutil.Popen) -> None:
    worker.terminate()
    worker.wait()
