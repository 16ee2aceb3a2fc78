"""Make every fault many times, and print what came of it.

$ python -m tests.chaos                  # all groups: server store fuzz pipeline
$ python -m tests.chaos server fuzz
$ python -m tests.chaos --part 0.1       # a tenth of the tries

Exit status 1 where anything was lost or wrong.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import fuzz, pipeline, server, store

GROUPS = {
    "server": server.FAULTS,
    "store": store.FAULTS,
    "fuzz": fuzz.FAULTS,
    "pipeline": pipeline.FAULTS,
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser("python -m tests.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--part", type=float, default=1.0, help="of the tries")
    command = parser.parse_args()
    if unknown := set(command.groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    print("| fault | tries | survived | lost | wrong | | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    failed = False
    for group in command.groups or GROUPS:
        for fault in GROUPS[group]:
            tries = max(1, round(command.part * fault.many))
            with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
                begun = time.monotonic()
                count = fault.make(tries, Path(folder))
                seconds = time.monotonic() - begun
            print(
                f"| {fault.name} | {count.tries:,} | {count.survived:,} | {count.lost} "
                f"| {count.wrong} | {count.note} | {seconds:.0f} |",
                flush=True,
            )
            failed |= bool(count.lost or count.wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()
