"""What a connection may cost: time for its headers and to take its reply, bytes that say nothing.

Uvicorn has a deadline for connections between two requests alone. `python -m app` runs it with
this protocol; by itself: `uvicorn --http app.http.protocol:Protocol app.main:app`.
"""

import asyncio
import fcntl
import math
import termios
from array import array
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEADER_SECONDS = 10.0
# To take so many bytes of what waits to be sent; a reply may last as long as its reader does so.
WRITE_SECONDS = 30.0
WRITE_BYTES = 65_536
# After a reply, to end a request that is still being sent.
LINGER_SECONDS = 5.0
# Of a header, a trailer or a chunk's extension: what the parser keeps and nobody has seen yet.
MAX_HIDDEN = 65_536


class Protocol(HttpToolsProtocol):
    """Uvicorn's own protocol with these deadlines.

    None of them costs a request anything whose headers come in one piece and whose reply fits
    the system's buffers: the timers are set only where that is not so.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._hidden = 0  # bytes since the parser last gave something out
        self._in_headers = True  # or before them
        self._deadline: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give a new connection time for its first headers."""
        super().connection_made(transport)
        self._set_deadline(HEADER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._clear_deadline()
        if self._writing is not None:
            self._writing.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse bytes without end; time headers that did not come in one piece."""
        self._hidden += len(data)
        super().data_received(data)
        if self._hidden > MAX_HIDDEN and not self.transport.is_closing():
            self._refuse()
        elif self._in_headers and self._deadline is None and self._is_idle():
            self._set_deadline(HEADER_SECONDS)

    def on_headers_complete(self) -> None:
        """Wait no longer."""
        self._in_headers = False
        self._hidden = 0
        self._clear_deadline()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count anew: this much was given out."""
        self._hidden = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next headers; what lingered is over."""
        self._in_headers = True
        self._hidden = 0
        self._clear_deadline()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Do not wait long for the rest of a request that is answered already."""
        if self._is_idle() and self.cycle.more_body:
            self._set_deadline(LINGER_SECONDS)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client is behind: watch whether it takes its reply."""
        super().pause_writing()
        self._watch_writing()

    def _watch_writing(self, before: float = math.inf) -> None:
        waiting = self.transport.get_write_buffer_size() + _unsent(self.transport)
        if waiting > before - WRITE_BYTES:
            self.transport.abort()
        else:
            self._writing = self.loop.call_later(WRITE_SECONDS, self._watch_writing, waiting)

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close at once where the client has not taken its last reply."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """The server ends: no request may wait for a pull any more."""
        if stop := self.app_state.get("stop"):
            stop()
        super().shutdown()

    def _is_idle(self) -> bool:
        """Whether every request so far is answered."""
        return self.cycle is None or self.cycle.response_complete

    def _set_deadline(self, seconds: float) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self) -> None:
        if self._in_headers:
            text = b"The header is too large."
            self.transport.write(
                STATUS_LINE[431]
                + b"content-type: text/plain; charset=utf-8\r\n"
                + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(text)
                + text
            )
        self.transport.close()


def _unsent(transport: asyncio.Transport) -> int:
    """Bytes that the system holds for the client; it may take megabytes in before it is full."""
    number = array("i", [0])
    fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, number)
    return number[0]
