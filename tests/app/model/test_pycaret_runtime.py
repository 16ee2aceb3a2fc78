"""The fallback runtime, with a fitted scikit-learn pipeline in PyCaret's place."""

import hashlib
import pickle
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from app.model.manifest import MANIFEST, Manifest
from app.model.model import Model, ModelError
from app.model.pycaret_runtime import UNSEEN, _frame, open_pipeline
from tests.app.conftest import EXAMPLE, SECONDS, write_model


class Recorder:
    """Answers like a fitted pipeline, and shows the frame that it was given."""

    def predict(self, frame: pd.DataFrame) -> pd.Series:
        frame.to_pickle("frame.pkl")
        return frame["carat"].fillna(0) * 10


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = write_model(tmp_path / "model")
    content = pickle.dumps(
        {"pipeline": Recorder(), "columns": ["carat", "cut", "certified", "sold"]}
    )
    (folder / "model.pkl").write_bytes(content)
    manifest = Manifest.read(folder)
    changes = {
        "runtime": "pycaret",
        "file": "model.pkl",
        "sha256": hashlib.sha256(content).hexdigest(),
        "example": manifest.example.model_copy(update={"prediction": 15.0}),
    }
    (folder / MANIFEST).write_text(manifest.model_copy(update=changes).model_dump_json())
    return folder


def test_pipeline_gets_the_frame_it_was_fitted_on(folder: Path) -> None:
    model, manifest = Model.load(folder), Manifest.read(folder)
    model.self_test(manifest.example, manifest.parity.tolerance)
    table = pa.table(
        {
            "carat weight": [1.5, None, 2.0],
            "cut": ["Good", "Odd", None],
            "certified": [True, None, False],
            "sold": pa.array([datetime(2020, 1, 1), None, datetime(1900, 1, 1)], pa.timestamp("s")),
        }
    )
    assert model.predict_table(table).values.tolist() == [15.0, 0.0, 20.0]
    expected = pd.DataFrame(
        {
            "carat": [1.5, np.nan, 2.0],
            "cut": pd.Series(["Good", UNSEEN, np.nan], dtype=object),
            "certified": [1.0, np.nan, 0.0],
            "sold": np.array(["2020-01-01", "NaT", "1900-01-01"], "datetime64[ns]"),
        }
    )
    pd.testing.assert_frame_equal(pd.read_pickle("frame.pkl"), expected)


def test_records_get_the_same_frame(folder: Path) -> None:
    model = Model.load(folder)
    model.predict(model.packer.pack([EXAMPLE]))
    frame = pd.read_pickle("frame.pkl")
    assert frame["sold"][0] == pd.Timestamp(SECONDS, unit="s")
    assert frame.dtypes.astype(str).to_dict() == {
        "carat": "float64",
        "cut": "object",
        "certified": "float64",
        "sold": "datetime64[ns]",
    }


def test_changed_pickle_is_never_opened(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    with pytest.raises(ModelError, match="sha256"):
        Model.load(folder)
    assert not Path("opened").exists()


class Booster:
    """Answers in the shapes of CatBoost's labels and LightGBM's probabilities."""

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        return np.zeros((len(frame), 1), np.int64)

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        assert frame["sold"].notna().all()
        return np.asfortranarray(np.full((len(frame), 2), 0.5, np.float32))


def test_answers_are_rows_and_far_dates_stay_in_order(folder: Path) -> None:
    content = pickle.dumps(
        {"pipeline": Booster(), "columns": ["carat", "cut", "certified", "sold"]}
    )
    manifest = Manifest.read(folder).model_copy(update={"task": "classification"})
    runtime = open_pipeline(manifest, content)
    assert runtime.gives_probabilities
    far = {
        "numeric": np.array([[1.0, 0.0, 1e13], [1.0, 0.0, -1e13]]),
        "categorical": np.zeros((2, 1), np.int64),
    }
    labels, probabilities = runtime.run(far)
    assert labels.tolist() == [0, 0]
    assert probabilities.flags.c_contiguous
    assert probabilities.dtype == np.float64
    years = _frame(far, manifest, ["carat", "cut", "certified", "sold"])["sold"].dt.year
    assert years.tolist() == [2262, 1677]
