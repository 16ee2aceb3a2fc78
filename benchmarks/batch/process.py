"""One command to its end: how long it took, and how much memory at most."""

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.01
PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


@dataclass(frozen=True)
class Run:
    """What a command needed.

    Attributes:
        wall: seconds from its start to its end.
        cpu: seconds of the processors, with those of its children.
        peak_mb: its most resident memory, in MB of 10^6 bytes; its children's do not count.
        output: what it wrote to standard output.
    """

    wall: float
    cpu: float
    peak_mb: float
    output: bytes


def run(
    command: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
) -> Run:
    """Run a command.

    Raises:
        RuntimeError: it fails; with what it said.
    """
    log = cwd / "command.log"
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    with log.open("wb") as errors:
        before, begun = os.times(), time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - our own command line
            command,
            cwd=cwd,
            env=inherited | dict(environment or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert process.stdin is not None  # noqa: S101 (a pipe)
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(stdin)
        process.stdin.close()
        # `ru_maxrss` would also hold what this very process had before it became the other.
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, _peak_mb(process.pid))
            time.sleep(POLL_SECONDS)
        wall, after = time.perf_counter() - begun, os.times()
        with process.stdout as pipe:
            output = pipe.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} fails: {log.read_text(errors='replace')[-2000:]}")
    used = after.children_user + after.children_system
    return Run(wall, used - before.children_user - before.children_system, peak, output)


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    peak = PEAK.search(status)  # none between its end and our notice
    return int(peak[1]) * 1024 / 1e6 if peak else 0.0


# Without it, every start would compile the project's modules anew.
NOT_INHERITED = ("PYTHONDONTWRITEBYTECODE",)
