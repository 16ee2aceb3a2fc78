"""Bring `data/` as `data.dvc` pins it: from S3, or the first time from the table's source.

$ python -m local.sample_table

The sample table is diamonds, 53,940 rows, from the package that ships it: prices in US dollars,
carat in units of 0.2 g, x, y and z in millimetres.
"""

import shutil
import sys
from pathlib import Path

import yaml

from stages.files import DATA, md5
from stages.repository import CommandError, dvc

PIN = Path("data.dvc")


def write(folder: Path) -> None:
    """Write the sample table as CSV; the same bytes on every machine."""
    from plotnine.data import diamonds

    folder.mkdir(parents=True, exist_ok=True)
    diamonds.to_csv(folder / "diamonds.csv", index=False, lineterminator="\n")


def main() -> None:
    """Command line."""
    pinned = yaml.safe_load(PIN.read_text())["outs"][0]["md5"]
    if DATA.exists() and md5(DATA) == pinned:
        return
    try:
        dvc("pull", str(PIN))
    except CommandError as error:
        refusal = error
    else:
        print(f"data/ pulled from S3 ({pinned})")
        return
    draft = Path(".local/data")
    write(draft)
    if md5(draft) != pinned:
        shutil.rmtree(draft)
        sys.exit(
            f"data/ cannot be made: S3 does not give {pinned}, which {PIN} pins, and it is not the "
            f"sample table. {refusal}"
        )
    if DATA.exists():
        sys.exit(f"data/ differs from its pin in {PIN}. Keep it with `dvc add data`, or remove it.")
    draft.rename(DATA)
    try:
        dvc("commit", "--force", str(PIN))
        dvc("push", str(PIN))
    except CommandError as error:
        sys.exit(str(error))
    print(f"data/ written from its source, matches its pin ({pinned}), pushed to S3")


if __name__ == "__main__":
    main()
