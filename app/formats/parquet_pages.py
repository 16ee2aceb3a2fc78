"""What the pages of a Parquet file unpack to, told before any is unpacked.

The footer sums their sizes up, but a hostile one may say anything: what Arrow allocates for a
page is what that page's own header says. Footer and headers are in Thrift's compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md), their
fields in https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
Arrow's own objects for a footer's columns are no help: over a broken one they end the process.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from app.formats.registry import Bytes

MAGIC = b"PAR1"
MAX_FOOTER = 8 * 1024**2  # bytes; once it is read, it is many times as large
MOST_PARTS = 500_000  # structures and entries of lists: in the footer, in all headers of pages
MOST_PAGES = 100_000  # of the columns that are read; writers make them about 1 MB
DEEPEST = 12  # parts within parts

# Numbers of fields: of the footer, a row group, a column and its metadata,
ROWS, GROUPS = 3, 4
COLUMNS, GROUP_ROWS = 1, 3
METADATA = 3
PATH, SIZE, DATA_OFFSET, DICTIONARY_OFFSET = 3, 7, 9, 11
# of a page's header, and of the two kinds of data page in it.
UNPACKED, PACKED, DATA, DATA_V2 = 2, 3, 5, 8
VALUES, ENCODING, ENCODING_V2 = 1, 2, 4
# Each value repeats the start of the one before: a page decodes to more than its size.
DELTA_BYTE_ARRAY = 7


class PageError(Exception):
    """The file is not built as Parquet is."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a file is once it is read.

    Attributes:
        rows: see the name.
        unpacked: bytes of all pages of the columns that are read.
        longest: bytes that the values of any one of those pages may take, decoded.
    """

    rows: int
    unpacked: int
    longest: int


def sizes(data: Bytes, names: Collection[str]) -> Sizes:
    """Read how large a file is with some of its columns, and what lies within them.

    Raises:
        PageError: it is not built as Parquet is, or of too many parts.
    """
    try:
        return _sizes(data, _footer(data), {name.encode() for name in names})
    except (AttributeError, IndexError, TypeError) as error:
        raise PageError("its footer or a page's header cannot be read") from error


def _sizes(data: Bytes, footer: dict[int, Any], names: Collection[bytes]) -> Sizes:
    groups = footer.get(GROUPS, [])
    unpacked = longest = count = packed = 0
    headers = _Reader(memoryview(data))
    for group in groups:
        for column in group.get(COLUMNS, []):
            metadata = column.get(METADATA, {})
            path = metadata.get(PATH, [])
            if path[:1] and path[0] not in names and b".".join(path) not in names:
                continue
            packed += metadata.get(SIZE, 0)
            if packed > len(data):  # else the same bytes could be read thousands of times
                raise PageError("its columns lie over one another")
            for page in _pages(headers, metadata):
                count += 1
                if count > MOST_PAGES:
                    raise PageError(f"it has more than {MOST_PAGES} pages")
                size = page[UNPACKED]
                unpacked += size
                longest = max(longest, size * _repeats(page))
    rows = max(footer.get(ROWS, 0), sum(group.get(GROUP_ROWS, 0) for group in groups))
    return Sizes(rows, unpacked, longest)


def _footer(data: Bytes) -> dict[int, Any]:
    length = int.from_bytes(data[-8:-4], "little")
    if len(data) < 12 or data[-4:] != MAGIC or length > len(data) - 12:
        raise PageError("it is cut off, or does not end as such files do")
    if length > MAX_FOOTER:
        raise PageError(f"its footer takes {length} bytes, more than {MAX_FOOTER}")
    return _Reader(memoryview(data)).read(len(data) - 8 - length, len(data))


def _pages(headers: "_Reader", metadata: dict[int, Any]) -> Iterator[dict[int, Any]]:
    """Read the headers of a column's pages."""
    start, dictionary = metadata.get(DATA_OFFSET, -1), metadata.get(DICTIONARY_OFFSET, 0)
    if 0 < dictionary < start:
        start = dictionary
    end = start + metadata.get(SIZE, -1)
    if not 0 <= start <= end <= headers.size:
        raise PageError("a column lies outside of it")
    while start < end:
        page = headers.read(start, end)
        packed, unpacked = page.get(PACKED, -1), page.get(UNPACKED, -1)
        start = headers.position + packed
        if packed < 0 or unpacked < 0 or start > end:
            raise PageError("the header of a page says what cannot be")
        yield page


def _repeats(page: dict[int, Any]) -> int:
    """How many times over a page's values may hold its own bytes."""
    kind, encoding = (page[DATA_V2], ENCODING_V2) if DATA_V2 in page else (page.get(DATA), ENCODING)
    if kind is None or kind.get(encoding) != DELTA_BYTE_ARRAY:
        return 1
    return max(1, int(kind.get(VALUES, 1)))


class _Reader:
    """Reads structures of Thrift's compact protocol: their fields by their numbers.

    Attributes:
        size: of the file, bytes.
        position: the end of what was read last.
    """

    def __init__(self, file: memoryview) -> None:
        self._file = self._data = file
        self._left = MOST_PARTS
        self.size = len(file)
        self.position = 0

    def read(self, start: int, end: int) -> dict[int, Any]:
        """Read a structure that lies there.

        Raises:
            PageError: it is too large, with all that were read before.
            IndexError: there is none.
        """
        self._data = self._file[:end]
        self.position = start
        return self._structure(0)

    def _structure(self, depth: int) -> dict[int, Any]:
        self._count(1, depth)
        fields: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._signed()
            # A boolean field's value is in its kind.
            fields[number] = None if kind & 15 in (1, 2) else self._value(kind & 15, depth)
        return fields

    def _count(self, parts: int, depth: int) -> None:
        self._left -= parts
        if depth > DEEPEST or self._left < 0:
            raise PageError("its footer or its pages' headers have too many parts")

    def _byte(self) -> int:
        self.position += 1
        return self._data[self.position - 1]

    def _unsigned(self) -> int:
        number = shift = 0
        while True:
            byte = self._byte()
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
            if shift > 63:
                raise IndexError

    def _signed(self) -> int:
        number = self._unsigned()
        return (number >> 1) ^ -(number & 1)

    def _bytes(self, length: int) -> bytes:
        start = self.position
        self.position += length
        if self.position > len(self._data):
            raise IndexError
        return bytes(self._data[start : self.position])

    def _value(self, kind: int, depth: int) -> Any:
        match kind:
            case 1 | 2 | 3:  # an element of a list of booleans, or a byte
                return self._byte()
            case 4 | 5 | 6:
                return self._signed()
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self._unsigned())
            case 9 | 10:
                head = self._byte()
                length = head >> 4 if head >> 4 < 15 else self._unsigned()
                self._count(length, depth)
                return [self._value(head & 15, depth + 1) for _ in range(length)]
            case 12:
                return self._structure(depth + 1)
            case _:  # the format has no maps
                raise IndexError
