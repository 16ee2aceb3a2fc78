"""How far two files are apart, in words."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lifecycle.verification.comparison import distance
from tests.app.conftest import write_model


def parquet(value: float) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame({"name": ["a", "b"], "x": [1.0, value]}).to_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "locked", "rebuilt", "expected"),
    [
        (
            "metrics.json",
            json.dumps({"sha256": "1e9", "a": [100.0, {"b": 2.0}], "c": True}).encode(),
            json.dumps({"sha256": "1e8", "a": [101.0, {"b": 2.0}], "c": True}).encode(),
            "largest relative deviation 0.0099",
        ),
        (
            "table.csv",
            b"name,x\na,2\nb,4\n",
            b"name,x\na,1\nb,4\n",
            "largest relative deviation 0.5",
        ),
        ("table.csv", b"x\n1\n", b"x\n1\n2\n", "it has 1 numbers locked, 2 rebuilt"),
        ("table.parquet", parquet(2.0), parquet(4.0), "largest relative deviation 0.5"),
        ("metrics.json", b'{"a": 1}', b'{"a": 1', "its numbers cannot be read"),
        ("model.onnx", b"\xff\xff", b"\xff", "its numbers cannot be read"),
        ("pipeline.pkl", b"abc", b"abd", "pipeline.pkl from byte 2 on"),
        ("pipeline.pkl", b"abc", b"ab", "pipeline.pkl from byte 2 on"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_place_and_the_largest_deviation_are_told(
    name: str, locked: bytes, rebuilt: bytes, expected: str
) -> None:
    said = distance(Path(name), locked, rebuilt)
    assert said.startswith(f"{name} from byte ")
    assert said.endswith(expected)


def test_the_weights_of_two_graphs_are_compared(tmp_path: Path) -> None:
    graphs = [
        (write_model(tmp_path / str(scale), scale=scale) / "model.onnx").read_bytes()
        for scale in (1.0, np.nextafter(1.0, 2.0))
    ]
    assert distance(Path("model.onnx"), *graphs).endswith("largest relative deviation 2.2e-16")
