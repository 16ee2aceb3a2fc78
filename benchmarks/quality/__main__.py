"""First tries at public tables beside AutoML: same rows, same minutes, same cores, one run.

$ python -m benchmarks.quality [--minutes 3] [--tables houses credit] [--peers flaml]

Prints a JSON line for each table. docs/quality.md says what each figure means. It installs the
peers into .local/quality, takes the minutes once for each of table and peer, and is for a machine
that does nothing else.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.quality.ours import first_try
from benchmarks.quality.peers import OF_THIS_PROJECT, PEERS
from benchmarks.quality.tables import TABLES, Table
from benchmarks.workspace import cloned

HERE = Path(__file__).parent
ENVIRONMENT = Path(".local/quality")
PATIENCE = 10  # times the seconds that a peer gets, with the timing of its answers


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [one.name for one in TABLES]
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="a clone of this repository")
    parser.add_argument("--minutes", type=float, default=3, help="as for `make new-data`")
    parser.add_argument("--tables", nargs="+", choices=names, default=names, metavar="NAME")
    peers = [*PEERS]
    parser.add_argument("--peers", nargs="*", choices=peers, default=peers[:1], metavar="PEER")
    arguments = parser.parse_args()
    python = peers_environment()
    for table in TABLES:
        if table.name in arguments.tables:
            with tempfile.TemporaryDirectory() as folder:
                figures = measure(
                    table,
                    arguments.root.resolve(),
                    Path(folder),
                    arguments.minutes,
                    arguments.peers,
                    python,
                )
            print(json.dumps({"benchmark": "quality", **figures}), flush=True)


def peers_environment() -> Path:
    """The Python that has the peers, made where there is none."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        pins = str(HERE / "requirements.txt")
        for command in (
            ["venv", "--quiet", "--python", sys.executable, str(ENVIRONMENT)],
            ["pip", "install", "--quiet", "--python", str(python), "--requirement", pins],
        ):
            subprocess.run([uv, *command], check=True)  # noqa: S603 - our own command lines
    return python


def measure(
    table: Table, root: Path, folder: Path, minutes: float, peers: Sequence[str], python: Path
) -> dict[str, Any]:
    """Try one table with this project, then with the peers, which get as many seconds."""

    def run(
        interpreter: object, what: str, *arguments: object, seconds: float | None = None
    ) -> str:
        command = [str(one) for one in (interpreter, HERE / "peers.py", what, *arguments)]
        done = subprocess.run(  # noqa: S603
            command, check=True, stdout=subprocess.PIPE, text=True, timeout=seconds
        )
        return done.stdout

    description, csv = folder / "table.json", folder / f"{table.name}.csv"
    description.write_text(json.dumps(asdict(table)))
    run(python, "table", description, csv)
    with cloned(root, folder) as (clone, environment):
        ours = first_try(clone, environment, csv, table.target, minutes)
    task = folder / "task.json"
    task.write_text(json.dumps(ours.task))
    figures: dict[str, Any] = {"table": table.name, "metric": ours.task["metric"]}
    figures |= {"refusal": ours.refusal, "ours": ours.figures}
    for peer in peers:
        interpreter = sys.executable if peer in OF_THIS_PROJECT else python
        longest = PATIENCE * ours.task["seconds"]
        try:
            said = run(interpreter, "fit", task, peer, folder / peer, seconds=longest)
        except subprocess.TimeoutExpired:
            figures[peer] = {"refusal": f"no model after {longest:.0f} s"}
            continue
        theirs = json.loads(said.splitlines()[-1])
        theirs["our_error_per_its"] = ours.figures["error"] / theirs["error"]
        figures[peer] = theirs
    return figures


if __name__ == "__main__":
    main()
