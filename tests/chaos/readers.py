"""Fuzz one reader of bodies until the time is over; of `tests.chaos.guided`, a process of its own.

$ python -m tests.chaos.readers csv 60 FOLDER     # FOLDER/csv holds bodies to begin with
"""

import resource
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import atheris

# The seconds are for a hang: on a busy machine a process may stand still for some by itself.
MOST_SECONDS, MOST_MEGABYTES, LONGEST = 30, 1_024, 4_096
Reader = Callable[[bytes], object]


def main() -> None:
    """Command line. Atheris ends the process."""
    name, seconds, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    # Nothing above imports `app`: only what is imported here tells which lines have run.
    with atheris.instrument_imports(include=["app"]):
        read = readers(folder)[name]
    # The peak that libFuzzer reads may be that of the process which started this one: Linux hands
    # it on. The limit is what the bodies add.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024
    options = {
        "max_total_time": seconds,
        "timeout": MOST_SECONDS,
        "rss_limit_mb": peak + MOST_MEGABYTES,
        "max_len": LONGEST,
        "seed": 1,
        "print_final_stats": 1,
        "artifact_prefix": f"{folder}/",
    }
    arguments = [f"-{option}={value}" for option, value in options.items()]
    atheris.Setup([sys.argv[0], *arguments, str(folder / name)], read)
    atheris.Fuzz()


def readers(folder: Path) -> Mapping[str, Reader]:
    """What turns bytes from outside into rows of the tiny model, by name."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser

    from app.batch.answers import Options
    from app.errors import Problem
    from app.formats import csv, json, mlflow, parquet
    from app.http.body import _Form
    from app.model.model import Extras, Model
    from app.settings import Limits
    from app.stream.messages import Request, answer
    from tests.app.conftest import write_model

    model = Model.load(write_model(folder / "model"))
    limits = Limits(max_bytes=1_000_000, max_rows=10_000, max_columns=100)

    def refusable(read: Reader, data: bytes) -> None:
        try:
            read(data)
        except Problem as problem:
            if problem.status >= 500:
                raise

    def read_csv(data: bytes) -> None:
        rows, _ = csv.pack(data, model, limits)
        csv.reply(data, model.predict(rows), model.interface, Extras())

    def read_parquet(data: bytes) -> None:
        rows, _ = parquet.pack(data, model, limits)
        table = parquet.as_csv(data, limits)
        csv.reply(table, model.predict(rows), model.interface, Extras())

    def read_form(data: bytes) -> None:
        try:
            MultipartParser(b"x", _Form().callbacks()).write(data)  # type: ignore[arg-type]
        except FormParserError:
            return  # the server refuses such a body

    def read_message(data: bytes) -> None:
        (told,) = answer(model, [Request("id", data)], Options())
        if told.id != "id":
            raise AssertionError(told)

    reads: dict[str, Reader] = {
        "csv": read_csv,
        "parquet": read_parquet,
        "json": lambda data: json.pack(data, model, limits),
        "mlflow": lambda data: mlflow.pack(data, model, limits),
        "form": read_form,
        "message": read_message,
    }
    return {name: partial(refusable, read) for name, read in reads.items()}


if __name__ == "__main__":
    main()
