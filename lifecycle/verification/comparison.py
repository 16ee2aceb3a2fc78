"""What a rebuild gave, beside what the commit locks: the same, or how far apart."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow.parquet as pq
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from app.model.store import AlteredError, MissingError, StoreError, fetch
from app.settings import Settings
from stages.repository import git

LOCK = "dvc.lock"


@dataclass(frozen=True)
class Compared:
    """One output, or one dependency that the lock misnames.

    Attributes:
        stage: of the pipeline.
        path: of the output.
        locked: its md5 in the commit's `dvc.lock`; None where that does not have it.
        rebuilt: its md5 in the rebuilt one.
        fault: what is wrong, in words; empty where nothing is.
    """

    stage: str
    path: str
    locked: str | None
    rebuilt: str | None
    fault: str = ""

    def __str__(self) -> str:
        verdict = f"different: {self.fault}" if self.fault else "same"
        return f"{self.stage:<9} {self.path:<24} {verdict}"


def compare(
    locked: dict[str, Any], rebuilt: dict[str, Any], commit: str, clone: Path, settings: Settings
) -> list[Compared]:
    """Compare every output of every stage, in the pipeline's order.

    Args:
        locked: the stages of the commit's `dvc.lock`.
        rebuilt: the stages of the `dvc.lock` that the rebuild wrote.
        commit: what was rebuilt.
        clone: where, with its outputs.
        settings: of the S3 that holds the locked bytes, if it does.
    """
    tracked = set(git("ls-tree", "-r", "--name-only", commit).splitlines())
    outputs = {path for stage in rebuilt for path in entries(rebuilt, stage, "outs")}
    compared = []
    for stage in dict.fromkeys([*rebuilt, *locked]):
        before, after = entries(locked, stage, "outs"), entries(rebuilt, stage, "outs")
        for path in dict.fromkeys([*after, *before]):
            md5s = before.get(path), after.get(path)
            fault = in_git(path, commit, clone) if path in tracked else in_s3(md5s, settings)
            if md5s[0] != md5s[1] and not fault:
                fault = apart(path, md5s[0], clone, settings)
            compared.append(Compared(stage, path, *md5s, fault))
        before, after = entries(locked, stage, "deps"), entries(rebuilt, stage, "deps")
        compared += [
            Compared(stage, path, before.get(path), md5, f"{LOCK} was made of another one")
            for path, md5 in after.items()
            if before.get(path) != md5 and path not in outputs
        ]
    return compared


def entries(stages: dict[str, Any], stage: str, kind: str) -> dict[str, str]:
    """The md5 of each output (`outs`) or dependency (`deps`) of a stage, by path."""
    return {one["path"]: one["md5"] for one in stages.get(stage, {}).get(kind, [])}


def in_git(path: str, commit: str, clone: Path) -> str:
    """What is wrong with an output that Git holds; empty where nothing is."""
    committed = git("show", f"{commit}:{path}").encode()
    rebuilt = clone / path
    if not rebuilt.is_file():
        return "the rebuild did not write it"
    if committed == rebuilt.read_bytes():
        return ""
    return distance(Path(path), committed, rebuilt.read_bytes())


def in_s3(md5s: tuple[str | None, str | None], settings: Settings) -> str:
    """What is wrong with an output as S3 holds it, where the rebuild gave it as locked.

    Raises:
        StoreError: S3 does not answer.
    """
    locked, rebuilt = md5s
    if locked is None or locked != rebuilt:
        return ""
    try:
        fetch(locked.removesuffix(".dir"), settings)
    except AlteredError as error:
        return f"the rebuild gives what {LOCK} says, but {error}"
    except MissingError:
        return ""  # never pushed: there is nothing to be wrong
    return ""


def apart(path: str, locked: str | None, clone: Path, settings: Settings) -> str:
    """The first file of an output that differs, and how far; as far as S3 has the locked bytes."""
    if locked is None:
        return f"{LOCK} does not have it"
    if not (clone / path).is_dir():
        return f"{LOCK} holds another md5 than that of the file"
    try:
        before = fetch(locked.removesuffix(".dir"), settings)
    except StoreError as error:
        return f"S3 has no locked bytes to compare: {error}"
    names = {
        file.relative_to(folder)
        for folder in (before, clone / path)
        for file in folder.rglob("*")
        if file.is_file() and file != before / ".dir"
    }
    for name in sorted(names):
        pair = [folder / name for folder in (before, clone / path)]
        if not all(file.exists() for file in pair):
            where = "the rebuild" if pair[0].exists() else LOCK
            return f"{Path(path) / name} is missing in {where}"
        contents = [file.read_bytes() for file in pair]
        if contents[0] != contents[1]:
            return distance(Path(path) / name, *contents)
    return f"{LOCK} lists other files than it has"


def distance(name: Path, locked: bytes, rebuilt: bytes) -> str:
    """A file that differs, and the largest relative deviation of its numbers where it has any."""
    place = next(
        (i for i, (a, b) in enumerate(zip(locked, rebuilt, strict=False)) if a != b),
        min(len(locked), len(rebuilt)),
    )
    where = f"{name} from byte {place} on"
    try:
        pair = [np.concatenate([*numbers(name, one), np.empty(0)]) for one in (locked, rebuilt)]
    except (ValueError, DecodeError):  # a changed byte may leave no file of its kind
        return f"{where}; its numbers cannot be read"
    if pair[0].shape != pair[1].shape:
        return f"{where}; it has {len(pair[0])} numbers locked, {len(pair[1])} rebuilt"
    size = np.maximum(np.abs(pair[0]), np.abs(pair[1]))
    deviation = np.abs(pair[0] - pair[1])[size > 0] / size[size > 0]
    if not deviation.any():
        return where
    return f"{where}; largest relative deviation {np.nanmax(deviation):.2g}"


def numbers(name: Path, content: bytes) -> Iterator[np.ndarray]:
    """The numbers of a JSON, CSV, Parquet or ONNX file, in order; none of another kind of file.

    Raises:
        ValueError: it is not what its name says.
        DecodeError: likewise, of ONNX.
    """
    if name.suffix == ".json":
        yield np.array([*leaves(json.loads(content))], dtype=float)
    elif name.suffix == ".csv":
        cells = [cell for row in csv.reader(io.StringIO(content.decode())) for cell in row]
        yield np.array([number for cell in cells if (number := as_number(cell)) is not None])
    elif name.suffix == ".parquet":
        frame = pq.read_table(io.BytesIO(content)).to_pandas().select_dtypes("number")
        yield frame.to_numpy(dtype=float).ravel()
    elif name.suffix == ".onnx":
        graph = onnx.load_from_string(content).graph
        attributes = [attribute for node in graph.node for attribute in node.attribute]
        for tensor in [*graph.initializer, *(one.t for one in attributes if one.HasField("t"))]:
            values = numpy_helper.to_array(tensor)
            if values.dtype.kind in "fiu":
                yield values.ravel().astype(float)
        yield np.array([value for one in attributes for value in one.floats], dtype=float)


def leaves(value: Any) -> Iterator[float]:
    """The numbers in parsed JSON, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from leaves(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def as_number(cell: str) -> float | None:
    """A cell's number, if it is one."""
    try:
        return float(cell)
    except ValueError:
        return None
