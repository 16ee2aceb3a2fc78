"""A column as the pipeline would read it, and a proposed key."""

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from app.model.manifest import Kind
from stages.preparation.doubts import names_things, words
from stages.preparation.table import typed

PROSE_WORDS = 4
FEW_ROWS = 5  # of a value, where there are more than so many of them
MANY_VALUES = 1000
PROSE = re.compile(r"comment|description|note|remark|text")
ROW_NAME = re.compile(r"(?:^|[^a-z])(id|index|key|nr|number|row|unnamed|uuid)(?:[^a-z]|$)")


@dataclass(frozen=True)
class Proposal:
    """One key of `params.yaml`, its value, and why."""

    key: str
    value: Any
    reason: str


@dataclass(frozen=True, eq=False)
class Column:
    """One column as the pipeline would read it.

    Attributes:
        name: in the table.
        kind: what `stages.preparation.table.typed` reads it as.
        values: the typed values.
        distinct: how many values it has, missing ones apart.
    """

    name: str
    kind: Kind
    values: pd.Series
    distinct: int

    @property
    def names_rows(self) -> bool:
        """Whether each row has a value of its own that says nothing but which row it is."""
        if self.distinct < len(self.values):
            return False
        if self.kind == "category":
            return True
        if self.kind != "number" or (self.values % 1 != 0).any():
            return False
        is_counter = bool((self.values.diff().iloc[1:] == 1).all())
        return is_counter or self.says_row

    @property
    def has_rare_values(self) -> bool:
        """Whether its texts have so few rows each that a model learns the rows by heart.

        Many values are told by the mean of the target over their rows. Of three rows that is a
        third the row's own target, which no later row knows.
        """
        if self.kind != "category":
            return False
        rows_each = len(self.values) / max(1, self.distinct)
        return rows_each < 2 or (rows_each < FEW_ROWS and self.distinct > MANY_VALUES)

    @property
    def names_things(self) -> bool:
        """Whether it names things, such as customers, some of which have several rows."""
        return names_things(self.name, self.values)

    @property
    def is_prose(self) -> bool:
        """Whether its values are sentences: remarks, descriptions, addresses."""
        if self.kind != "category" or not self.distinct:
            return False
        texts = self.values.dropna().drop_duplicates()
        many_words = (texts.str.count(r"\S+") >= PROSE_WORDS).mean() > 0.5
        return bool(many_words) and (self.distinct > 20 or bool(PROSE.search(words(self.name))))

    @property
    def says_row(self) -> bool:
        """Whether its name is one that people give to the number or key of a row."""
        return bool(ROW_NAME.search(words(self.name)))


def read_column(name: str, cells: pd.Series) -> Column:
    """A column of a table that was read by `stages.preparation.table.read_table`.

    Raises:
        TableError: it is mostly of one kind and has values that are not.
    """
    kind, values = typed(cells)
    return Column(name, kind, values, values.nunique())
