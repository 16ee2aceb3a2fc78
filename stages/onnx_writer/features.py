"""What the writer must know of each raw column; any object with these attributes will do."""

from collections.abc import Sequence
from typing import Literal, Protocol

Task = Literal["regression", "classification"]
Kind = Literal["number", "boolean", "category", "date"]


class Feature(Protocol):
    """One raw column.

    Attributes:
        name: its name in the user's table.
        kind: how its values are packed (see `to_onnx`).
        categories: every value seen in training, as text, sorted; kind `category` only.
        minimum: smallest value seen; for a date, seconds since 1970-01-01 UTC.
        maximum: largest value seen.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> Kind: ...  # noqa: D102
    @property
    def categories(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def minimum(self) -> float | None: ...  # noqa: D102
    @property
    def maximum(self) -> float | None: ...  # noqa: D102
