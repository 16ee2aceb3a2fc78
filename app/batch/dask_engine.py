"""The parts of a run on a Dask cluster: each is one task, scored whole by one worker.

A worker needs what a run needs: the code, the settings in its environment or its `.env`, and the
same files, in S3 or on a disk that all share. A part whose worker ends, or whose storage fails,
is scored again by itself; its output appears once, whole, and has the same bytes.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

from distributed import Client, Future, as_completed

from app.batch.answers import Options
from app.batch.job import Counts, score_part
from app.batch.parts import STANDARD, Part
from app.batch.run import Outcome, message, open_version
from app.errors import Problem
from app.model.model import Model
from app.settings import Settings, read_settings

RETRIES = 2  # of a part whose storage failed


def outcomes(
    parts: Sequence[Part],
    version: str,
    options: Options,
    settings: Settings,
    scheduler: str | None,
) -> Iterator[Outcome]:
    """Score parts, and tell what became of each as soon as it did.

    Args:
        parts: the files; not the standard streams.
        version: the model's, for all workers.
        options: what is asked for.
        settings: say how many cores a cluster in this process may use.
        scheduler: the cluster's address; None means one in this process.

    Raises:
        Problem: a part is a standard stream.
        OSError: there is no such scheduler.
    """
    if any(STANDARD in (part.source, part.target) for part in parts):
        raise Problem("no-files", "A cluster scores files: name INPUT and OUTPUT instead of -.")
    with _client(settings, scheduler) as client:
        tasks = {
            client.submit(
                score_whole, _absolute(part), version, options, pure=False, retries=RETRIES
            ): part
            for part in parts
        }
        for task in as_completed(tasks):
            yield tasks[task], _result(task, tasks[task])


def score_whole(part: Part, version: str, options: Options) -> Counts | str:
    """Score a part on a worker, or say why it cannot be scored.

    Raises:
        OSError: its storage failed; it is worth another try.
        StoreError: the model cannot be had; so is this.
    """
    settings = read_settings()
    with ThreadPoolExecutor(1, "score") as executor:
        try:
            return score_part(
                part,
                _model(version),
                options,
                settings,
                executor=executor,
                ahead=1,
                advance=lambda size, rows: None,
            )
        except Problem as problem:
            return message(part, problem)


@cache
def _model(version: str) -> Model:
    """A worker's model, opened once."""
    return open_version(version, read_settings())


def _client(settings: Settings, scheduler: str | None) -> Client:
    if scheduler is not None:
        return Client(scheduler)
    return Client(
        processes=False,
        n_workers=1,
        threads_per_worker=settings.cores,
        dashboard_address=None,
    )


def _absolute(part: Part) -> Part:
    """The same part for a worker that runs in another folder."""

    def path(text: str) -> str:
        return text if "://" in text else str(Path(text).absolute())

    return replace(
        part, source=path(part.source), target=path(part.target), rejected=path(part.rejected)
    )


def _result(task: Future, part: Part) -> Counts | str:
    error = task.exception()
    return message(part, error) if error is not None else task.result()
