"""Point the project at another table: look at it, write the keys of `params.yaml`, pin it.

$ python -m lifecycle.new_data TABLE TARGET [--name NAME] [--minutes 3]

Prints each proposed key with its reason. The table replaces what is in data/, and only once the
pipeline's own checks accept it with these keys; on any failure everything is as before.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from lifecycle.proposals.column import Proposal
from lifecycle.proposals.features import missing_texts
from lifecycle.proposals.table import MINUTES, propose
from lifecycle.yaml_text import rewrite
from stages.files import DATA, md5
from stages.params import validate
from stages.preparation.checks import check
from stages.preparation.split import split_rows
from stages.preparation.table import TableError, read_table
from stages.repository import CommandError, dvc
from stages.training.folds import folds

PIN = Path("data.dvc")
PARAMS = Path("params.yaml")
DRAFT = Path(".local/new-data")
REPLACED = Path(".local/replaced-data")
SUFFIXES = (".csv", ".csv.gz", ".parquet")


def plan(table: Path, target: str, name: str | None, minutes: float = MINUTES) -> list[Proposal]:
    """Every key for a table.

    Raises:
        TableError: the table cannot be read, or has no such column.
    """
    suffix = next((suffix for suffix in SUFFIXES if table.name.endswith(suffix)), None)
    if suffix is None:
        raise TableError(f"{table}: not one of {', '.join(SUFFIXES)}.")
    missing = Proposal("prepare.missing", [], "Parquet marks missing values itself")
    if suffix != ".parquet":
        missing = missing_texts(read_table(table, []), target)
    frame = read_table(table, missing.value)
    if target not in frame:
        raise TableError(
            f"TARGET: {table} has no column {target!r}. It has: {', '.join(frame.columns)}."
        )
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", table.name.removesuffix(suffix)).strip("-") or "model"
    return [
        Proposal("base.name", name or stem, "as asked" if name else "after the file"),
        Proposal("base.path", f"data/{stem}{suffix}", "where the table goes"),
        Proposal("base.target", target, "as asked"),
        missing,
        *propose(frame, target, minutes),
        Proposal("deploy.about", "", "what the model is for, in your words: the page shows it"),
        Proposal("deploy.columns", {}, "what your columns mean, with their units"),
    ]


def check_with(table: Path, raw: dict[str, Any]) -> None:
    """Check the table with the new keys as the stages prepare and train will.

    Raises:
        ValueError: what the stage would have said.
    """
    params = validate(raw)
    base, split = params.base, params.prepare.split
    frame, schema = check(read_table(table, params.prepare.missing), params, data_md5="")
    train, test = split_rows(frame, base.target, base.task, split, base.seed)
    folds(train, test, schema, params.train.folds)


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
    parser.add_argument("table", type=Path, help="CSV (plain or .csv.gz) or Parquet file")
    parser.add_argument("target", help="column to predict")
    parser.add_argument("--name", help="of the model; the file's by default")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="a run of it may take")
    arguments = parser.parse_args()
    try:
        proposals = plan(arguments.table, arguments.target, arguments.name, arguments.minutes)
        for proposal in proposals:
            value = json.dumps(proposal.value, ensure_ascii=False)
            print(f"{proposal.key}: {value}\n    {proposal.reason}")
        values = {proposal.key: proposal.value for proposal in proposals}
        params = rewrite(PARAMS.read_text(), values)
        check_with(arguments.table, yaml.safe_load(params))
        install(arguments.table, Path(values["base.path"]), params)
    except (ValueError, CommandError) as error:
        sys.exit(f"new-data: nothing is changed. {error}")
    print(
        f"""
{values["base.path"]} is pinned in {PIN}, the keys above are in {PARAMS}. Change what you know
better, then
  dvc repro
  git add {PIN} {PARAMS} dvc.lock reports && git commit"""
    )


if __name__ == "__main__":
    main()
