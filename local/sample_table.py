"""Bring `data/` as `data.dvc` pins it: from S3, or the first time from the table's source.

$ python -m local.sample_table

The sample table is diamonds, 53,940 rows, from the package that ships it: prices in US dollars,
carat in units of 0.2 g, x, y and z in millimetres.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from stages.files import DATA, md5

PIN = Path("data.dvc")


def write(folder: Path) -> None:
    """Write the sample table as CSV; the same bytes on every machine."""
    from plotnine.data import diamonds

    folder.mkdir(parents=True, exist_ok=True)
    diamonds.to_csv(folder / "diamonds.csv", index=False, lineterminator="\n")


def dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run DVC, keeping what it says."""
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def main() -> None:
    """Command line."""
    pinned = yaml.safe_load(PIN.read_text())["outs"][0]["md5"]
    if DATA.exists() and md5(DATA) == pinned:
        return
    pulled = dvc("pull", str(PIN))
    if pulled.returncode == 0:
        print(f"data/ pulled from S3 ({pinned})")
        return
    draft = Path(".local/data")
    write(draft)
    if md5(draft) != pinned:
        shutil.rmtree(draft)
        sys.exit(
            f"data/ cannot be made: S3 does not give {pinned}, which {PIN} pins, and it is not the "
            f"sample table. DVC said:\n{pulled.stderr.strip()}"
        )
    if DATA.exists():
        sys.exit(f"data/ differs from its pin in {PIN}. Keep it with `dvc add data`, or remove it.")
    draft.rename(DATA)
    for step in (("commit", "--force", str(PIN)), ("push", str(PIN))):
        done = dvc(*step)
        if done.returncode:
            sys.exit(f"`dvc {' '.join(step)}` failed:\n{done.stderr.strip()}")
    print(f"data/ written from its source, matches its pin ({pinned}), pushed to S3")


if __name__ == "__main__":
    main()
