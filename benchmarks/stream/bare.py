"""The least that a worker must do: pull, publish a constant, acknowledge.

$ python -m benchmarks.stream.bare NAME

The same client and the same way to take messages as `app.stream`; nothing is read or scored.
"""

import asyncio
import os
import sys

import nats
import uvloop
from nats.js.api import Header

from app.stream.broker import Names
from app.stream.jetstream import JetStream

BATCH = 512
CONSTANT = b'{"prediction":1234.5678901234567}'


async def work(names: Names) -> None:
    """Answer until the process is ended."""
    connection = await nats.connect(os.environ["NATS_URL"])
    js = connection.jetstream()
    broker = JetStream(connection, names, BATCH, most_batches=1)
    await broker.open()
    while True:
        messages = await broker.take()
        confirmations = [
            await js.publish_async(
                names.predictions,
                CONSTANT,
                headers={Header.MSG_ID: message.request.id},
            )
            for message in messages
        ]
        await asyncio.gather(*confirmations)
        await broker.acknowledge(messages)


if __name__ == "__main__":
    uvloop.run(work(Names(sys.argv[1])))
