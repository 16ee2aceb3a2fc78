"""Rows of training of the tiny models, and rows that arrive."""

import numpy as np
import pytest

from app.drift.counting import Counting
from app.drift.reference import Reference, category, number
from app.model.manifest import Manifest, Task
from app.model.runtime import Packed
from tests.app.conftest import CUT, FEATURES, write_model

TRAINING = 20_000


def rows(seed: int, count: int) -> Packed:
    """Weights, certificates (a tenth missing), days; and cuts, among them one that is rare."""
    draw = np.random.default_rng(seed)
    certified = (draw.uniform(size=count) < 0.5).astype(float)
    certified[draw.uniform(size=count) < 0.1] = np.nan
    days = draw.integers(0, 20_000, count) * 86_400.0
    weights = draw.gamma(2, 0.5, count)
    cuts = draw.choice(3, count, p=[0.02, 0.28, 0.7])
    return Packed(np.column_stack([weights, certified, days]), cuts[:, None])


def answers(packed: Packed) -> np.ndarray:
    """What the tiny regression says."""
    total = np.nan_to_num(packed.numeric) @ [100, 10, 1 / 86_400]
    said: np.ndarray = total + np.array(CUT)[packed.categorical[:, 0]]
    return said


def reference(task: Task = "regression") -> Reference:
    """What the deploy stage writes of rows like these."""
    known = rows(0, TRAINING)
    numbers = [feature.name for feature in FEATURES if feature.kind != "category"]
    columns = {name: number(name, known.numeric[:, place]) for place, name in enumerate(numbers)}
    columns["cut"] = category("cut", FEATURES[1].categories, known.categorical[:, 0])
    said = answers(known)
    target = number("price", said)
    if task == "classification":
        target = category("price", ("low", "middle", "high"), np.where(said > 20_000, 2, 0))
    return Reference(columns=(*(columns[one.name] for one in FEATURES), target))


@pytest.fixture(scope="session")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Counting:
    folder = write_model(tmp_path_factory.mktemp("model") / "model")
    return Counting(reference(), Manifest.read(folder))
