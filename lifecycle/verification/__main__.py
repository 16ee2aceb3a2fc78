"""Rebuild a commit elsewhere and compare every byte with what it locks.

$ python -m lifecycle.verification rebuild HEAD
$ python -m lifecycle.verification rebuild HEAD --sign release.key
$ python -m lifecycle.verification key release.key

Writes verification.json. Exit status 0: everything came out the same; 1: something did not, or
the commit could not be rebuilt.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from app.model.store import StoreError, parse_lock
from app.model.verification import key_text
from app.settings import Settings, SettingsError, read_settings
from lifecycle.history import DeploymentError
from lifecycle.promotion import read_lock, resolve, version_of
from lifecycle.verification.comparison import LOCK, compare
from lifecycle.verification.rebuild import RebuildError, rebuild
from lifecycle.verification.statement import (
    STATEMENT,
    SigningError,
    make_key,
    public,
    read_key,
    sign,
    statement,
    write,
)
from stages.repository import CommandError, git


def verify(revision: str, key_file: Path | None, settings: Settings) -> bool:
    """Rebuild a revision, print how each output came out, and sign where all are the same."""
    key = None if key_file is None else read_key(key_file)
    commit = resolve(revision)
    version = version_of(commit).version
    if git("status", "--porcelain") and revision == "HEAD":
        print("verify: what is not committed is not looked at")
    print(f"verify: rebuilding {commit[:10]} from its raw data alone", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clone = rebuild(Path.cwd(), commit, folder)
        rebuilt = parse_lock((clone / LOCK).read_bytes(), f"the rebuilt {LOCK}")
        pulled = settings.model_copy(update={"model_cache": folder / "pulled"})
        compared = compare(read_lock(commit)["stages"], rebuilt["stages"], commit, clone, pulled)
        said = statement(version, commit, clone, compared)
    for one in compared:
        print(one)
    content = write(said)
    print(f"verify: {commit[:10]} is {'the same' if said.same else 'DIFFERENT'}; see {STATEMENT}")
    if key is not None and said.same:
        sign(content, version, key, settings)
        print(f"verify: signed by {key_text(public(key))}; beside version {version} in S3")
    elif key is not None:
        print("verify: what is different is not signed")
    return said.same


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    one = actions.add_parser("rebuild", help="rebuild a commit and compare")
    one.add_argument("revision", help="a commit, branch, tag or DVC experiment")
    one.add_argument("--sign", type=Path, metavar="KEY", help="a private key's file")
    another = actions.add_parser("key", help="make a key pair")
    another.add_argument("path", type=Path, help="of the private key; the public one: PATH.pub")
    command = parser.parse_args()
    try:
        if command.action == "key":
            beside = make_key(command.path)
            print(f"{command.path} signs: keep it to yourself. {beside}, for SERVE_TRUSTED_KEYS:")
            print(beside.read_text(), end="")
            return
        same = verify(command.revision, command.sign, read_settings())
    except (
        CommandError,
        DeploymentError,
        RebuildError,
        SettingsError,
        SigningError,
        StoreError,
    ) as error:
        sys.exit(f"verify: {error}")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
