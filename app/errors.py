"""What a caller is told when there is no answer: always a `Problem`, as RFC 9457 describes."""

from collections.abc import Mapping, Sequence
from typing import Any

# Faults that are named at most; a file of a million rows may have a million.
MAX_ERRORS = 20


class Problem(Exception):  # noqa: N818 (the RFC's own word)
    """A request that gets no answer, and why.

    Attributes:
        kind: short stable word for programs and metrics, such as `missing-columns`.
        detail: what is wrong, where, and what to do, for people.
        status: HTTP status code.
        errors: one entry per fault: `detail`, and where known `row` (1 is the first row of
            data) and `column`; at most `MAX_ERRORS`.
        headers: extra response headers.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        status: int = 422,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.status = status
        self.errors = list(errors)[:MAX_ERRORS]
        self.headers = dict(headers or {})


def invalid_values(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """The problem of values that do not fit; the first one makes the headline."""
    first = errors[0]
    place = f"Row {first['row']}"
    if "column" in first:
        place += f", column {quote(first['column'])}"
    return Problem("invalid-value", f"{place}: {first['detail']}.", errors=errors)


def quote(value: object, length: int = 60) -> str:
    """Show a caller's value, not more of it than helps."""
    text = repr(value)
    return text if len(text) <= length else text[:length] + "…"
