"""Scores files with the locked model version.

$ python -m app.batch INPUT OUTPUT
$ echo '{"carat": 0.31, ...}' | python -m app.batch - -

INPUT: a file, a folder or a pattern, here or at s3://; - is standard input. CSV, JSON lines or
Parquet. OUTPUT: a file, or for several files a folder; - is standard output. Rows that cannot be
scored are named in OUTPUT.rejected.csv. Exit status: 0 all rows scored, 3 some rejected, 1 failed.
"""

import argparse
import signal
import sys
from functools import partial
from pathlib import Path
from typing import NoReturn

from app.batch.answers import Options
from app.batch.parts import STANDARD
from app.batch.run import Engine, Result, run
from app.errors import Problem
from app.model.model import ModelError
from app.model.store import StoreError
from app.settings import SettingsError, read_settings

ALL_SCORED, FAILED, SOME_REJECTED = 0, 1, 3


def main() -> int:
    """Command line."""
    arguments = _arguments()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    options = Options(
        keep=None if arguments.keep is None else tuple(name for name in arguments.keep if name),
        probabilities=arguments.probabilities,
        strict=arguments.strict,
        interval=arguments.interval,
        explain=arguments.explain,
    )
    result: Result | None = None
    status = FAILED
    try:
        engine = _engine(arguments)
        result = run(arguments.input, arguments.output, options, read_settings(), engine)
        status = _report(result, quiet=arguments.output == STANDARD)
    except (SettingsError, StoreError, ModelError, Problem, OSError) as error:
        print(error, file=sys.stderr)
    finally:  # also when it is told to stop
        if arguments.metrics is not None:
            from app.batch import metrics  # one event need not wait for it

            metrics.write(arguments.metrics, result, status)
    return status


def _engine(arguments: argparse.Namespace) -> Engine | None:
    if arguments.engine is None:
        return None
    from app.batch import dask_engine  # Dask is installed where it is used

    return partial(dask_engine.outcomes, scheduler=arguments.scheduler)


def _report(result: Result, *, quiet: bool) -> int:
    """Say what the run did; give its exit status."""
    for message in result.failures:
        print(message, file=sys.stderr)
    if not quiet:
        print(result.summary(), file=sys.stderr)
    if result.failures:
        return FAILED
    return SOME_REJECTED if result.rejected or result.skipped_rejected else ALL_SCORED


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m app.batch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", metavar="INPUT")
    parser.add_argument("output", metavar="OUTPUT")
    parser.add_argument(
        "--keep",
        action="append",
        metavar="COLUMN",
        help="a column of the input that the output has, too; repeat it for more; "
        "all unless given, none with --keep=",
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="one column for each class, too"
    )
    parser.add_argument(
        "--interval",
        type=float,
        metavar="COVERAGE",
        help="where the truth lies in that share of the cases, too: two columns, or a set",
    )
    parser.add_argument("--explain", action="store_true", help="what each column contributes, too")
    parser.add_argument(
        "--strict", action="store_true", help="fail at the first row that cannot be scored"
    )
    parser.add_argument(
        "--metrics",
        type=Path,
        metavar="FILE.prom",
        help="tell Prometheus of this run, through node_exporter's collector of text files",
    )
    parser.add_argument(
        "--engine", choices=("dask",), help="where parts are scored; here unless given"
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of the Dask cluster, such as tcp://host:8786; one in this process unless given",
    )
    arguments = parser.parse_args()
    if arguments.scheduler is not None and arguments.engine is None:
        parser.error("--scheduler belongs to --engine dask")
    return arguments


def _stop(number: int, frame: object) -> NoReturn:
    """Unwind, so that no draft is left; Python would end at once."""
    sys.exit("Stopped. No output is half-written; start again to go on.")


if __name__ == "__main__":
    sys.exit(main())
