"""Git and DVC as commands, in the repository of the working directory."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence


class CommandError(RuntimeError):
    """Git or DVC failed; the message names the command and holds its own words."""


def git(*arguments: str, stdin: str = "") -> str:
    """Run Git.

    Args:
        arguments: of the command line, without `git`.
        stdin: what the command reads.

    Returns:
        What it writes to standard output.

    Raises:
        CommandError: it failed.
    """
    return _run(["git"], arguments, stdin)


def dvc(*arguments: str) -> str:
    """Run the DVC of this environment.

    Args:
        arguments: of the command line, without `dvc`.

    Returns:
        What it writes to standard output.

    Raises:
        CommandError: it failed.
    """
    return _run([sys.executable, "-m", "dvc"], arguments, "")


def _run(program: Sequence[str], arguments: Sequence[str], stdin: str) -> str:
    # Files, not pipes: `dvc queue start` leaves workers behind that would hold a pipe open
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        code = subprocess.run(  # noqa: S603 - the project's own command lines
            [*program, *arguments],
            input=stdin.encode(),
            stdout=output,
            stderr=errors,
            check=False,
        ).returncode
        output.seek(0)
        errors.seek(0)
        if code:
            command = " ".join([program[-1], *arguments])
            reason = errors.read().decode(errors="replace").strip()
            raise CommandError(f"`{command}` failed: {reason or f'exit status {code}'}")
        return output.read().decode()
