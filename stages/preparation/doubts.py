"""What in an accepted table may make a score look better than the model is."""

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

from stages.schema import Schema

# Words by which people name the thing that several rows describe; `customer age` is not that.
ENTITY = re.compile(
    r"(?:^|[^a-z])(account|animal|batch|client|customer|device|driver|employee|family|group|"
    r"household|individual|machine|member|patient|person|player|sensor|session|site|store|"
    r"student|subject|user|vehicle)"
    r"(?:[^a-z]+(?:code|id|key|name|no|nr|number|uuid))*[^a-z]*$"
)
# Of a number or key; many tables list the rows of one thing together, under such a name
IDENTIFIER = re.compile(r"(?:^|[^a-z])(?:id|idcode|key|nr|number|uid)[^a-z]*$")
Sides = tuple[pd.DataFrame, pd.DataFrame]  # the training rows, and those of the holdout
NEARLY = 0.999  # of a correlation, or of the rows whose label one column tells
SHOWN = 5


def words(name: str) -> str:
    """A column's name in lower case, with `customerId` taken apart as `customer id`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()


def names_things(name: str, values: pd.Series) -> bool:
    """Whether a column names things, such as customers, of which some have several rows.

    Args:
        name: the column's.
        values: in the order of the rows.
    """
    distinct = values.nunique()
    if not 1 < distinct < 0.9 * len(values):
        return False
    if ENTITY.search(words(name)):
        return True
    if not IDENTIFIER.search(words(name)) or values.isna().any():
        return False
    runs = int((values != values.shift()).sum())
    return runs == distinct


def doubts(train: pd.DataFrame, test: pd.DataFrame, schema: Schema) -> list[str]:
    """What to look at before the scores are believed, each in a sentence or two.

    Args:
        train: the typed training rows; the index is each row's number in the raw table, from 0.
        test: those of the holdout.
        schema: of both.
    """
    sides = (train, test)
    tellers = label_tellers if schema.classes else near_copies_of_number
    return [
        *repeated_rows(train, test, schema),
        *tellers(sides, schema),
        *(mixed_by_chance(sides, schema) if schema.strategy in {"random", "stratified"} else ()),
    ]


def column(sides: Sides, name: str) -> pd.Series:
    """A column of all rows; never the whole table, which may fill the memory a second time."""
    return pd.concat([side[name] for side in sides])


def repeated_rows(train: pd.DataFrame, test: pd.DataFrame, schema: Schema) -> Iterator[str]:
    """Rows that are equal in every feature and the target."""
    columns = [*schema.names, schema.target]
    train_keys = pd.util.hash_pandas_object(train[columns], index=False)
    test_keys = pd.util.hash_pandas_object(test[columns], index=False)
    both = np.isin(test_keys, train_keys)
    keys = pd.concat([train_keys, test_keys])
    again = keys[keys.duplicated()]
    if len(again):
        first = keys.index[keys == again.iloc[0]].sort_values()
        yield (
            f"{len(again)} row(s) repeat another one in every feature and the target (such as rows "
            f"{', '.join(str(row + 1) for row in first[:SHOWN])}, counted from 1 after the "
            f"header); {both.sum()} of the {len(test)} rows of the holdout were seen in "
            "training. If they are copies, remove them; if they describe one thing, split by it "
            "(prepare.split.strategy: group)."
        )


def near_copies_of_number(sides: Sides, schema: Schema) -> Iterator[str]:
    """Features that go with a numeric target as only a copy of it does."""
    target = column(sides, schema.target).astype("float64")
    for feature in schema.features:
        if feature.kind != "number":
            continue
        pair = pd.DataFrame({"one": column(sides, feature.name), "target": target}).dropna()
        if len(pair) < 10 or pair.nunique().min() < 10:
            continue
        straight = abs(np.corrcoef(pair["one"], pair["target"])[0, 1])
        ranks = pair.rank()
        in_order = abs(np.corrcoef(ranks["one"], ranks["target"])[0, 1])
        if max(straight, in_order) > NEARLY:
            yield copy_of(
                feature.name, schema, f"their correlation is {max(straight, in_order):.5f}"
            )


def label_tellers(sides: Sides, schema: Schema) -> Iterator[str]:
    """Features that alone tell the label of nearly every row."""
    labels = column(sides, schema.target)
    if labels.value_counts(normalize=True).max() > 0.95:  # nearly right without any feature
        return
    for feature in schema.features:
        cells = column(sides, feature.name)
        if feature.kind == "category":
            values = cells.fillna("")
            if values.nunique() > len(values) / 10:
                continue
            right = pd.crosstab(values, labels).max(axis="columns").sum() / len(values)
        else:
            number = (
                (cells - pd.Timestamp(0)).dt.total_seconds() if feature.kind == "date" else cells
            )
            table = number.fillna(number.min() - 1).fillna(0).to_numpy("float64").reshape(-1, 1)
            tree = DecisionTreeClassifier(
                max_leaf_nodes=max(2, len(schema.classes)), random_state=0
            )
            names = labels.astype(str)
            right = float(tree.fit(table, names).score(table, names))
        if right > NEARLY:
            yield copy_of(
                feature.name, schema, f"alone it tells the label of {right:.2%} of the rows"
            )


def copy_of(name: str, schema: Schema, why: str) -> str:
    """The sentence about a feature that may be the target in other words."""
    return (
        f"{name!r} nearly is the target {schema.target!r} ({why}). If it is not there yet when the "
        "model is asked, list it in prepare.drop."
    )


def mixed_by_chance(sides: Sides, schema: Schema) -> Iterator[str]:
    """Dates, and columns that name a thing of several rows, under a split by chance."""
    for feature in schema.features:
        if feature.kind == "date":
            yield (
                f"The rows have a date, {feature.name!r}, and are split by chance. To predict "
                "later rows, judge the model on the newest: prepare.split.strategy: time, column: "
                f"{feature.name}."
            )
    for name in sides[0].columns.drop(schema.target):
        if not (ENTITY.search(words(str(name))) or IDENTIFIER.search(words(str(name)))):
            continue
        values = column(sides, name).sort_index()
        count = values.nunique()
        if count >= 10 and names_things(str(name), values):
            yield (
                f"Several rows share a value of {name!r} ({count} values) and are split by chance, "
                "so the model is judged on things that it knows. To predict for others: "
                f"prepare.split.strategy: group, column: {name}."
            )
