"""Answers the requests of a NATS JetStream with the locked model version.

$ python -m app.stream

Reads NAME.requests, one record a message in JSON or MessagePack; writes NAME.predictions, and what
cannot be answered to NAME.rejected. NAME is the model's. NATS_URL says where the broker is.
"""

import argparse
import asyncio
import signal
import sys

import nats
import nats.errors
import uvloop
from prometheus_client import start_http_server

from app.batch.answers import Options
from app.operations import log, memory
from app.operations.takeover import ModelInService
from app.settings import Settings, SettingsError, read_settings
from app.stream import broker
from app.stream.intake import Intake
from app.stream.worker import Worker

RECONNECT_SECONDS = 0.5
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
    except (nats.errors.Error, OSError) as error:
        sys.exit(f"The broker cannot be used: {error}. Check NATS_URL and that it runs.")


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
    connection = await nats.connect(
        settings.nats_url.get_secret_value(),
        name="app.stream",
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_SECONDS,
        error_cb=_note,
    )
    try:
        js = connection.jetstream()
        names = broker.Names.of(arguments.name or await _name(in_service))
        await broker.prepare(js, names)
        intake = Intake(connection, names, arguments.batch)
        await intake.open()
        log.write("stream", requests=names.requests, predictions=names.predictions)
        worker = Worker(
            js,
            names,
            intake,
            in_service,
            Options(
                probabilities=arguments.probabilities,
                interval=arguments.interval,
                explain=arguments.explain,
            ),
            arguments.batches,
        )
        await worker.run(stop)
        await connection.flush()  # the last acknowledgements
    finally:
        watching.cancel()
        await connection.close()
        log.write("stopped")


async def _name(in_service: ModelInService) -> str:
    """Wait for a model, which gives the stream its name."""
    while in_service.current is None:
        await asyncio.sleep(RECONNECT_SECONDS)
    return in_service.current.interface.name


async def _note(error: Exception) -> None:
    """Write what the client says of a connection that it mends itself."""
    log.write("broker", error=type(error).__name__, detail=str(error))


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
    parser.add_argument("--batches", type=int, default=4, help="most calls in work at once")
    parser.add_argument("--metrics-port", type=int, default=0, help="serve Prometheus there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
