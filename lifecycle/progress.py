"""What takes long says what it does: a running clock on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

START_OF_LINE, REST_OF_LINE = "\r", "\x1b[K"
TICK_SECONDS = 0.5


@contextmanager
def step(words: str) -> Iterator[None]:
    """Say on standard error what is being done, and on a terminal for how long."""
    begun = time.monotonic()
    if not sys.stderr.isatty():
        print(f"{words} …", file=sys.stderr, flush=True)
        yield
        return
    ended = threading.Event()

    def show() -> None:
        seconds = time.monotonic() - begun
        print(f"{START_OF_LINE}{words} … {seconds:.0f} s{REST_OF_LINE}", end="", file=sys.stderr)
        sys.stderr.flush()

    def tick() -> None:
        show()
        while not ended.wait(TICK_SECONDS):
            show()

    clock = threading.Thread(target=tick, daemon=True)
    clock.start()
    try:
        yield
    finally:
        ended.set()
        clock.join()
        show()
        print(file=sys.stderr)
