"""The least that must be done to score a file: parse it, run the graph, write it with the answers.

$ python -m benchmarks.batch.limit MODEL FILE

Arrow's reader and writer as they come, ONNX Runtime over arrays that lie ready, sorted so that the
trees' branches are the same one after the other; pieces that lie in memory, shared out among all
cores. No value is checked or packed, no row is sorted or put back, no file is read or written.
Prints the seconds for it, of the clock and of the processors.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from app.model.manifest import Manifest
from app.model.model import ROWS_PER_CALL
from app.model.packing import pack
from app.model.runtime import Packed, open_graph

ROWS = 65_536  # a piece


def main() -> None:
    """Command line."""
    model, file = Path(sys.argv[1]), Path(sys.argv[2])
    print(json.dumps(measure(model, file)))


def measure(model: Path, file: Path) -> dict[str, float]:
    """Seconds, `wall` and `cpu`, for all rows of a file."""
    if file.suffix == ".csv":
        table, parse, write = csv.read_csv(file), _parse_csv, csv.write_csv
    else:
        table, parse, write = parquet.read_table(file), _parse_parquet, parquet.write_table
    pieces = [_prepare(model, table.slice(start, ROWS), write) for start in _starts(table, ROWS)]
    run = open_graph((model / Manifest.read(model).file).read_bytes()).run

    def work(piece: tuple[bytes, list[dict[str, Any]], pa.Table]) -> None:
        source, calls, answered = piece
        parse(source)
        for inputs in calls:
            run(inputs)
        write(answered, io.BytesIO())

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as cores:
        list(cores.map(work, pieces[:2]))  # a warm-up
        wall, cpu = time.perf_counter(), time.process_time()
        list(cores.map(work, pieces))
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def _prepare(
    model: Path, table: pa.Table, write: Callable[[pa.Table, io.BytesIO], object]
) -> tuple[bytes, list[dict[str, Any]], pa.Table]:
    """A piece's bytes, the inputs of its calls, and its rows with some prediction."""
    features = Manifest.read(model).features
    source = io.BytesIO()
    write(table, source)
    rows = pack(table, features)
    order = np.lexsort([*rows.numeric.T[:1], *rows.categorical.T])
    rows = Packed(rows.numeric[order], rows.categorical[order])
    inputs = {"numeric": rows.numeric, "categorical": rows.categorical}
    present = {name: array for name, array in inputs.items() if array.shape[1]}
    calls = [
        {name: array[start : start + ROWS_PER_CALL] for name, array in present.items()}
        for start in _starts(table, ROWS_PER_CALL)
    ]
    prediction = np.random.default_rng(0).lognormal(7, 1, table.num_rows)
    return source.getvalue(), calls, table.append_column("prediction", pa.array(prediction))


def _starts(table: pa.Table, rows: int) -> range:
    return range(0, table.num_rows, rows)


def _parse_csv(source: bytes) -> pa.Table:
    return csv.read_csv(pa.py_buffer(source), csv.ReadOptions(use_threads=False))


def _parse_parquet(source: bytes) -> pa.Table:
    return parquet.read_table(pa.BufferReader(source), use_threads=False)


if __name__ == "__main__":
    main()
