"""`make new-data` in a copy of the project: everything changes, or nothing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lifecycle import new_data
from stages.files import md5
from tests.conftest import ROOT
from tests.project import houses


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the committed parameters, and a pinned table in data/."""
    project = tmp_path_factory.mktemp("new-data") / "project"
    (project / "data").mkdir(parents=True)
    (project / "data" / "old.csv").write_text("x,y\n1,2\n")
    (project / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    dvc = [sys.executable, "-m", "dvc"]
    for command in (["git", "init"], [*dvc, "init"], [*dvc, "add", "data"]):
        subprocess.run([*command, "--quiet"], check=True, cwd=project)
    return project


@pytest.fixture
def root(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository, and the working directory."""
    project = tmp_path / "project"
    shutil.copytree(template, project)
    monkeypatch.chdir(project)
    return project


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["new_data", *arguments])
    new_data.main()


def state(root: Path) -> tuple[str, ...]:
    return (
        md5(root / "data"),
        (root / "params.yaml").read_text(),
        (root / "data.dvc").read_text(),
    )


def comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip().startswith("#")]


@pytest.mark.parametrize("suffix", [".csv.gz", ".parquet"])
def test_the_table_is_written_pinned_and_described(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    before = (root / "params.yaml").read_text()
    table = tmp_path / f"My Houses{suffix}"
    houses().to_parquet(table) if suffix == ".parquet" else houses().to_csv(table, index=False)
    call(monkeypatch, str(table), "price")
    assert [file.name for file in (root / "data").iterdir()] == [f"My-Houses{suffix}"]
    pinned = yaml.safe_load((root / "data.dvc").read_text())["outs"][0]["md5"]
    assert pinned == md5(root / "data")
    after = (root / "params.yaml").read_text()
    params = yaml.safe_load(after)
    assert params["base"] == {
        "name": "My-Houses",
        "path": f"data/My-Houses{suffix}",
        "target": "price",
        "task": "regression",
        "seed": 42,
    }
    assert comments(after) == comments(before)
    described = {"about": "", "columns": {}}  # the old table's columns are not this one's
    assert params["deploy"] == yaml.safe_load(before)["deploy"] | described
    assert list((root / ".local" / "replaced-data").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [
        ("a,b\n1,2\n", "price", "has no column 'price'"),
        ("a,b\n1,2\n2,\n3,4\n", "b", "No feature is left"),
        ("a,b\n5,2\n1,3\n5,4\n", "b", "only 2 rows to train on"),
        ("a,b\n1,2\n2,2\n", "b", "one value only"),
        ("a,b\n" + "1,2\n" * 50 + "x,3\n", "b", "column 'a', row 51: 'x'"),
        ("a,a\n1,2\n", "a", "columns named twice"),
    ],
)
def test_a_table_that_will_not_do_changes_nothing(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    target: str,
    message: str,
) -> None:
    before = state(root)
    table = tmp_path / "table.csv"
    table.write_text(content)
    with pytest.raises(SystemExit, match=message):
        call(monkeypatch, str(table), target)
    assert state(root) == before


def test_a_file_as_a_spreadsheet_program_exports_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Semicolons, Latin-1, decimal commas, other dates, copies, a row without a target."""
    table = houses()
    table.loc[:59, "sold"] = table["sold"].iloc[60:120].to_numpy()
    sold = pd.to_datetime(table["sold"]).dt.strftime("%d/%m/%Y")
    table = pd.concat([table.assign(sold=sold), table.assign(sold=sold)[:10]])
    table["note"] = "sold by the owner, no agent"
    table.loc[3, "note"] = "the roof leaks here and there"
    table.iloc[7, table.columns.get_loc("price")] = None
    table.to_csv(tmp_path / "t.csv", sep=";", decimal=",", encoding="cp1252", index=False)
    call(monkeypatch, str(tmp_path / "t.csv"), "price")
    prepare = yaml.safe_load((root / "params.yaml").read_text())["prepare"]
    assert prepare["read"] == {
        "delimiter": ";",
        "encoding": "cp1252",
        "dates": "dmy",
        "decimal": ",",
        "sheet": None,
    }
    assert prepare["missing_target"] == "drop"
    assert prepare["drop"] == ["note"]
    said = capsys.readouterr()
    assert "1 of 310 rows have no 'price': they are left out" in said.out
    assert "row(s) repeat another one in every feature and the target" in said.out
    assert "The rows have a date, 'sold', and are split by chance" in said.out
    assert "reading t.csv …\n" in said.err


def test_a_refusal_comes_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n2,2\n")
    with pytest.raises(SystemExit, match="one value only"):
        call(monkeypatch, str(tmp_path / "t.csv"), "b")
    assert capsys.readouterr().out == ""


def test_when_dvc_fails_everything_is_as_before(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "table.csv"
    houses().to_csv(table, index=False)
    before = state(root)
    (root / ".dvc" / "config").write_text("[no such section]\n")
    with pytest.raises(SystemExit, match=r"`dvc add data` failed: ERROR"):
        call(monkeypatch, str(table), "price")
    assert state(root) == before


def test_a_table_that_nothing_pins_is_kept(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = root / "data" / "table.csv"
    houses().to_csv(precious, index=False)
    call(monkeypatch, str(precious), "price")
    assert [file.name for file in (root / "data").iterdir()] == ["table.csv"]
    (kept,) = (root / ".local" / "replaced-data").iterdir()
    assert sorted(file.name for file in kept.iterdir()) == ["old.csv", "table.csv"]
    houses().to_csv(tmp_path / "same.csv", index=False)
    assert (kept / "table.csv").read_bytes() == (tmp_path / "same.csv").read_bytes()


def test_a_pinned_table_that_the_cache_lacks_is_kept(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a clone into which data/ was copied by hand."""
    pinned = md5(root / "data" / "old.csv")
    (root / ".dvc" / "cache" / "files" / "md5" / pinned[:2] / pinned[2:]).unlink()
    table = tmp_path / "table.csv"
    houses().to_csv(table, index=False)
    call(monkeypatch, str(table), "price")
    (kept,) = (root / ".local" / "replaced-data").iterdir()
    assert (kept / "old.csv").read_text() == "x,y\n1,2\n"
