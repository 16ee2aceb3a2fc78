"""Point the project at another table: look at it, write the keys of `params.yaml`, pin it.

$ python -m lifecycle.new_data TABLE TARGET [--name NAME] [--minutes 3]

Prints each proposed key with its reason, and what may make a score look too good. The table
replaces what is in data/, and only once the pipeline's own checks accept it with these keys; on any
failure everything is as before.
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lifecycle.progress import step
from lifecycle.proposals.column import Proposal
from lifecycle.proposals.features import missing_texts, propose_missing_target
from lifecycle.proposals.reading import propose_file, propose_notation
from lifecycle.proposals.table import MINUTES, propose
from lifecycle.yaml_text import rewrite
from stages.files import DATA, md5
from stages.params import SPREADSHEETS, Read, validate
from stages.preparation.checks import check
from stages.preparation.doubts import doubts
from stages.preparation.notation import plain
from stages.preparation.reading import USUAL, read_table
from stages.preparation.split import split_rows
from stages.preparation.table import TableError
from stages.repository import CommandError, dvc
from stages.training.folds import folds

PIN = Path("data.dvc")
PARAMS = Path("params.yaml")
DRAFT = Path(".local/new-data")
REPLACED = Path(".local/replaced-data")
SUFFIXES = (".csv", ".csv.gz", ".parquet", *SPREADSHEETS)


@dataclass(frozen=True)
class Plan:
    """What the project is to become.

    Attributes:
        proposals: every key that depends on the table.
        params: the new text of `params.yaml`.
        doubts: what to look at before the scores are believed.
    """

    proposals: list[Proposal]
    params: str
    doubts: list[str]

    @property
    def path(self) -> Path:
        """Where the table goes."""
        return next(Path(one.value) for one in self.proposals if one.key == "base.path")


def plan(table: Path, target: str, name: str | None, minutes: float = MINUTES) -> list[Proposal]:
    """Every key for a table.

    Raises:
        TableError: the table cannot be read, or has no such column.
    """
    suffix = next((suffix for suffix in SUFFIXES if table.name.endswith(suffix)), None)
    if suffix is None:
        raise TableError(f"{table}: not one of {', '.join(SUFFIXES)}.")
    if not table.is_file():
        raise TableError(f"{table} does not exist.")
    with step(f"reading {table.name}"):
        reading, missing, frame = look(table, target, is_typed=suffix == ".parquet")
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", table.name.removesuffix(suffix)).strip("-") or "model"
    without_target = propose_missing_target(frame[target])
    if without_target.value == "drop":
        frame = frame[frame[target].notna()].reset_index(drop=True)
    with step(f"looking at {len(frame)} rows and {len(frame.columns)} columns"):
        proposed = propose(frame, target, minutes)
    return [
        Proposal("base.name", name or stem, "as asked" if name else "after the file"),
        Proposal("base.path", f"data/{stem}{suffix}", "where the table goes"),
        Proposal("base.target", target, "as asked"),
        *reading,
        missing,
        without_target,
        *proposed,
        Proposal("deploy.about", "", "what the model is for, in your words: the page shows it"),
        Proposal("deploy.columns", {}, "what your columns mean, with their units"),
    ]


def look(
    table: Path, target: str, *, is_typed: bool
) -> tuple[list[Proposal], Proposal, pd.DataFrame]:
    """How to read a table, which of its texts mean "no value", and its cells read so.

    Raises:
        TableError: it cannot be read, or has no such column.
    """
    reading = propose_file(table)
    read = with_keys(USUAL, reading)
    cells = read_table(table, [], read)
    if target not in cells:
        raise TableError(
            f"TARGET: {table} has no column {target!r}. It has: {', '.join(cells.columns)}."
        )
    if is_typed:
        missing = Proposal("prepare.missing", [], "Parquet marks missing values itself")
        as_usual = [
            Proposal("prepare.read.decimal", USUAL.decimal, "Parquet has numbers"),
            Proposal("prepare.read.dates", USUAL.dates, "Parquet has dates"),
        ]
        return [*reading, *as_usual], missing, cells
    notation = list(propose_notation(cells, read))
    read = with_keys(read, notation)
    missing = missing_texts(cells, target, read.decimal)
    cells = plain(cells.mask(cells.isin(missing.value)), read)
    return [*reading, *notation], missing, cells


def with_keys(read: Read, proposals: Sequence[Proposal]) -> Read:
    """How a file is read, with some keys as proposed."""
    keys = {one.key.removeprefix("prepare.read."): one.value for one in proposals}
    return read.model_copy(update=keys)


def check_with(table: Path, raw: dict[str, Any]) -> list[str]:
    """Check the table with the new keys as the stages prepare and train will.

    Returns:
        What to look at before the scores are believed.

    Raises:
        ValueError: what the stage would have said.
    """
    params = validate(raw)
    base, split = params.base, params.prepare.split
    cells = read_table(table, params.prepare.missing, params.prepare.read)
    frame, schema = check(cells, params, data_md5="")
    train, test = split_rows(frame, base.target, base.task, split, base.seed)
    folds(train, test, schema, params.train.folds)
    return doubts(train, test, schema)


def prepare(table: Path, target: str, name: str | None, minutes: float) -> Plan:
    """Propose every key and check the table with them.

    Raises:
        ValueError: the table cannot be used; the message says why.
    """
    proposals = plan(table, target, name, minutes)
    params = rewrite(PARAMS.read_text(), {one.key: one.value for one in proposals})
    with step("checking it as the stages will"):
        remarks = check_with(table, yaml.safe_load(params))
    return Plan(proposals, params, remarks)


def install(table: Path, path: Path, params: str) -> None:
    """Put the table into data/, write `params.yaml`, pin the folder; or change nothing.

    Args:
        table: the file to copy.
        path: its place below data/.
        params: the new text of `params.yaml`.

    Raises:
        CommandError: DVC refuses the folder; everything is as before.
    """
    shutil.rmtree(DRAFT, ignore_errors=True)
    DRAFT.mkdir(parents=True)
    shutil.copyfile(table, DRAFT / path.name)
    before = {file: file.read_bytes() if file.exists() else None for file in (PARAMS, PIN)}
    old = REPLACED / md5(DATA) if DATA.exists() else None
    may_go = old is not None and in_cache(old.name)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)  # the same bytes, replaced once before
        old.parent.mkdir(parents=True, exist_ok=True)
        DATA.rename(old)
    try:
        DRAFT.rename(DATA)
        PARAMS.write_text(params)
        dvc("add", str(DATA))
    except BaseException:
        shutil.rmtree(DATA, ignore_errors=True)
        if old is not None:
            old.rename(DATA)
        for file, content in before.items():
            if content is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(content)
        raise
    if old is None:
        return
    if may_go:
        shutil.rmtree(old)
    else:
        print(f"data/ held what {PIN} did not pin or DVC's cache does not hold: now in {old}/.")


def in_cache(md5_of_data: str) -> bool:
    """Whether data/, of this md5, is as pinned and DVC's cache holds it, so that it may go."""
    if not PIN.exists() or yaml.safe_load(PIN.read_text())["outs"][0]["md5"] != md5_of_data:
        return False
    try:
        dvc("status", "--quiet", str(PIN))
    except CommandError:  # its exit status says that something differs
        return False
    return True


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, help=f"file: {', '.join(SUFFIXES)}")
    parser.add_argument("target", help="column to predict")
    parser.add_argument("--name", help="of the model; the file's by default")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="a run of it may take")
    arguments = parser.parse_args()
    try:
        new = prepare(arguments.table, arguments.target, arguments.name, arguments.minutes)
        with step("pinning it in DVC"):
            install(arguments.table, new.path, new.params)
    except (ValueError, CommandError) as error:
        sys.exit(f"new-data: nothing is changed. {error}")
    for proposal in new.proposals:
        value = json.dumps(proposal.value, ensure_ascii=False)
        print(f"{proposal.key}: {value}\n    {proposal.reason}")
    if new.doubts:
        print("\nLook at this before you believe a score")
        print("\n".join(f"  - {doubt}" for doubt in new.doubts))
    print(
        f"""
{new.path} is pinned in {PIN}, the keys above are in {PARAMS}. Change what you know better, then
  dvc repro
  git add {PIN} {PARAMS} dvc.lock reports && git commit"""
    )


if __name__ == "__main__":
    main()
