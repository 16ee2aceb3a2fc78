"""Tables of any number of rows like the model's own."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet

from benchmarks.workspace import Workspace

ROWS = 500_000  # written in one go
NOISE = 0.01  # of each number
DECIMALS = 2


def write(workspace: Workspace, rows: int, file: Path) -> Path:
    """Write a CSV or Parquet file, always the same.

    Its rows are drawn from the model's table; each number is changed by about a hundredth, so
    that there are as many different ones as in a real table of that length.
    """
    draw = np.random.default_rng(0)
    table = workspace.table
    numbers = {
        feature.name: pd.to_numeric(table[feature.name]).to_numpy(float)
        for feature in workspace.manifest.features
        if feature.kind == "number"
    }
    fields = [
        (name, pa.float64() if name in numbers else pa.string()) for name in table.columns.tolist()
    ]
    schema = pa.schema(fields)
    plain = csv.WriteOptions(quoting_style="needed")
    with (
        csv.CSVWriter(file, schema, write_options=plain)
        if file.suffix == ".csv"
        else parquet.ParquetWriter(file, schema) as writer
    ):
        for start in range(0, rows, ROWS):
            places = draw.integers(0, len(table), min(ROWS, rows - start))
            piece = table.iloc[places].reset_index(drop=True)
            for name, values in numbers.items():
                noise = 1 + NOISE * draw.standard_normal(len(places))
                piece[name] = (values[places] * noise).round(DECIMALS)
            writer.write_table(pa.Table.from_pandas(piece, schema, preserve_index=False))
    return file
