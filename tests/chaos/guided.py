"""Bodies that a fuzzer steers into code that it has not reached yet, given to the readers.

Atheris (https://github.com/google/atheris) changes bodies and keeps those that run another line
of `app`. A reader may answer or refuse. Any other exception, 30 seconds or 1 GB for one body end
the run, which then prints the body.
"""

import io
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from tests.app.conftest import EXAMPLE
from tests.chaos.counts import Count, Fault
from tests.conftest import ROOT


def guided(tries: int, folder: Path) -> Count:
    """Fuzz each reader for so many seconds."""
    if find_spec("atheris") is None:
        return Count(note="not run: Atheris has no package for this machine")
    count = Count()
    for reader, seeds in SEEDS.items():
        one = fuzzed(reader, seeds, tries, folder)
        count.tries += one.tries
        count.survived += one.survived
        count.lost += one.lost
        count.note += one.note
    return count


def fuzzed(reader: str, seeds: Sequence[bytes], seconds: int, folder: Path) -> Count:
    """Fuzz one reader; a body that it does not survive is the note.

    Args:
        reader: a name of `tests.chaos.readers`.
        seeds: bodies to begin with.
        seconds: see the name.
        folder: for the bodies.
    """
    corpus = folder / reader
    corpus.mkdir()
    for number, content in enumerate(seeds):
        (corpus / str(number)).write_bytes(content)
    command = [sys.executable, "-m", "tests.chaos.readers", reader, str(seconds), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        tries = int(re.findall(r"number_of_executed_units: (\d+)", done.stderr)[0])
        return Count(tries, survived=tries)
    said = re.findall(r"^(?:SUMMARY: .*|\w*Error\b.*)", done.stderr, re.MULTILINE)
    bodies = [path.read_bytes() for path in folder.iterdir() if path.is_file()]
    return Count(1, lost=1, note=f"{reader}: {said or done.stderr[-1_000:]} {bodies}")


def _parquet(**options: object) -> bytes:
    parquet.write_table(pa.Table.from_pylist([EXAMPLE, EXAMPLE]), sink := io.BytesIO(), **options)
    return sink.getvalue()


SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "csv": (
        b"carat weight,cut,certified,sold\n1.5,Good,true,2020-01-01\n",
        b'"carat weight",cut,certified,sold,x\r\n,"a ""b""\n",0,2020-01-01T00:00:00Z,"1"\r\n',
    ),
    "parquet": (_parquet(), _parquet(use_dictionary=False, compression=None)),
    "json": (
        b'{"records":[{"carat weight":1.5,"cut":"Good","certified":true,"sold":"2020-01-01"}]}',
    ),
    "mlflow": (
        b'{"dataframe_split":{"columns":["carat weight","cut","certified","sold"],'
        b'"data":[[NaN,"Good",true,null]]}}',
        b'{"inputs":{"carat weight":[1],"cut":["Good"],"certified":[0],"sold":[null]}}',
    ),
    "form": (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n'
        b"Content-Type: text/csv\r\n\r\na,b\r\n--x--\r\n",
    ),
    "message": (
        b'{"carat weight":1.5,"cut":"Good","certified":true,"sold":"2020-01-01"}',
        b"\x84\xaccarat weight\xcb?\xf8\0\0\0\0\0\0\xa3cut\xa4Good\xa9certified\xc3\xa4sold\xc0",
    ),
}
FAULTS = (Fault("bodies that reach code which none has reached", guided, 0, 20),)
