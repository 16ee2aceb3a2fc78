"""One worker: pulls requests, answers them together, publishes, and only then acknowledges.

At least once: what a killed worker had taken comes again. Each answer carries the request's id as
the broker's message id, so the second one is dropped there.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import Header

from app.batch.answers import Options
from app.operations import log
from app.operations.takeover import ModelInService
from app.stream import metrics
from app.stream.broker import CONSUMER, Names
from app.stream.intake import Intake
from app.stream.messages import Answer, Request, answer

# How long the broker may take to confirm a batch of answers.
PUBLISH_SECONDS = 10.0
PAUSE_SECONDS = 0.5
LAG_SECONDS = 1.0
LONGEST_REASON = 1_000  # letters of a header


class Worker:
    """Answers requests until it is told to stop."""

    def __init__(
        self,
        js: JetStreamContext,
        names: Names,
        intake: Intake,
        in_service: ModelInService,
        options: Options,
        batches: int,
    ) -> None:
        """Make a worker.

        Args:
            js: the broker.
            names: what to read and write there.
            intake: gives the requests.
            in_service: the model, which may be replaced at any time.
            options: what answers hold.
            batches: how many calls of the model may be in work at once.
        """
        self._js = js
        self._names = names
        self._in_service = in_service
        self._options = options
        self._intake = intake
        self._slots = asyncio.Semaphore(batches)
        self._scoring = ThreadPoolExecutor(1, "score")

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what was taken."""
        lag = asyncio.create_task(self._watch_lag())
        try:
            async with asyncio.TaskGroup() as tasks:
                while not stop.is_set():
                    if self._in_service.current is None:
                        await asyncio.sleep(PAUSE_SECONDS)
                    elif messages := await self._intake.take():
                        await self._slots.acquire()
                        tasks.create_task(self._work(messages))
                while messages := await self._intake.take_last():
                    await self._slots.acquire()
                    tasks.create_task(self._work(messages))
        finally:
            lag.cancel()
            self._scoring.shutdown()

    async def _work(self, messages: Sequence[Msg]) -> None:
        """Answer messages; where the broker fails, they are not acknowledged and come again."""
        begun = time.perf_counter()
        try:
            await self._answer(messages)
            metrics.SECONDS.observe(time.perf_counter() - begun)
        except (nats.errors.Error, TimeoutError) as error:
            await self._failed(error)
        finally:
            self._slots.release()

    async def _answer(self, messages: Sequence[Msg]) -> None:
        model = self._in_service.current
        assert model is not None  # noqa: S101 (nothing is pulled before there is one)
        model.check(self._options.extras)
        requests = [Request(request_id(message), message.data) for message in messages]
        answers = await asyncio.get_running_loop().run_in_executor(
            self._scoring, answer, model, requests, self._options
        )
        async with asyncio.timeout(PUBLISH_SECONDS):
            confirmations = [await self._publish(one, model.version) for one in answers]
            await asyncio.gather(*confirmations)
        for message in messages:
            await message.ack()
        rejected = sum(bool(one.reason) for one in answers)
        metrics.MESSAGES.labels("answered").inc(len(answers) - rejected)
        metrics.MESSAGES.labels("rejected").inc(rejected)

    async def _publish(self, one: Answer, version: str) -> "asyncio.Future[object]":
        headers = {Header.MSG_ID: one.id, "id": one.id, "version": version}
        if one.reason:
            headers["reason"] = " ".join(one.reason.split())[:LONGEST_REASON]
        subject = self._names.rejected if one.reason else self._names.predictions
        # Without a limit of its own, which would cost a task and a timer for each message.
        return await self._js.publish_async(  # type: ignore[return-value]
            subject, one.data, headers=headers
        )

    async def _watch_lag(self) -> None:
        while True:
            try:
                info = await self._js.consumer_info(self._names.requests_stream, CONSUMER)
                metrics.LAG.set((info.num_pending or 0) + (info.num_ack_pending or 0))
            except (nats.errors.Error, TimeoutError) as error:
                log.write("broker-failed", error=type(error).__name__, detail=str(error))
            await asyncio.sleep(LAG_SECONDS)

    async def _failed(self, error: Exception) -> None:
        metrics.FAILURES.inc()
        log.write("broker-failed", error=type(error).__name__, detail=str(error))
        await asyncio.sleep(PAUSE_SECONDS)


def request_id(message: Msg) -> str:
    """Give what a request is known by: its header `id`, its message id, or its number."""
    headers = message.headers or {}
    return (
        headers.get("id")
        or headers.get(Header.MSG_ID)
        or f"{message.metadata.stream}-{message.metadata.sequence.stream}"
    )
