"""What the rows of training looked like: counts in a few cells of each column.

A column's cells are, in this order: the values (bins of a number, the most frequent categories and
all others of a category), the unseen values, the missing ones.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.model.manifest import Contract, Feature
from app.model.runtime import Floats

BINS = 20  # of a number, of about as many rows each
TOP = 20  # categories with cells of their own

Counts = npt.NDArray[np.int64]


class Column(Contract):
    """The cells of one column, and how many rows of training lie in each.

    Attributes:
        name: the column's; of the predictions, the target's.
        edges: of a number: where one bin ends and the next begins; a value equal to an edge
            belongs to the next.
        ends: of a number: the smallest and the largest value.
        values: of a category: the most frequent values, as texts.
        codes: of a category: their codes, as rows are packed.
        total: of a category: how many codes there are, without unseen and missing.
        counts: by cell. `unseen` is an estimate of how many rows of as many new ones have an
            unseen value: as many as values that were seen once (Good and Turing).
    """

    name: str
    edges: tuple[float, ...] = ()
    ends: tuple[float, float] | None = None
    values: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    total: int = 0
    counts: tuple[int, ...]

    @property
    def is_category(self) -> bool:
        """Whether its cells are categories."""
        return self.ends is None

    @property
    def cells(self) -> int:
        """How many cells there are."""
        return len(self.counts)

    @property
    def labels(self) -> list[str]:
        """What people call the cells."""
        if self.is_category:
            return [*self.values, "others", "unseen", "missing"]
        ends = [f"{edge:.6g}" for edge in self.edges]
        bins = [f"{low} to {high}" for low, high in zip(["…", *ends], [*ends, "…"], strict=True)]
        return [*bins, "unseen", "missing"]


class Reference(Contract):
    """The file that the deploy stage writes.

    Attributes:
        columns: the features, in manifest order, then the predictions.
    """

    columns: tuple[Column, ...]

    @classmethod
    def read(cls, path: Path) -> "Reference":
        """Read the file."""
        return cls.model_validate_json(path.read_bytes())


def number(name: str, values: Floats, settle: Callable[[float], float] = float) -> Column:
    """The cells of a number, boolean or date.

    Args:
        name: the column's.
        values: of the rows of training, shape (rows,); NaN where missing.
        settle: what makes a float64 one that may be written.
    """
    present = values[~np.isnan(values)]
    if not len(present):
        return Column(name=name, ends=(0.0, 0.0), counts=(0, 0, len(values)))
    cuts = np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1])
    edges = np.unique([settle(cut) for cut in cuts.tolist()])
    bins = np.bincount(np.searchsorted(edges, present, "right"), minlength=len(edges) + 1)
    return Column(
        name=name,
        edges=tuple(edges.tolist()),
        ends=(settle(float(present.min())), settle(float(present.max()))),
        counts=(*bins.tolist(), 0, len(values) - len(present)),
    )


def category(name: str, texts: Sequence[str], codes: Counts) -> Column:
    """The cells of a category.

    Args:
        name: the column's.
        texts: all its values.
        codes: of the rows of training, shape (rows,), as they are packed.
    """
    counts = np.bincount(codes, minlength=len(texts) + 2)
    seen = counts[: len(texts)]
    top = np.argsort(-seen, kind="stable")[:TOP]
    others = int(seen.sum() - seen[top].sum())
    return Column(
        name=name,
        values=tuple(texts[code] for code in top),
        codes=tuple(top.tolist()),
        total=len(texts),
        counts=(*seen[top].tolist(), others, int((seen == 1).sum()), int(counts[len(texts) + 1])),
    )


def feature_order(features: Sequence[Feature]) -> list[tuple[bool, int]]:
    """For each feature whether it is a category, and its place among those or among the others."""
    order, numbers, categories = [], 0, 0
    for feature in features:
        is_category = feature.kind == "category"
        order.append((is_category, categories if is_category else numbers))
        categories, numbers = categories + is_category, numbers + (not is_category)
    return order
