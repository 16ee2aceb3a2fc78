"""The whole table as CSV, without HTTP: the service's own work, and the least that must be done."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow as pa
from pyarrow import csv as arrow_csv

from app.formats.registry import CSV, Upload, pack
from app.http.predict import answer_file
from app.model.model import Model
from app.settings import Settings


def compare(folder: Path, data: bytes, repeats: int) -> dict[str, float]:
    """Time both in turn.

    The limit is the sum of three: Arrow's parse of the bytes as it comes, ONNX Runtime on
    all cores over arrays that lie ready (sorted, in slices side by side: in the order they
    came, or on its own threads, it takes longer), orjson's writing of the answer. Packing
    what was parsed, and every check of it, is the service's own cost.

    Args:
        folder: the model folder.
        data: the CSV.
        repeats: how often each; medians are given.
    """
    settings = Settings(remote="s3://nowhere/models")
    model = Model.load(folder, settings.cores)
    upload = Upload(data)
    rows, _ = pack(CSV, data, model, settings.limits)
    answer = model.predict(rows).values

    def service(*, as_csv: bool = False) -> object:
        return answer_file(model, upload, settings.limits, to_csv=as_csv)

    work: dict[str, Callable[[], object]] = {
        "service_json": service,
        "service_csv": lambda: service(as_csv=True),
        "parse": lambda: arrow_csv.read_csv(pa.py_buffer(data)),
        "onnx_runtime": lambda: model.predict(rows),
        "write": lambda: orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY),
    }
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats + 1):
        for name, function in work.items():
            begun = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - begun)
    # the first of each is a warm-up
    medians = {name: statistics.median(times[1:]) * 1e3 for name, times in seconds.items()}
    limit = medians["parse"] + medians["onnx_runtime"] + medians["write"]
    figures = {f"{name}_ms": value for name, value in medians.items()}
    return {
        **figures,
        "limit_ms": limit,
        "service_json_per_limit": medians["service_json"] / limit,
        "service_csv_per_limit": medians["service_csv"] / limit,
    }
