"""Make every fault many times, and print what came of it.

$ python -m tests.chaos                  # all groups: pipeline server store fuzz
$ python -m tests.chaos server fuzz
$ python -m tests.chaos --part 0.1       # a tenth of the tries
$ python -m tests.chaos --jobs 1         # one fault at a time; else as many as there are cores

Exit status 1 where anything was lost or wrong.
"""

import argparse
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.chaos import clock, fuzz, guided, pipeline, server, store

GROUPS = {  # the longest first
    "pipeline": pipeline.FAULTS,
    "server": (*server.FAULTS, *clock.FAULTS),
    "store": store.FAULTS,
    "fuzz": (*fuzz.FAULTS, *guided.FAULTS),
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser("python -m tests.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--part", type=float, default=1.0, help="of the tries")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="faults at a time")
    command = parser.parse_args()
    if unknown := set(command.groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    faults = [fault for group in command.groups or GROUPS for fault in GROUPS[group]]
    print("| fault | tries | survived | lost | wrong | | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    failed = False
    # Processes of their own: some faults change what holds for a whole process.
    context = multiprocessing.get_context("spawn")
    # Standard output is the table's; what a server logs goes to the other one
    with ProcessPoolExecutor(
        command.jobs, context, initializer=os.dup2, initargs=(2, 1), max_tasks_per_child=1
    ) as pool:
        runs = {pool.submit(fault.timed, command.part): fault for fault in faults}
        for run in as_completed(runs):
            count, seconds = run.result()
            print(
                f"| {runs[run].name} | {count.tries:,} | {count.survived:,} | {count.lost} "
                f"| {count.wrong} | {count.note} | {seconds:.0f} |",
                flush=True,
            )
            failed |= bool(count.lost or count.wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()
