"""A run over all parts: the locked model, the parts that are left, and what came of them."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from app.batch.answers import Options
from app.batch.job import Counts, score_part
from app.batch.parts import STANDARD, Part, finished, plan
from app.batch.progress import Progress
from app.errors import Problem
from app.model.manifest import Manifest
from app.model.model import Model
from app.model.store import fetch, locked_version
from app.settings import Settings
from app.storage import storage_of


class StoppedError(Exception):
    """Ends a part whose run is over."""


@dataclass(slots=True)
class Result:
    """What a run did.

    Attributes:
        name: the model's.
        version: the model's.
        scored: rows with a prediction.
        rejected: rows without one.
        skipped: parts that an earlier run had scored.
        skipped_rejected: those among them that have rejected rows.
        failures: a message for each part that failed.
        seconds: how long it took.
    """

    name: str
    version: str
    scored: int = 0
    rejected: int = 0
    skipped: int = 0
    skipped_rejected: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, outcome: Counts | str) -> None:
        """Count a part, or note why it failed."""
        if isinstance(outcome, Counts):
            self.scored += outcome.scored
            self.rejected += outcome.rejected
        else:
            self.failures.append(outcome)

    def summary(self) -> str:
        """Say it in a line."""
        skipped = f", {self.skipped} parts were scored before" if self.skipped else ""
        return (
            f"{self.scored:,} rows scored, {self.rejected:,} rejected{skipped}; "
            f"{self.name} {self.version}, {self.seconds:.1f} s"
        )


# A part, and its rows or why it failed.
Outcome = tuple[Part, Counts | str]
# Scores the parts of a run with the version of that name elsewhere.
Engine = Callable[[Sequence[Part], str, Options, Settings], Iterator[Outcome]]


def run(
    source: str, target: str, options: Options, settings: Settings, engine: Engine | None = None
) -> Result:
    """Score a file, or every file of a folder or a pattern.

    A part that fails leaves the others to be scored; under `strict` the run ends.

    Args:
        source: the input.
        target: the output.
        options: what is asked for.
        settings: where the model and the files are.
        engine: where parts are scored; in threads of this process unless given.

    Raises:
        Problem: the run cannot begin.
        OSError: the storage cannot be used.
        StoreError: the model cannot be had.
        ModelError: it must not be used.
    """
    model = locked_model(settings)
    model.check(options.extras)
    parts = plan(source, target, settings)
    result = Result(model.interface.name, model.version)
    if len(parts) > 1 or parts[0].target.startswith(f"{target.rstrip('/')}/"):
        parts = _left(parts, target, settings, options, result)
    progress = Progress(sum(part.size for part in parts))
    try:
        if engine is None:
            _score(parts, model, options, settings, progress, result)
        else:
            for part, outcome in engine(parts, model.version, options, settings):
                result.add(outcome)
                progress.advance(part.size, outcome.rows if isinstance(outcome, Counts) else 0)
                if options.strict and result.failures:
                    break
    finally:
        progress.close()
    result.seconds = progress.seconds
    return result


def locked_model(settings: Settings) -> Model:
    """Open the version that `dvc.lock` names, verified, as the server does.

    It answers on the calling thread: pieces are shared out by who calls.
    """
    version = locked_version(settings.lock_file, settings.lock_stage, settings.lock_path)
    return open_version(version, settings)


def open_version(version: str, settings: Settings) -> Model:
    """Open a version, verified."""
    folder = fetch(version, settings)
    model, manifest = Model.load(folder), Manifest.read(folder)
    model.self_test(manifest.example, manifest.parity.tolerance)
    return model


def _left(
    parts: Sequence[Part], folder: str, settings: Settings, options: Options, result: Result
) -> list[Part]:
    """Give the parts that no earlier run has scored."""
    done = finished(parts, folder, settings, result.version, options)
    sides = storage_of(folder, settings).find(f"{folder.rstrip('/')}.rejected")
    with_side = {entry.path for entry in sides}
    result.skipped = len(done)
    result.skipped_rejected = sum(part.rejected in with_side for part in done)
    return [part for part in parts if part not in done]


def _score(
    parts: Sequence[Part],
    model: Model,
    options: Options,
    settings: Settings,
    progress: Progress,
    result: Result,
) -> None:
    cores = settings.cores
    at_once = max(1, min(cores, len(parts)))
    stopping = threading.Event()

    def advance(size: int, rows: int) -> None:
        if stopping.is_set():
            raise StoppedError
        progress.advance(size, rows)

    def work(part: Part) -> Counts | str:
        try:
            return score_part(
                part,
                model,
                options,
                settings,
                executor=scoring,
                ahead=1 + cores // at_once,
                advance=advance,
            )
        except (Problem, OSError) as error:
            return message(part, error)

    with ThreadPoolExecutor(cores, "score") as scoring:
        if at_once == 1:  # on this thread, which alone can be interrupted while it reads
            for part in parts:
                result.add(work(part))
            return
        with ThreadPoolExecutor(at_once, "part") as reading:
            try:
                for job in as_completed([reading.submit(work, part) for part in parts]):
                    result.add(job.result())
                    if options.strict and result.failures:
                        break
            finally:
                stopping.set()
                reading.shutdown(wait=False, cancel_futures=True)


def message(part: Part, error: BaseException) -> str:
    """Say why a part failed."""
    name = "Standard input" if part.source == STANDARD else part.source
    return f"{name}: {error}"
