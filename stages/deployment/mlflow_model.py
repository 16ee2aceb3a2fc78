"""The serving folder as an MLflow model: `mlflow models serve` answers as the server does.

MLflow stores this file as the model's code; no pickle is involved.
"""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa

from app.errors import Problem, quote
from app.model.model import Model


class Served(mlflow.pyfunc.PythonModel):
    """Raw columns in; the prediction, and probabilities where there are any, out."""

    def load_context(self, context: Any) -> None:
        """Open the verified graph."""
        self.model = Model.load(Path(context.artifacts["serving"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answer a frame of raw columns, in row order and with its index.

        Raises:
            Problem: values cannot be read; says which and where.
        """
        prediction = self.model.predict_table(self._table(model_input))
        answers = pd.DataFrame({"prediction": prediction.values}, model_input.index)
        if prediction.probabilities is not None:
            for i, label in enumerate(self.model.interface.classes):
                answers[f"probability_{label}"] = prediction.probabilities[:, i]
        return answers

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
