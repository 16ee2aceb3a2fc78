"""Answers the requests of a stream, NATS JetStream's or Kafka's, with the locked model version.

$ python -m app.stream

Reads NAME.requests, one record a message in JSON or MessagePack; writes NAME.predictions, and what
cannot be answered to NAME.rejected. NAME is the model's. NATS_URL says where the broker is; where
KAFKA_PROPERTIES names a file, it is Kafka's.
"""

import argparse
import asyncio
import signal
import sys
from contextlib import AbstractAsyncContextManager

import nats.errors
import uvloop
from confluent_kafka import KafkaException
from prometheus_client import start_http_server

from app.batch.answers import Options
from app.operations import log, memory
from app.operations.takeover import ModelInService
from app.settings import Settings, SettingsError, read_settings
from app.stream import jetstream, kafka
from app.stream.broker import Broker, Names
from app.stream.worker import Worker

WAIT_SECONDS = 0.5
# How long scoring may keep the broker's messages waiting for Python; its default is ten times that
SWITCH_SECONDS = 0.0005


def main() -> None:
    """Command line."""
    arguments = _arguments()
    try:
        settings = read_settings()
        uvloop.run(work(settings, arguments))
    except SettingsError as error:
        sys.exit(str(error))
    except (nats.errors.Error, KafkaException, OSError) as error:
        sys.exit(
            f"The broker cannot be used: {error}. Check NATS_URL, or the file that "
            "KAFKA_PROPERTIES names, and that it runs."
        )


async def work(settings: Settings, arguments: argparse.Namespace) -> None:
    """Answer until SIGTERM or SIGINT; then finish what was taken, and end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    memory.prepare()
    sys.setswitchinterval(SWITCH_SECONDS)
    if arguments.metrics_port:
        start_http_server(arguments.metrics_port, settings.host)
    in_service = ModelInService(settings)
    await in_service.update()
    watching = asyncio.create_task(in_service.watch())
    try:
        names = Names.of(arguments.name or await _name(in_service))
        async with _connected(settings, names, arguments) as broker:
            log.write("stream", requests=names.requests, predictions=names.predictions)
            options = Options(
                probabilities=arguments.probabilities,
                interval=arguments.interval,
                explain=arguments.explain,
            )
            await Worker(broker, in_service, options).run(stop)
    finally:
        watching.cancel()
        log.write("stopped")


def _connected(
    settings: Settings, names: Names, arguments: argparse.Namespace
) -> AbstractAsyncContextManager[Broker]:
    if settings.kafka_properties is not None:
        return kafka.connected(settings.kafka_properties, names, arguments.batch)
    url = settings.nats_url.get_secret_value()
    return jetstream.connected(url, names, arguments.batch, arguments.batches)


async def _name(in_service: ModelInService) -> str:
    """Wait for a model, which gives the stream its name."""
    while in_service.current is None:
        await asyncio.sleep(WAIT_SECONDS)
    return in_service.current.interface.name


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m app.stream",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--name", help="what the subjects begin with; the model's name unless given"
    )
    parser.add_argument("--probabilities", action="store_true", help="one for each class, too")
    parser.add_argument(
        "--interval", type=float, metavar="COVERAGE", help="where the truth lies so often, too"
    )
    parser.add_argument("--explain", action="store_true", help="each column's contribution, too")
    parser.add_argument("--batch", type=int, default=64, help="most requests in one call")
    parser.add_argument(
        "--batches", type=int, default=4, help="most calls in work at once; 1 with Kafka"
    )
    parser.add_argument("--metrics-port", type=int, default=0, help="serve Prometheus there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
