"""Check the table, infer its schema, set the holdout aside.

$ python -m stages prepare

Reads the table of `base.path`; writes prepared/train.parquet, prepared/test.parquet and
prepared/schema.json.
"""

import sys
from pathlib import Path

from stages.arithmetic import launch
from stages.files import DATA, PREPARED, SCHEMA, TEST, TRAIN, md5
from stages.params import read
from stages.preparation.checks import check
from stages.preparation.doubts import doubts
from stages.preparation.reading import read_table
from stages.preparation.split import split_rows
from stages.schema import write_prepared


def main() -> None:
    """Run the stage."""
    params = read("prepare")
    try:
        raw = read_table(Path(params.base.path), params.prepare.missing, params.prepare.read)
        frame, schema = check(raw, params, md5(DATA))
        train, test = split_rows(
            frame, params.base.target, params.base.task, params.prepare.split, params.base.seed
        )
    except ValueError as error:
        sys.exit(f"prepare: {error}")
    left_out = len(raw) - len(frame)
    del raw, frame  # a large table fits into memory once, not three times
    PREPARED.mkdir(exist_ok=True)
    write_prepared(TRAIN, train)
    write_prepared(TEST, test)
    schema.write(SCHEMA)
    for doubt in doubts(train, test, schema):
        print(f"prepare: WARNING: {doubt}")
    if left_out:
        print(f"prepare: {left_out} rows without a {schema.target!r} are left out")
    print(
        f"prepare: {len(train)} rows to train on, {len(test)} set aside ({schema.strategy}); "
        f"{len(schema.features)} features for {schema.target}"
    )


if __name__ == "__main__":
    launch("-m", "stages", "prepare")
