"""The serving folder as an MLflow model: `mlflow models serve` answers as the server does.

MLflow stores this file as the model's code; no pickle is involved.
"""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa

from app.model.model import Model


class Served(mlflow.pyfunc.PythonModel):
    """Raw columns in; the prediction, and probabilities where there are any, out."""

    def load_context(self, context: Any) -> None:
        """Open the verified graph."""
        self.model = Model.load(Path(context.artifacts["serving"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answer a frame of raw columns, in row order."""
        prediction = self.model.predict_table(pa.Table.from_pandas(model_input))
        answers = pd.DataFrame({"prediction": prediction.values})
        if prediction.probabilities is not None:
            for i, label in enumerate(self.model.interface.classes):
                answers[f"probability_{label}"] = prediction.probabilities[:, i]
        return answers


mlflow.models.set_model(Served())
