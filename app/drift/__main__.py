"""Compares a file with the rows that the locked model version was trained on.

$ python -m app.drift FILE [--html drift.html] [--json counts.json]

FILE: CSV or Parquet with the model's columns. Exit status: 0 nothing drifted, 3 something did,
1 failed.
"""

import argparse
import sys
from pathlib import Path

import orjson

from app.drift.counting import Counting
from app.drift.page import render
from app.drift.reference import Reference
from app.drift.report import Json, report
from app.errors import Problem
from app.formats.registry import Upload, file_format, pack
from app.model.manifest import Manifest
from app.model.model import Model, ModelError, verify
from app.model.store import StoreError, fetch, locked_version
from app.settings import Limits, Settings, SettingsError, read_settings

STEADY, FAILED, DRIFTED = 0, 1, 3


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m app.drift",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument("--html", type=Path, default=Path("drift.html"), help="drift.html")
    parser.add_argument("--json", type=Path, help="every cell, its count and that of training")
    arguments = parser.parse_args()
    try:
        manifest, told = compare(arguments.file, read_settings())
    except (SettingsError, StoreError, ModelError, Problem, OSError) as error:
        print(error, file=sys.stderr)
        return FAILED
    title = f"{arguments.file.name} and the training of {manifest.name}"
    arguments.html.write_text(render(told, title))
    if arguments.json is not None:
        arguments.json.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    window = told["windows"]["file"]
    print(f"{window['rows']:,} rows, drifted: {', '.join(window['drifted']) or 'nothing'}")
    return DRIFTED if window["drifted"] else STEADY


def compare(path: Path, settings: Settings) -> tuple[Manifest, Json]:
    """Answer and count the rows of a file.

    Returns:
        The model's manifest; and the report of one window, `file`.

    Raises:
        Problem: the file does not fit, or the model was deployed without counts.
    """
    version = locked_version(settings.lock_file, settings.lock_stage, settings.lock_path)
    folder = fetch(version, settings)
    manifest = Manifest.read(folder)
    if manifest.reference is None:
        raise Problem("no-drift", "The model was deployed without counts of its training.")
    file = folder / manifest.reference.file
    verify(file.read_bytes(), file.name, manifest.reference.sha256, version)
    model = Model.load(folder, settings.cores)
    counting = Counting(Reference.read(file), manifest)
    upload = Upload(path.read_bytes(), path.name)
    size = max(len(upload.data), Limits.max_bytes)
    rows, _ = pack(file_format(upload), upload.data, model, Limits(max_bytes=size))
    counts = counting.count(rows, model.predict(rows).values)
    return manifest, report(counting, {"file": counts}, with_counts=True)


if __name__ == "__main__":
    sys.exit(main())
