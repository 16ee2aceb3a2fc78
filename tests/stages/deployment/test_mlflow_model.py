"""What MLflow's registry holds, loaded where PyCaret and this project are not."""

import json
import subprocess
import sys
import warnings
from typing import Any

import mlflow
import pytest

from app.model.manifest import Intervals, Level, Manifest
from stages.deployment.registry import pyfunc
from tests.app.conftest import regression_answer, write_model
from tests.conftest import ROOT

TABLE = """carat weight,cut,certified,sold,more
1,Good,true,2020-01-01,5
2,Fair,,2020-01-01,6
3,,false,,7
"""
# Stands in for an environment of the server's packages and MLflow
ELSEWHERE = """
import io, json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"pycaret", "sklearn", "lightgbm", "pydantic_settings"}:
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Absent())
import mlflow, pandas as pd

model = mlflow.pyfunc.load_model(sys.argv[1])
text = sys.stdin.read()
plain = pd.read_csv(io.StringIO(text), index_col="more")
frames = {
    "plain": plain,
    "datetime64": plain.assign(sold=pd.to_datetime(plain["sold"])),
    "texts": pd.read_csv(io.StringIO(text), dtype=str),
    "categories": plain.assign(cut=plain["cut"].astype("category")),
}
answers = {name: model.predict(frame)["prediction"].tolist() for name, frame in frames.items()}
faults = {}
for name, frame in {
    "missing": plain.drop(columns="cut"),
    "not a date": plain.assign(sold="never"),
    "mixed": plain.assign(cut=["Good", 7, 1.5]),
}.items():
    try:
        model.predict(frame)
    except Exception as error:
        faults[name] = str(error)
index = model.predict(plain).index.tolist()
more = model.predict(plain, params={"interval": 0.9, "explain": True}).to_dict("list")
print(json.dumps({"answers": answers, "faults": faults, "index": index, "more": more}))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the registered form of the tiny regression answers, in a process of its own."""
    folder = tmp_path_factory.mktemp("registered")
    intervals = Intervals(levels=(Level(coverage=0.9, measured=0.9, bound=2.5),), scales=(2.0,))
    serving = write_model(folder / "serving", intervals=intervals, explained=True)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint is inferred", UserWarning)  # MLflow's
        patch.chdir(ROOT)
        mlflow.pyfunc.save_model(folder / "model", **pyfunc(serving, Manifest.read(serving)))
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(folder / "model")],
        input=TABLE,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("frame", ["plain", "datetime64", "texts", "categories"])
def test_a_frame_as_pandas_reads_it_is_answered(said: dict[str, Any], frame: str) -> None:
    rows = (
        {"carat weight": 1.0, "cut": "Good", "certified": True, "sold": "2020-01-01"},
        {"carat weight": 2.0, "cut": "Fair", "certified": None, "sold": "2020-01-01"},
        {"carat weight": 3.0, "cut": None, "certified": False, "sold": None},
    )
    assert said["answers"][frame] == [pytest.approx(regression_answer(row)) for row in rows]


def test_the_answers_keep_the_rows_index(said: dict[str, Any]) -> None:
    assert said["index"] == [5, 6, 7]


def test_parameters_add_the_columns_of_the_server(said: dict[str, Any]) -> None:
    more = said["more"]
    assert [*more] == [
        "prediction",
        "prediction_lower",
        "prediction_upper",
        *(f"contribution:{name}" for name in ("carat weight", "cut", "certified", "sold")),
    ]
    first = more["prediction"][0]
    assert (more["prediction_lower"][0], more["prediction_upper"][0]) == (first - 5, first + 5)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ("missing", "Model is missing inputs ['cut']."),  # in MLflow's words
        ("not a date", "Row 1, column 'sold': 'never' is not a date"),
        ("mixed", "Column 'cut' mixes values of several types"),
    ],
)
def test_what_cannot_be_read_is_named(said: dict[str, Any], frame: str, message: str) -> None:
    assert message in said["faults"][frame]
