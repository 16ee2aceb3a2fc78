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


def outgoing(
    names: Names, answer: Answer, version: str, most: int
) -> tuple[str, bytes, dict[str, Any]]:
    """Make an answer a message.

    Args:
        names: the model's.
        answer: the answer. A rejected request is cut to what has room beside its reason.
        version: the model's.
        most: bytes that the broker takes.

    Returns:
        Its subject or topic, its data, and its headers, texts by name.
    """
    told = {"id": answer.id, "version": version}
    if not answer.reason:
        return names.predictions, answer.data, told
    data, reason, room = answer.data, answer.reason, most - HEADER_BYTES
    if len(data) > room:
        reason = f"here are the first {room} of its {len(data)} bytes; it {reason}"
    told["reason"] = " ".join(reason.split())[:LONGEST_REASON]
    return names.rejected, data[:room], told
