"""What the service tells a caller when it cannot answer: one family, one shape (RFC 9457)."""

from collections.abc import Mapping, Sequence
from typing import Any


class Problem(Exception):  # noqa: N818 (the RFC's own word)
    """A request that gets no answer, and why.

    Attributes:
        status: HTTP status code.
        kind: short stable word for programs and metrics, such as `missing-columns`.
        detail: what is wrong, where, and what to do, for people.
        errors: one entry per fault: `detail`, and where known `row` (1 is the first row of
            data) and `column`.
        headers: extra response headers.
    """

    status = 422

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        status: int | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.status = status or self.status
        self.errors = list(errors)
        self.headers = dict(headers or {})
