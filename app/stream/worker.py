"""One worker: takes requests, answers them together, publishes, and only then acknowledges.

At least once: what a killed worker had taken comes again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from app.batch.answers import Options
from app.operations import log
from app.operations.takeover import ModelInService
from app.stream import metrics
from app.stream.broker import Broker, Message
from app.stream.messages import answer

PAUSE_SECONDS = 0.5
LAG_SECONDS = 1.0


class Worker:
    """Answers requests until it is told to stop."""

    def __init__(self, broker: Broker, in_service: ModelInService, options: Options) -> None:
        """Make a worker.

        Args:
            broker: gives the requests and takes the answers.
            in_service: the model, which may be replaced at any time.
            options: what answers hold.
        """
        self._broker = broker
        self._in_service = in_service
        self._options = options
        self._slots = asyncio.Semaphore(broker.most_batches)
        self._scoring = ThreadPoolExecutor(1, "score")

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what was taken."""
        lag = asyncio.create_task(self._watch_lag())
        try:
            async with asyncio.TaskGroup() as tasks:
                while not stop.is_set():
                    if self._in_service.current is None:
                        await asyncio.sleep(PAUSE_SECONDS)
                    else:
                        await self._begin(tasks, self._broker.take)
                while await self._begin(tasks, self._broker.take_last):
                    pass
        finally:
            lag.cancel()
            self._scoring.shutdown()

    async def _begin(
        self, tasks: asyncio.TaskGroup, take: Callable[[], Awaitable[Sequence[Message]]]
    ) -> bool:
        """Take a batch as soon as one more may be in work; say whether there was one."""
        await self._slots.acquire()
        messages = await take()
        if messages:
            tasks.create_task(self._work(messages))
        else:
            self._slots.release()
        return bool(messages)

    async def _work(self, messages: Sequence[Message]) -> None:
        """Answer messages; where the broker fails, they are not acknowledged and come again."""
        begun = time.perf_counter()
        try:
            await self._answer(messages)
            metrics.SECONDS.observe(time.perf_counter() - begun)
        except self._broker.errors as error:
            metrics.FAILURES.inc()
            log.write("broker-failed", error=type(error).__name__, detail=str(error))
            await self._broker.put_back(messages)
            await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self._slots.release()

    async def _answer(self, messages: Sequence[Message]) -> None:
        model = self._in_service.current
        assert model is not None  # noqa: S101 (nothing is taken before there is one)
        model.check(self._options.extras)
        requests = [message.request for message in messages]
        answers = await asyncio.get_running_loop().run_in_executor(
            self._scoring, answer, model, requests, self._options
        )
        await self._broker.publish(messages, answers, model.version)
        await self._broker.acknowledge(messages)
        rejected = sum(bool(one.reason) for one in answers)
        metrics.MESSAGES.labels("answered").inc(len(answers) - rejected)
        metrics.MESSAGES.labels("rejected").inc(rejected)

    async def _watch_lag(self) -> None:
        while True:
            try:
                metrics.LAG.set(await self._broker.lag())
            except self._broker.errors as error:
                log.write("broker-failed", error=type(error).__name__, detail=str(error))
            await asyncio.sleep(LAG_SECONDS)
