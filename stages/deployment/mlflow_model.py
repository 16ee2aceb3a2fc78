"""The serving folder as an MLflow model: `mlflow models serve` answers as the server does.

MLflow stores this file as the model's code; no pickle is involved.
"""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa

from app.errors import Problem, quote
from app.formats.columns import column_names, column_values
from app.model.model import Extras, Model
from app.model.packing import pack


class Served(mlflow.pyfunc.PythonModel):
    """Raw columns in; the prediction, and probabilities where there are any, out.

    Its parameters are the server's: `interval`, a coverage such as 0.9 (0: no intervals), and
    `explain`. They add the columns that the server adds to a CSV; a set of labels is a list.
    """

    def load_context(self, context: Any) -> None:
        """Open the verified graph."""
        self.model = Model.load(Path(context.artifacts["serving"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answer a frame of raw columns, in row order and with its index.

        Raises:
            Problem: values cannot be read, or the model cannot tell what is asked for; says which
                and where.
        """
        options, interface = params or {}, self.model.interface
        extras = Extras(
            probabilities=self.model.gives_probabilities,
            interval=options.get("interval") or None,
            explain=bool(options.get("explain")),
        )
        rows = pack(self._table(model_input), interface.features)
        columns = column_values(self.model.answer(rows, extras))
        names = column_names(interface, extras, ())
        return pd.DataFrame(dict(zip(names, columns, strict=True)), model_input.index)

    def _table(self, frame: pd.DataFrame) -> pa.Table:
        """Give the features as the types that they have in the frame."""
        columns: dict[str, pa.Array] = {}
        for feature in self.model.interface.features:
            name = feature.name
            try:
                columns[name] = pa.array(frame[name], from_pandas=True)
            except pa.ArrowException as error:
                raise Problem(
                    "invalid-type", f"Column {quote(name)} mixes values of several types: {error}."
                ) from error
        return pa.table(columns)


mlflow.models.set_model(Served())
