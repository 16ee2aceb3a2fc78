"""What a worker needs of a broker, whichever it is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.stream.messages import Answer, Request

# The longest that a broker is asked for requests at a time, and so that a worker's end waits.
STANDING_SECONDS = 0.5
# How long it may take to confirm a batch of answers.
PUBLISH_SECONDS = 10.0
# Of a message's most bytes, what its headers may take.
HEADER_BYTES = 16_384
# Of headers. A request with a longer id is known by its place in the stream.
LONGEST_ID = 1_000  # bytes
LONGEST_REASON = 1_000  # letters


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one model's stream.

    Attributes:
        base: what all begin with.
    """

    base: str

    @classmethod
    def of(cls, model: str) -> "Names":
        """Make a model's name one that subjects and topics can have."""
        return cls(re.sub(r"[^A-Za-z0-9_-]+", "_", model))

    @property
    def requests(self) -> str:
        """The subject or topic of what comes in."""
        return f"{self.base}.requests"

    @property
    def predictions(self) -> str:
        """The subject or topic of answers."""
        return f"{self.base}.predictions"

    @property
    def rejected(self) -> str:
        """The subject or topic of requests that cannot be answered."""
        return f"{self.base}.rejected"

    def of_answer(self, answer: Answer) -> str:
        """Where this answer goes: to one of these two."""
        return self.rejected if answer.reason else self.predictions


@dataclass(frozen=True, slots=True)
class Message:
    """A request, and what its broker knows it by.

    Attributes:
        request: what is to be answered.
        handle: the broker's own message.
    """

    request: Request
    handle: Any


class Broker(Protocol):
    """A broker to which a worker is connected.

    Attributes:
        errors: what any of these may raise; the batch comes again then.
        most_batches: how many batches may be in work at once.
    """

    errors: tuple[type[Exception], ...]
    most_batches: int

    async def take(self) -> list[Message]:
        """Give what is here, at most a batch; wait a moment where there is nothing."""
        ...

    async def take_last(self) -> list[Message]:
        """Give what still comes of what was asked for; nothing when it is over."""
        ...

    async def publish(
        self, messages: Sequence[Message], answers: Sequence[Answer], version: str
    ) -> None:
        """Publish the answers of a batch with the model's version, and wait until they are kept."""
        ...

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell that a batch is answered and need not come again."""
        ...

    async def put_back(self, messages: Sequence[Message]) -> None:
        """See that a batch that was not answered comes again."""
        ...

    async def lag(self) -> int:
        """Count the requests that are not answered yet."""
        ...


def fitting(answer: Answer, most: int) -> Answer:
    """Cut a request that was rejected to so many bytes: with headers a broker may not take it."""
    if not answer.reason or len(answer.data) <= most:
        return answer
    cut = f"here are the first {most} of its {len(answer.data)} bytes; it {answer.reason}"
    return Answer(answer.id, answer.data[:most], cut)


def headers(answer: Answer, version: str) -> dict[str, Any]:
    """What an answer tells beside its data, texts by name."""
    told = {"id": answer.id, "version": version}
    if answer.reason:
        told["reason"] = " ".join(answer.reason.split())[:LONGEST_REASON]
    return told
