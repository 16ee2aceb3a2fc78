"""How far a run is: a bar on a terminal, nothing elsewhere."""

import sys
import threading
import time
from datetime import timedelta

WIDTH = 30  # of the bar, in letters
PATIENCE_SECONDS = 0.1  # between two lines
START_OF_LINE, REST_OF_LINE = "\r", "\x1b[K"


class Progress:
    """Counts rows and bytes, from several threads."""

    def __init__(self, size: int) -> None:
        """Begin.

        Args:
            size: bytes of all inputs; 0 where that is not known.
        """
        self._size = size
        self._bytes = 0
        self._rows = 0
        self._begun = time.monotonic()
        self._shown = -PATIENCE_SECONDS  # the first line comes at once
        self._lock = threading.Lock()
        self._is_visible = sys.stderr.isatty()

    def advance(self, size: int, rows: int) -> None:
        """Note so many more bytes and rows."""
        with self._lock:
            self._bytes += size
            self._rows += rows
            if self._is_visible and self.seconds - self._shown > PATIENCE_SECONDS:
                self._shown = self.seconds
                print(START_OF_LINE, self._line(), REST_OF_LINE, sep="", end="", file=sys.stderr)
                sys.stderr.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._is_visible:
            print(START_OF_LINE, REST_OF_LINE, sep="", end="", file=sys.stderr)

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._begun

    def _line(self) -> str:
        rows = f"{self._rows:,} rows, {self._rows / self.seconds:,.0f} rows/s"
        if not self._size:
            return rows
        share = min(1.0, self._bytes / self._size)
        left = timedelta(seconds=round(self.seconds * (1 - share) / share)) if share else "?"
        return f"{'█' * round(WIDTH * share):░<{WIDTH}} {share:4.0%}  {rows}, {left} left"
