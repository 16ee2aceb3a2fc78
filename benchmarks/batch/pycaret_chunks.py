"""PyCaret's own way with a file: `predict_model` on one chunk after the other.

$ python -m benchmarks.batch.pycaret_chunks ROOT INPUT OUTPUT

Prints the seconds that it took by the chunk's rows, of the clock and of the processors, without
its start.
"""

import json
import sys
import time
from pathlib import Path

import pandas as pd
from pycaret import classification, regression

from benchmarks.workspace import Workspace

CHUNKS = (1_000, 5_000, 50_000)  # rows


def main() -> None:
    """Command line."""
    workspace = Workspace(Path(sys.argv[1]))
    pycaret = {"classification": classification, "regression": regression}[workspace.manifest.task]
    pipeline = pycaret.load_model(str(workspace.pipeline.with_suffix("")), verbose=False)
    seconds = {}
    for chunk in CHUNKS:
        wall, cpu = time.perf_counter(), time.process_time()
        with Path(sys.argv[3]).open("w") as output:
            for frame in pd.read_csv(sys.argv[2], chunksize=chunk):
                # Its columns have safe names; the file's are the user's.
                named = frame.set_axis(workspace.columns, axis="columns")
                answers = pycaret.predict_model(pipeline, data=named, verbose=False)
                answers.to_csv(output, index=False)
        seconds[chunk] = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
