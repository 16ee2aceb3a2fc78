"""Servers to compare with, each an application of its own.

$ python -m benchmarks.peers floor ROOT PORT       # FastAPI, body by Pydantic, constant answer
$ python -m benchmarks.peers json-floor ROOT PORT  # the same, body by a JSON parser alone
$ python -m benchmarks.peers tutorial ROOT PORT    # PyCaret's predict_model behind FastAPI
"""

import argparse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from fastapi import FastAPI, Request, UploadFile
from pydantic import Field, create_model

from app.model.manifest import Manifest

TYPES = {"number": float, "category": str, "boolean": bool, "date": datetime}
# As long as a real answer to one row.
CONSTANT = {"predictions": [326.0], "model": {"name": "constant", "version": "0" * 32}}


def floor(root: Path) -> FastAPI:
    """What the framework alone costs: it checks the body and answers a constant."""
    columns: dict[str, Any] = {
        f"column_{index}": (TYPES[feature.kind] | None, Field(alias=feature.name))
        for index, feature in enumerate(Manifest.read(root / "model" / "serving").features)
    }
    Row = create_model("Row", **columns)
    Body = create_model("Body", records=(list[Row], ...))  # type: ignore[valid-type]
    app = FastAPI()

    @app.post("/predict/records")
    async def predict(body: Body) -> Any:  # type: ignore[valid-type]
        return CONSTANT

    return app


def json_floor(root: Path) -> FastAPI:
    """The framework without its checks."""
    app = FastAPI()

    @app.post("/predict/records")
    async def predict(request: Request) -> Any:
        orjson.loads(await request.body())
        return CONSTANT

    return app


def tutorial(root: Path) -> FastAPI:
    """What tutorials show: a pickled pipeline, a data frame and `predict_model` per request."""
    # The floor must not carry these: they take memory, and the garbage collector's time.
    import pandas as pd
    from pycaret import classification, regression

    from benchmarks.workspace import Workspace

    workspace = Workspace(root)
    pycaret = {"classification": classification, "regression": regression}[workspace.manifest.task]
    pipeline = pycaret.load_model(str(workspace.pipeline.with_suffix("")), verbose=False)
    app = FastAPI()

    def answer(frame: pd.DataFrame) -> dict[str, Any]:
        predictions = pycaret.predict_model(pipeline, data=frame, verbose=False)
        return {"predictions": predictions["prediction_label"].tolist()}

    @app.post("/predict/records")
    def predict_records(body: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        return answer(pd.DataFrame(body["records"]))

    @app.post("/predict")
    def predict(file: UploadFile) -> dict[str, Any]:
        return answer(pd.read_csv(file.file))

    return app


APPLICATIONS: dict[str, Callable[[Path], FastAPI]] = {
    "floor": floor,
    "json-floor": json_floor,
    "tutorial": tutorial,
}


def main() -> None:
    """Serve one of them on loopback: one worker, no access log."""
    parser = argparse.ArgumentParser()
    parser.add_argument("application", choices=APPLICATIONS)
    parser.add_argument("root", type=Path)
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    app = APPLICATIONS[arguments.application](arguments.root)
    uvicorn.run(app, port=arguments.port, loop="uvloop", http="httptools", access_log=False)


if __name__ == "__main__":
    main()
