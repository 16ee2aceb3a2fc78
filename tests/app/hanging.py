"""An S3 that takes connections and then hangs, drips or answers wrongly."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000000\r\n"
    b"ETag: a\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n"
)


class Fault:
    """What the server does with a connection once it has read the request."""

    def __init__(
        self, *, head: bytes = b"", drip: bytes = b"", pause: float = 0.2, ends: bool = False
    ) -> None:
        self.head = head
        self.ends = ends
        self.drip = drip
        self.pause = pause

    def answer(self, connection: socket.socket, ended: threading.Event) -> None:
        with closing(connection), suppress(OSError):
            connection.recv(65_536)
            connection.sendall(self.head)
            while not self.ends and not ended.wait(self.pause):
                connection.sendall(self.drip)


HANGS = Fault()
HANGS_IN_BODY = Fault(head=HEAD + b"x")
DRIPS = Fault(head=HEAD, drip=b"x")
DRIPS_IN_HEAD = Fault(head=b"HTTP/1.1 200 OK\r\nX: ", drip=b"x")


@contextmanager
def s3_that(fault: Fault) -> Iterator[str]:
    """The address of such a server; it counts nothing and verifies nothing."""
    ended = threading.Event()
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def accept() -> None:
            while not ended.is_set():
                with suppress(OSError):
                    connection, _ = listener.accept()
                    threading.Thread(target=fault.answer, args=(connection, ended)).start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            time.sleep(fault.pause)
