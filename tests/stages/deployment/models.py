"""A small schema, and models for it."""

import hashlib
from typing import Literal

import pandas as pd

from app.model.manifest import Feature, Interface
from app.model.model import Model
from stages.deployment.conversion import FILES
from stages.schema import Schema

FEATURES = (
    Feature(name="the size", kind="number", minimum=-3.0, maximum=3.0),
    Feature(name="flag", kind="boolean", minimum=0.0, maximum=1.0),
    Feature(name="day", kind="date", minimum=0.0, maximum=1e9),
)


def schema_of(classes: tuple[str, ...] = ()) -> Schema:
    return Schema(
        task="classification" if classes else "regression",
        target="y",
        classes=classes,
        features=FEATURES,
        strategy="random",
        data_md5="0" * 32,
    )


def model_of(content: bytes, schema: Schema, runtime: Literal["onnx", "pycaret"]) -> Model:
    interface = Interface(
        name="tiny",
        task=schema.task,
        target="y",
        classes=schema.classes,
        features=FEATURES,
        runtime=runtime,
        file=FILES[runtime],
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return Model(interface, content)


def rows(*sizes: float) -> pd.DataFrame:
    days = pd.to_datetime(["2020-01-01"] * len(sizes))
    return pd.DataFrame({"the size": sizes, "flag": 1.0, "day": days})
