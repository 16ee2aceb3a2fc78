"""Takes dates apart in the graph: float64 arithmetic on seconds, exact for all dates of pandas."""

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import NotConvertible
from ..graph import Graph
from .columns import Column, Inputs, Slot, pack

DAY = 86_400.0


class Calendar:
    """Fields of the dates in one tensor, each written when first asked for.

    A missing date is NaN and stays NaN.
    """

    def __init__(self, graph: Graph, seconds: str) -> None:
        self._graph = graph
        self._day_number = self._floor(seconds, DAY)
        self._second_of_day = self._less(seconds, self._times(self._day_number, DAY))
        self._date: tuple[str, str, str] | None = None

    def year(self) -> str:
        """Calendar year."""
        return self._civil()[0]

    def month(self) -> str:
        """Month, 1 to 12."""
        return self._civil()[1]

    def day(self) -> str:
        """Day of the month, from 1."""
        return self._civil()[2]

    def hour(self) -> str:
        """Hour, 0 to 23."""
        return self._floor(self._second_of_day, 3600.0)

    def minute(self) -> str:
        """Minute, 0 to 59."""
        minutes = self._floor(self._second_of_day, 60.0)
        return self._less(minutes, self._times(self.hour(), 60.0))

    def second(self) -> str:
        """Second, 0 to 59."""
        whole = self._graph.add("Floor", self._second_of_day)
        return self._less(whole, self._times(self._floor(whole, 60.0), 60.0))

    def dayofweek(self) -> str:
        """Day of the week, Monday 0."""
        # 1970-01-01 was a Thursday.
        shifted = self._plus(self._day_number, 3.0)
        return self._less(shifted, self._times(self._floor(shifted, 7.0), 7.0))

    def quarter(self) -> str:
        """Quarter, 1 to 4."""
        return self._floor(self._plus(self.month(), 2.0), 3.0)

    def _civil(self) -> tuple[str, str, str]:
        """Count from 1 March of year 0 in eras of 400 years, so that leap days come last."""
        if self._date is None:
            days = self._plus(self._day_number, 719_468.0)
            era = self._floor(days, 146_097.0)
            day = self._less(days, self._times(era, 146_097.0))
            leaps = self._less(self._floor(day, 36_524.0), self._floor(day, 146_096.0))
            uneven = self._less(self._add(day, leaps), self._floor(day, 1_460.0))
            year = self._floor(uneven, 365.0)
            gone = self._less(self._floor(year, 4.0), self._floor(year, 100.0))
            day_of_year = self._less(day, self._add(self._times(year, 365.0), gone))
            month = self._floor(self._plus(self._times(day_of_year, 5.0), 2.0), 153.0)
            before = self._floor(self._plus(self._times(month, 153.0), 2.0), 5.0)
            day_of_month = self._plus(self._less(day_of_year, before), 1.0)
            # Months count from March: ten and eleven are January and February of the next year.
            carried = self._floor(month, 10.0)
            self._date = (
                self._add(self._add(year, self._times(era, 400.0)), carried),
                self._less(self._plus(month, 3.0), self._times(carried, 12.0)),
                day_of_month,
            )
        return self._date

    def _floor(self, value: str, divisor: float) -> str:
        return self._graph.add(
            "Floor", self._graph.add("Div", value, self._graph.constant(divisor))
        )

    def _times(self, value: str, factor: float) -> str:
        return self._graph.add("Mul", value, self._graph.constant(factor))

    def _plus(self, value: str, summand: float) -> str:
        return self._graph.add("Add", value, self._graph.constant(summand))

    def _add(self, left: str, right: str) -> str:
        return self._graph.add("Add", left, right)

    def _less(self, left: str, right: str) -> str:
        return self._graph.add("Sub", left, right)


def take_apart(
    graph: Graph, inputs: Inputs, step: Any, columns: Sequence[Column], part: str
) -> list[Column]:
    """Write PyCaret's date features.

    Args:
        graph: receives the nodes.
        inputs: the graph's inputs.
        step: the fitted `ExtractDateTimeFeatures`.
        columns: the date columns.
        part: the step, for errors.

    Returns:
        Each date's features, named as the step names them.

    Raises:
        NotConvertible: a feature is not one of `FIELDS`.
    """
    unknown = sorted(set(step.features) - FIELDS.keys())
    if unknown:
        raise NotConvertible(
            part,
            f"the date features {', '.join(unknown)} are not written, only {', '.join(FIELDS)}",
        )
    matrix = pack(graph, inputs, columns)
    calendar = Calendar(graph, matrix.tensor)
    return [
        Column(f"{column.name}_{field}", Slot(tensor, int(position), matrix.size), column.feature)
        for field, tensor in ((field, FIELDS[field](calendar)) for field in step.features)
        for column, position in zip(columns, matrix.positions, strict=True)
    ]


FIELDS: dict[str, Callable[[Calendar], str]] = {
    "day": Calendar.day,
    "dayofweek": Calendar.dayofweek,
    "hour": Calendar.hour,
    "minute": Calendar.minute,
    "month": Calendar.month,
    "quarter": Calendar.quarter,
    "second": Calendar.second,
    "weekday": Calendar.dayofweek,
    "year": Calendar.year,
}
