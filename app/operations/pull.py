"""Pulls a version in a process of its own, which can be ended while the remote hangs.

A thread that waits for a remote cannot be ended, and an answer may drip for ever. So the server
runs `python -m app.operations.pull` and kills it when it takes too long. That process reads what to
pull from its standard input, so no secret is among its arguments; where the input ends, with the
server, so does the process. To its standard output it writes a dot for each piece that came, or
why it failed. What the remote's client needs of memory goes with it.
"""

import asyncio
import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.model.store import Remote, StoreError, cached, download, place, workplace
from app.model.verification import VerificationError, key_text, require
from app.settings import CLOUDS, Settings
from app.storage import S3

# A pull is given up when so long no piece (see app/storage/objects.py) and no object's end came.
STALL_SECONDS = 30.0
FAILED = 1
NEEDED = {"remote", *(name for name in Settings.model_fields if name.startswith(CLOUDS))}


class Puller:
    """Pulls versions for one worker, one at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._is_stopped = False

    async def pull(self, version: str) -> None:
        """Bring a version into the model cache, verified, and signed where that is asked for.

        Raises:
            StoreError: the remote does not give it, gives something else or takes too long, or
                nobody trusted has signed it; or the puller was stopped.
        """
        work = await asyncio.to_thread(workplace, version, self._settings)
        try:
            await self._run(version, work)
            if (work / version).exists():  # else the signature alone was missing
                await asyncio.to_thread(place, work / version, self._settings)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def stop(self) -> None:
        """End what is being pulled, now and for good: the server ends."""
        self._is_stopped = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _run(self, version: str, work: Path) -> None:
        settings = self._settings
        self._refuse_where_stopped()
        here = Path(__file__).parents[2]
        paths = filter(None, [str(here), os.environ.get("PYTHONPATH")])
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.operations.pull",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C is for the server
        )
        assert process.stdin  # noqa: S101 (a pipe was asked for)
        try:
            self._refuse_where_stopped()  # meanwhile
            order = {"version": version, "work": str(work), "settings": _told(settings)}
            process.stdin.write(json.dumps(order).encode() + b"\n")
            said = await _follow(process, settings)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            process.stdin.close()
        self._refuse_where_stopped()
        if process.returncode:
            reason = said.lstrip(b".").decode(errors="replace")
            raise StoreError(reason or f"The pull ended with status {process.returncode}.")

    def _refuse_where_stopped(self) -> None:
        if self._is_stopped:
            raise StoreError("The server ends, and the pull with it.")


async def _follow(process: asyncio.subprocess.Process, settings: Settings) -> bytes:
    """Read what the process says until it ends, or must."""
    assert process.stdout  # noqa: S101 (a pipe was asked for)
    said = b""
    try:
        async with asyncio.timeout(settings.pull_seconds) as in_all:
            while True:
                async with asyncio.timeout(STALL_SECONDS):
                    piece = await process.stdout.read(65_536)
                    if not piece:
                        await process.wait()
                        return said
                said = said.lstrip(b".") + piece
    except TimeoutError:
        if in_all.expired():
            fault = f"did not give the version within {settings.pull_seconds:g} seconds"
        else:
            fault = f"hangs: next to nothing came in {STALL_SECONDS:g} seconds"
        if settings.remote.startswith(S3):
            reason = f"S3 {fault}. Check AWS_ENDPOINT_URL, and that S3 runs."
        else:
            reason = f"{settings.remote} {fault}. Check that it can be reached."
        raise StoreError(reason) from None


def _told(settings: Settings) -> dict[str, Any]:
    """The settings that a pull needs, secrets revealed."""
    needed = settings.model_dump(include=NEEDED)
    told = {name: _revealed(value) for name, value in needed.items()}
    keys = ",".join(key_text(key) for key in settings.trusted_keys)
    return told | {"model_cache": str(settings.model_cache), "trusted_keys": keys}


def _revealed(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def main() -> None:
    """Pull what standard input names."""
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    settings = Settings(**order["settings"])
    try:
        folder = cached(order["version"], settings)
        if folder is None:
            remote = Remote(settings, progress=lambda: os.write(1, b"."))
            folder = download(order["version"], Path(order["work"]), remote)
        if settings.trusted_keys:
            require(folder, settings)
    except (StoreError, VerificationError, OSError) as error:
        os.write(1, str(error).encode())
        sys.exit(FAILED)


def _end_with_the_server() -> None:
    os.read(0, 1)  # nothing more is sent
    os._exit(FAILED)


if __name__ == "__main__":
    main()
