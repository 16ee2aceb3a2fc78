"""Finds the writer of an estimator by the names of its class and base classes.

By name, so that reading a LightGBM pipeline does not import XGBoost and CatBoost.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from ..errors import NotConvertible

Writer = TypeVar("Writer")


def find(writers: Mapping[str, Writer], model: Any) -> tuple[Writer, str]:
    """Return the writer and the estimator's name for errors.

    Raises:
        NotConvertible: there is none.
    """
    part = f"estimator {type(model).__name__}"
    for kind in type(model).__mro__:
        if kind.__name__ in writers:
            return writers[kind.__name__], part
    raise NotConvertible(part, "there is no exact counterpart of it")
