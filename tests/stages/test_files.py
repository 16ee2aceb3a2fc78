import json
from pathlib import Path

import pandas as pd
import pytest
from dvc.repo import Repo

from stages.files import md5, settled, write_report, write_table


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # within DVC
def test_a_folder_has_the_md5_that_dvc_gives_it(tmp_path: Path) -> None:
    repo = Repo.init(str(tmp_path), no_scm=True)
    folder = tmp_path / "folder"
    for name, text in {"b.txt": "b", "a.txt": "a", "sub/c.txt": "", "sub.txt": "x"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (tmp_path / "file").write_text("one file")
    for name in ("folder", "file"):
        (stage,) = repo.add(str(tmp_path / name))
        assert md5(tmp_path / name) == stage.outs[0].hash_info.value
    repo.close()


@pytest.mark.parametrize(
    ("value", "scale", "expected"),
    [
        (123456.7890123, 0.0, 123456.789),
        (-0.000123456789123, 0.0, -0.000123456789),
        (1.5e-300, 0.0, 1.5e-300),
        (99.99999999999, 0.0, 100.0),
        (2e-14, 300.0, 0.0),
        (-2e-14, 300.0, 0.0),
        (12.3456789012, 1000.0, 12.34568),
        (float("inf"), 0.0, float("inf")),
    ],
)
def test_a_number_is_settled_to_nine_digits_of_itself_or_of_its_scale(
    value: float, scale: float, expected: float
) -> None:
    assert str(settled(value, scale)) == str(expected)


def test_reports_and_tables_hold_nine_digits_of_floats_and_all_else_as_it_is(
    tmp_path: Path,
) -> None:
    write_report(tmp_path / "new" / "report.json", {"a": {"b": 2 / 3, "rows": 12345678901234}})
    assert json.loads((tmp_path / "new" / "report.json").read_text()) == {
        "a": {"b": 0.666666667, "rows": 12345678901234}
    }
    table = pd.DataFrame({"name": ["x"], "rows": [12345678901234], "value": [2000 / 3]})
    write_table(tmp_path / "table.csv", table)
    assert (tmp_path / "table.csv").read_text() == "name,rows,value\nx,12345678901234,666.666667\n"
