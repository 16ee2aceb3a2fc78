"""From INPUT and OUTPUT to parts: which file is scored into which, and which are done already."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

import orjson

from app.batch.answers import Options
from app.batch.formats import SUFFIXES, kind_of_name
from app.errors import Problem
from app.settings import Settings
from app.storage import WILDCARDS, fixed_folder, storage_of

STANDARD = "-"
# In a folder of outputs: what they were made by. Written before the first of them.
MARK = "_batch.json"
# S3 tells times in whole seconds.
CLOCK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """One file to score.

    Attributes:
        source: the file; `-` is standard input.
        size: its bytes; 0 where that is not known.
        modified: when it was written, in seconds since 1970.
        target: the file to write; `-` is standard output.
        rejected: the file for the rows that cannot be scored; empty: standard error.
    """

    source: str
    size: int
    modified: float
    target: str
    rejected: str


def plan(source: str, target: str, settings: Settings) -> list[Part]:
    """Name the parts of a run, sorted by path.

    Raises:
        Problem: there is nothing to read, or the output would meet the input.
        OSError: the storage cannot be read.
    """
    if source == STANDARD:
        return [Part(source, 0, 0.0, target, "" if target == STANDARD else _side(target))]
    storage = storage_of(source, settings)
    entries = storage.find(source)
    is_pattern = any(letter in source for letter in WILDCARDS)
    if [entry.path for entry in entries] == [source]:
        entry = entries[0]
        if target == STANDARD:
            return [Part(source, entry.size, entry.modified, target, "")]
        if target.endswith("/") or storage_of(target, settings).is_folder(target):
            target = f"{target.rstrip('/')}/{PurePosixPath(source).name}"
        if target == source:
            raise Problem("same-file", f"{target} would be written over itself. Name another.")
        return [Part(source, entry.size, entry.modified, target, _side(target))]
    if not is_pattern:
        entries = [one for one in entries if kind_of_name(one.path)]
    if not entries:
        raise Problem(
            "no-input",
            f"There is no file at {source}. A part's name ends in {', '.join(SUFFIXES)}.",
        )
    if target == STANDARD:
        raise Problem("many-files", f"{source} is {len(entries)} files; name a folder for them.")
    base, folder = fixed_folder(source), target.rstrip("/")
    if not is_pattern and f"{folder}/".startswith(base):
        raise Problem(
            "same-file", f"{target} lies in {source}, and would be input next time. Name another."
        )
    parts = []
    for entry in entries:
        name = entry.path.removeprefix(base)
        parts.append(
            Part(
                entry.path,
                entry.size,
                entry.modified,
                f"{folder}/{name}",
                # Beside the folder: who reads all of its files wants no other table among them.
                f"{folder}.rejected/{name}.csv",
            )
        )
    return parts


def finished(
    parts: Sequence[Part], folder: str, settings: Settings, version: str, options: Options
) -> list[Part]:
    """Name the parts of a folder that an earlier run of the same kind has scored.

    A run of another version or other options begins anew; so does a part whose input was
    written after its output.
    """
    folder = folder.rstrip("/")
    storage = storage_of(folder, settings)
    path = f"{folder}/{MARK}"
    content = orjson.dumps({"version": version, "options": asdict(options)})
    written = {entry.path: entry.modified for entry in storage.find(folder)}
    mark = storage.entry(path)
    if mark is not None:
        with storage.open(path) as file:
            if file.read() == content:
                return [
                    part
                    for part in parts
                    if written.get(part.target, 0.0) >= mark.modified
                    and written[part.target] > part.modified
                ]
    for _ in range(3):
        with storage.create(path) as file:
            file.write(content)
        mark = storage.entry(path)
        if mark is None or mark.modified > max(written.values(), default=0.0):
            break
        time.sleep(CLOCK_SECONDS)  # an output of the earlier run must not look like one of this
    return []


def _side(target: str) -> str:
    return f"{target}.rejected.csv"
