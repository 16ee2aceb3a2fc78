"""One kept-alive HTTP/1.1 connection: little work per request, so that servers are measured."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Call:
    """A POST to repeat.

    Attributes:
        url: on this machine, with a port.
        body: what is sent.
        content_type: what that is.
        headers: further ones.

    Raises:
        ValueError: the URL names another machine.
    """

    url: str
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.hostname != "127.0.0.1" or parts.port is None:
            raise ValueError(f"{self.url!r} is not of the form http://127.0.0.1:PORT/...")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = urlsplit(self.url).netloc.split(":")
        return host, int(port)

    @property
    def path(self) -> str:
        """The route, with the URL's query."""
        return urlsplit(self.url)._replace(scheme="", netloc="").geturl()

    @property
    def wire(self) -> bytes:
        """The request as it is sent."""
        further = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {urlsplit(self.url).netloc}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n"
            f"{further}\r\n"
        )
        return head.encode() + self.body


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and the body that came with it."""

    status: int
    body: bytes


class Connection:
    """Sends one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(cls, address: tuple[str, int]) -> AsyncIterator["Connection"]:
        """Connect; hang up at the end.

        Raises:
            OSError: nobody listens.
        """
        reader, writer = await asyncio.open_connection(*address)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def send(self, wire: bytes) -> Reply:
        """Send a request and read the reply.

        Raises:
            OSError: the connection broke.
            EOFError: the server closed it before the reply was complete.
            ValueError: the reply does not tell its length.
        """
        self._writer.write(wire)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        lengths = [line[15:] for line in lines if line.startswith(b"content-length:")]
        if not lengths:
            raise ValueError(f"A reply without Content-Length: {head!r}")
        return Reply(int(lines[0][9:12]), await self._reader.readexactly(int(lengths[0])))
