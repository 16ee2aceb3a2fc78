"""The files that stages hand to each other, as `dvc.yaml` declares them, and their md5."""

import hashlib
import json
from pathlib import Path

DATA = Path("data")

PREPARED = Path("prepared")
TRAIN = PREPARED / "train.parquet"
TEST = PREPARED / "test.parquet"
SCHEMA = PREPARED / "schema.json"

CANDIDATE = Path("model/candidate")
PIPELINE = CANDIDATE / "pipeline.pkl"
LEADERBOARD = CANDIDATE / "leaderboard.csv"

METRICS = Path("reports/metrics.json")
PLOTS = Path("reports/plots")

FINAL = Path("model/final/pipeline.pkl")
SERVING = Path("model/serving")


def md5(path: Path) -> str:
    """The md5 that `dvc.lock` holds for a file or folder (a folder's ends in `.dir`).

    Source: DVC's remote layout, version 3: a folder is the md5 of its sorted list of files.
    """
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()  # noqa: S324 - DVC's choice
    files = sorted(file for file in path.rglob("*") if file.is_file())
    entries = sorted(
        ({"md5": md5(file), "relpath": file.relative_to(path).as_posix()} for file in files),
        key=lambda entry: entry["relpath"],
    )
    text = json.dumps(entries, sort_keys=True)
    return hashlib.md5(text.encode()).hexdigest() + ".dir"  # noqa: S324 - DVC's choice
