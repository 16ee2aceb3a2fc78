"""The default model and its table, as the pipeline left them."""

import argparse
import io
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from app.model.manifest import Feature, Manifest
from local import processes, services
from stages.params import validate
from stages.preparation.reading import read_table
from stages.schema import safe_names


@dataclass(frozen=True)
class Workspace:
    """A folder in which `dvc repro` ran."""

    root: Path

    @property
    def serving(self) -> Path:
        """The served model's folder."""
        return self.root / "model" / "serving"

    @property
    def pipeline(self) -> Path:
        """The same model as a fitted PyCaret pipeline."""
        return self.root / "model" / "final" / "pipeline.pkl"

    @cached_property
    def manifest(self) -> Manifest:
        """The served model's manifest."""
        return Manifest.read(self.serving)

    @property
    def columns(self) -> list[str]:
        """The features' names inside the fitted pipeline."""
        return safe_names([feature.name for feature in self.manifest.features])

    @cached_property
    def table(self) -> pd.DataFrame:
        """The features of the whole table, every cell as text, under their own names."""
        params = validate(yaml.safe_load((self.root / "params.yaml").read_text()))
        path = self.root / params.base.path
        frame = read_table(path, self.manifest.missing_values, params.prepare.read)
        features: pd.DataFrame = frame[[feature.name for feature in self.manifest.features]]
        return features

    def csv(self, names: list[str] | None = None) -> bytes:
        """The table as CSV, its columns under other names where some are given."""
        text = io.StringIO()
        self.table.to_csv(text, index=False, header=names or True)
        return text.getvalue().encode()

    def record(self, names: list[str] | None = None) -> dict[str, Any]:
        """One row, its columns under other names where some are given."""
        record = self.manifest.example.record
        return dict(zip(names, record.values(), strict=True)) if names else record


@contextmanager
def cloned(root: Path, folder: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A clone of what is committed, and its commands' environment, with an MLflow of its own.

    Args:
        root: a repository.
        folder: empty; holds the clone and all that is written.
    """
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", str(root), str(clone)], check=True)  # noqa: S603, S607
    port = processes.free_port()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}",
    }
    service = services.start_mlflow(folder, port, str(folder / "artifacts"), {})
    try:
        processes.wait(service, f"{environment['MLFLOW_TRACKING_URI']}/health")
        yield clone, environment
    finally:
        processes.stop(service)


def random_records(manifest: Manifest, count: int) -> list[dict[str, Any]]:
    """Rows as JSON values within the ranges that the model was trained on; always the same."""
    draw = random.Random(0)  # noqa: S311 - no secret

    def value(feature: Feature) -> Any:
        if feature.kind == "category":
            return draw.choice(feature.categories)
        number = draw.uniform(feature.minimum or 0.0, feature.maximum or 0.0)
        if feature.kind == "boolean":
            return number >= 0.5
        return datetime.fromtimestamp(number, UTC).isoformat() if feature.kind == "date" else number

    return [{feature.name: value(feature) for feature in manifest.features} for _ in range(count)]


def workspace_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--root` to a command line."""
    parser.add_argument(
        "--root", type=Path, default=Path.cwd(), help="folder in which `dvc repro` ran"
    )
