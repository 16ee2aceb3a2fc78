"""What the broker keeps: subjects, streams and the consumer that all workers share."""

import re
from dataclasses import dataclass

from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig
from nats.js.errors import NotFoundError

CONSUMER = "workers"
# A request that a worker took and did not answer, say because it was killed, comes again.
ACK_SECONDS = 30.0
# The broker drops a second answer to one id for so long; a request comes again well before.
DUPLICATE_SECONDS = 120.0
ANSWERS_SECONDS = 7 * 24 * 3600.0
# Requests that all workers together may have in work.
MAX_IN_WORK = 50_000


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one model's stream.

    Attributes:
        base: what all begin with.
    """

    base: str

    @classmethod
    def of(cls, model: str) -> "Names":
        """Make a model's name one that subjects can have."""
        return cls(re.sub(r"[^A-Za-z0-9_-]+", "_", model))

    @property
    def requests(self) -> str:
        """The subject, and with a dash the stream, of what comes in."""
        return f"{self.base}.requests"

    @property
    def predictions(self) -> str:
        """The subject of answers."""
        return f"{self.base}.predictions"

    @property
    def rejected(self) -> str:
        """The subject of requests that cannot be answered."""
        return f"{self.base}.rejected"

    @property
    def requests_stream(self) -> str:
        """The stream of what comes in."""
        return f"{self.base}-requests"

    @property
    def answers_stream(self) -> str:
        """The stream of what goes out."""
        return f"{self.base}-answers"


async def prepare(js: JetStreamContext, names: Names) -> None:
    """Create streams and consumer where they are missing; what is there keeps its settings.

    A request stays until it is acknowledged, and the stream grows with what waits.
    """
    configs = [
        StreamConfig(
            name=names.requests_stream,
            subjects=[names.requests],
            retention=RetentionPolicy.WORK_QUEUE,
        ),
        StreamConfig(
            name=names.answers_stream,
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
        await js.consumer_info(names.requests_stream, CONSUMER)
    except NotFoundError:
        await js.add_consumer(
            names.requests_stream,
            ConsumerConfig(
                durable_name=CONSUMER,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_SECONDS,
                max_ack_pending=MAX_IN_WORK,
            ),
        )
