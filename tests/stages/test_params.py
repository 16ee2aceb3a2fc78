from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.params import only, read, validate

ROOT = Path(__file__).parents[2]


@pytest.fixture
def raw() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    return loaded


def test_the_committed_file_is_valid(raw: dict[str, Any]) -> None:
    assert validate(raw).base.target == raw["base"]["target"]


def test_a_misspelt_key_is_named(raw: dict[str, Any]) -> None:
    raw["train"]["tune"]["iteratons"] = 5
    with pytest.raises(ValueError, match=r"train\.tune\.iteratons: Extra inputs are not permitted"):
        validate(raw)


def test_a_file_that_is_no_yaml_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("base:\n  seed: 1\n  seed: 2\n")
    with pytest.raises(SystemExit, match=r'params.yaml: (.*\n)+found duplicate key "seed"'):
        read("train")


def test_a_missing_key_is_named(raw: dict[str, Any]) -> None:
    del raw["prepare"]["split"]["test_size"]
    with pytest.raises(ValueError, match=r"prepare\.split\.test_size: Field required"):
        validate(raw)


@pytest.mark.parametrize(
    ("block", "key", "value"),
    [
        ("base", "task", "regresion"),
        ("base", "path", "/tmp/table.csv"),
        ("base", "seed", "42"),
        ("train", "folds", 1),
        ("train", "models", []),
        ("deploy", "parity", 0),
        ("prepare", "missing_target", "keep"),
    ],
)
def test_an_impossible_value_is_named_and_shown(
    raw: dict[str, Any], block: str, key: str, value: object
) -> None:
    raw[block][key] = value
    with pytest.raises(
        ValueError, match=rf"{block}\.{key}: .*\(it is {value!r}\)".replace("[", r"\[")
    ):
        validate(raw)


def test_a_stage_cannot_read_a_key_that_it_does_not_declare(raw: dict[str, Any]) -> None:
    seen = only(validate(raw), {"base": {"seed": 42}, "deploy": raw["deploy"]})
    assert seen.base.seed == 42
    assert seen.deploy.parity == raw["deploy"]["parity"]
    with pytest.raises(AttributeError, match="target"):
        _ = seen.base.target
    with pytest.raises(AttributeError, match="train"):
        _ = seen.train


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blend": 2, "stack": 3}, "averaged or stacked, not both"),
        ({"calibrate": "sigmoid"}, "train.calibrate is 'sigmoid', which means nothing for a regr"),
        ({"threshold": True}, "train.threshold is True"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(
    raw: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    raw["train"] |= changes
    with pytest.raises(ValueError, match=message):
        validate(raw)


@pytest.mark.parametrize("sort", ["AUC", "Log loss", "Brier"])
def test_a_threshold_by_a_metric_of_the_probabilities_is_refused(
    raw: dict[str, Any], sort: str
) -> None:
    raw["base"]["task"] = "classification"
    raw["train"] |= {"threshold": True, "sort": "F1"}
    validate(raw)
    raw["train"]["sort"] = sort
    with pytest.raises(ValueError, match=f"{sort} is of the probabilities: no threshold changes"):
        validate(raw)


@pytest.mark.parametrize("strategy", ["group", "time"])
def test_a_stack_on_honest_folds_of_a_transformed_target_is_refused(
    raw: dict[str, Any], strategy: str
) -> None:
    raw["prepare"]["split"] |= {"strategy": strategy, "column": "family"}
    raw["train"] |= {"blend": 0, "stack": 2}
    validate(raw)
    raw["train"]["preprocess"] |= {"transform_target": "quantile"}
    with pytest.raises(ValueError, match=r"train\.stack by groups or time .* another one"):
        validate(raw)
