"""The files that stages hand to each other, as `dvc.yaml` declares them: paths, md5, numbers."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

DATA = Path("data")

PREPARED = Path("prepared")
TRAIN = PREPARED / "train.parquet"
TEST = PREPARED / "test.parquet"
SCHEMA = PREPARED / "schema.json"

CANDIDATE = Path("model/candidate")
PIPELINE = CANDIDATE / "pipeline.pkl"
LEADERBOARD = CANDIDATE / "leaderboard.csv"
FOLDS = CANDIDATE / "folds.csv"

# Sets of hyperparameters that were tried, while `train` runs: no output, so DVC leaves it alone
TUNING = Path(".local/tuning.db")

METRICS = Path("reports/metrics.json")
PLOTS = Path("reports/plots")

FINAL = Path("model/final/pipeline.pkl")
SERVING = Path("model/serving")

# Significant digits of a number in a report; MLflow has them all. The rest depends on the order
# in which a processor adds, and would change `dvc.lock` for nothing.
DIGITS = 9


def md5(path: Path, md5s: Mapping[Path, str] = MappingProxyType({})) -> str:
    """The md5 that `dvc.lock` holds for a file or folder (a folder's ends in `.dir`).

    Source: DVC's remote layout, version 3: a folder is the md5 of its sorted list of files.

    Args:
        path: the file or folder.
        md5s: the md5 of files that need not be read again.
    """
    if path in md5s:
        return md5s[path]
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324 - DVC's choice
    files = sorted(file for file in path.rglob("*") if file.is_file())
    entries = sorted(
        ({"md5": md5(file, md5s), "relpath": file.relative_to(path).as_posix()} for file in files),
        key=lambda entry: entry["relpath"],
    )
    text = json.dumps(entries, sort_keys=True)
    return hashlib.md5(text.encode()).hexdigest() + ".dir"  # noqa: S324 - DVC's choice


def settled(value: float, scale: float = 0.0) -> float:
    """A number to nine significant digits.

    Args:
        value: the number.
        scale: the size of what it is a difference of, where that is larger than itself: the
            digits are counted from there, so that 1e-14 instead of nothing becomes 0.
    """
    size = max(abs(value), scale)
    if size == 0 or not math.isfinite(size):
        return value
    return round(float(value), DIGITS - 1 - math.floor(math.log10(size))) + 0.0  # never -0


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write nested numbers as JSON, to nine significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_settled(report), indent=2) + "\n")


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _settled(one) for key, one in value.items()}
    return settled(value) if isinstance(value, float) else value


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV, to nine significant digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format=f"%.{DIGITS}g")
