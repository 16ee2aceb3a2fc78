"""One part from its first byte to its last: read, scored on all cores, written in order."""

import csv
import io
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from typing import Any, BinaryIO, NamedTuple, TypeVar, cast

from app.batch import formats
from app.batch.answers import Fault, Options, Scored, refuse
from app.batch.parts import STANDARD, Part
from app.errors import Problem
from app.model.model import Model
from app.settings import Settings
from app.storage import storage_of

T = TypeVar("T")
R = TypeVar("R")

SIDE_COLUMNS = ("line", "column", "reason")
SIDE_IN_MEMORY = 1024**2  # bytes of rejected rows; more wait on the disk


class Counts(NamedTuple):
    """Rows that were scored, and rows that could not be."""

    scored: int
    rejected: int

    @property
    def rows(self) -> int:
        """All of them."""
        return self.scored + self.rejected


def score_part(
    part: Part,
    model: Model,
    options: Options,
    settings: Settings,
    *,
    executor: Executor,
    ahead: int,
    advance: Callable[[int, int], None],
) -> Counts:
    """Score a file. Its output appears whole at the end, or not at all.

    Args:
        part: the file.
        model: what scores it.
        options: what is asked for.
        settings: say where S3 is.
        executor: its threads score.
        ahead: how many pieces may wait while one is written.
        advance: is told the bytes and the rows of each piece that is done.

    Raises:
        Problem: the file cannot be scored at all; or, under `strict`, not every row.
        OSError: it cannot be read or written.
    """
    with ExitStack() as stack:
        source = _open(stack, part, settings)
        kind = formats.kind_of(part.source, source)
        if kind == formats.PARQUET and not source.seekable():
            source = _on_disk(stack, source)
        target_kind = formats.kind_of_name(part.target) or kind
        if kind == formats.JSON_LINES and target_kind != kind:
            raise Problem(
                "no-table", f"JSON lines are answered as JSON lines: end {part.target} in .jsonl."
            )
        reader = formats.reader(kind, model, options)
        scored = rejected = 0
        side = stack.enter_context(tempfile.SpooledTemporaryFile(SIDE_IN_MEMORY))
        target = _create(stack, part.target, settings)
        writer = formats.writer(target_kind, target)

        def work(piece: Any) -> tuple[Any, Scored, int]:
            answer = reader.score(piece)
            if options.strict and answer.faults:
                raise refuse(answer.faults[0])
            return writer.render(answer.rows), answer, piece.bytes

        for rendered, answer, size in in_order(work, reader.pieces(source), executor, ahead):
            writer.write(rendered)
            side.write(_side_lines(answer.faults, part))
            scored += answer.count
            rejected += answer.rejected
            advance(size, answer.count + answer.rejected)
        writer.close()
        if part.rejected:
            _write_side(side, part.rejected, settings)
        # Here, at the block's end, the output appears; after its side file.
    return Counts(scored, rejected)


def in_order(
    function: Callable[[T], R], items: Iterable[T], executor: Executor, ahead: int
) -> Iterator[R]:
    """Map on an executor, in order, and never more than `ahead` items before the reader."""
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _open(stack: ExitStack, part: Part, settings: Settings) -> BinaryIO:
    if part.source == STANDARD:
        return sys.stdin.buffer
    return stack.enter_context(storage_of(part.source, settings).open(part.source))


def _create(stack: ExitStack, target: str, settings: Settings) -> BinaryIO:
    if target == STANDARD:
        return sys.stdout.buffer
    return stack.enter_context(storage_of(target, settings).create(target))


def _on_disk(stack: ExitStack, file: BinaryIO) -> BinaryIO:
    """Copy a stream to where every place of it can be read."""
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
    shutil.copyfileobj(file, copy)
    copy.seek(0)
    return cast(BinaryIO, copy)


def _side_lines(faults: Iterable[Fault], part: Part) -> bytes:
    text = io.StringIO()
    if part.rejected:
        csv.writer(text, lineterminator="\n").writerows(
            (fault.line, fault.column, fault.reason) for fault in faults
        )
    else:
        for fault in faults:
            print(refuse(fault), file=sys.stderr)
    return text.getvalue().encode("utf-8", "replace")


def _write_side(side: Any, path: str, settings: Settings) -> None:
    """Write the rejected rows, or remove those of an earlier run."""
    storage = storage_of(path, settings)
    if not side.tell():
        storage.remove(path)
        return
    side.seek(0)
    with storage.create(path) as file:
        file.write(",".join(SIDE_COLUMNS).encode() + b"\n")
        while data := side.read(SIDE_IN_MEMORY):
            file.write(data)
